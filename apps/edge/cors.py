"""Which browser origins may call the API: an exact list, no cookies, ever."""

from __future__ import annotations

from apps.core.origins import is_allowed

Headers = list[tuple[bytes, bytes]]

_EXPOSED = (
    b"x-request-id, x-auth-method, openai-processing-ms, openai-organization, openai-project, retry-after, "
    b"x-should-retry, idempotent-replayed, x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset"
)


def headers_for(origin: str | None) -> Headers:
    """Return what an answer to this origin carries; nothing for strangers."""
    if origin is None or not is_allowed(origin):
        return [(b"vary", b"Origin")] if origin else []
    return [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-expose-headers", _EXPOSED),
        (b"vary", b"Origin"),
    ]


def preflight_headers(origin: str, asked: str) -> Headers:
    """Answer a preflight: any header of the SDKs, every method the API has, for a day's tenth."""
    if not is_allowed(origin):
        return [(b"vary", b"Origin")]
    return [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-allow-methods", b"GET, POST, PATCH, PUT, DELETE, OPTIONS"),
        (b"access-control-allow-headers", (asked or "authorization, content-type, x-api-key").encode("latin-1")),
        (b"access-control-max-age", b"8640"),
        (b"vary", b"Origin"),
    ]

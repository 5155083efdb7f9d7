"""What the edge reads of a request before anything else runs, and what it refuses."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Any

from django.conf import settings

from apps.core.errors import BadRequest, HeadersTooLarge, PayloadTooLarge
from apps.core.ids import new_id

MAX_HEADERS = 100
MAX_HEADER_BYTES = 32 * 1024
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ONCE = frozenset(
    {b"authorization", b"x-api-key", b"content-length", b"host", b"openai-organization", b"openai-project"}
)
# A NUL as quoted cookies write it (RFC 2109), which PostgreSQL takes in no text.
_COOKIE_NUL = b"\\000"
# Addresses as some proxies forward them: in brackets, with the port.
_WITH_PORT = re.compile(r"\[(.+)\](?::\d+)?|([\d.]+):\d+")
# Headers by which proxies of other products vouch for a caller. Ours does not listen to any.
_TRUST = re.compile(rb"x[-_](?:user|auth|principal|consumer|scopes)[-_a-z]*")
# The same routes answer under each of these; the first is canonical.
_PREFIXES = ("/api/llm/v1", "/llm/v1", "/api/v1", "/v1")
_AUTH_PREFIXES = ("/llm/auth", "/auth")


@lru_cache(maxsize=4096)
def canonical(path: str) -> str:
    """Return the path under its canonical prefix: `/v1/...`; auth routes are `/v1/auth/...`."""
    for prefix in _PREFIXES:
        if path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in ("", "/"):
            return "/v1" + path[len(prefix) :]
    for prefix in _AUTH_PREFIXES:
        if path.startswith(prefix + "/"):
            return "/v1/auth" + path[len(prefix) :]
    return path


def read_headers(scope: dict[str, Any]) -> dict[str, str]:
    """
    Return the headers by lower-case name, the last one of a name winning, trust headers left out.

    Raises HeadersTooLarge, or BadRequest for a credential sent twice, a NUL in the URL or in a
    cookie, or a header name with an underscore that would pass for another one.
    """
    raw: list[tuple[bytes, bytes]] = scope["headers"]
    if len(raw) > MAX_HEADERS or sum(len(name) + len(value) for name, value in raw) > MAX_HEADER_BYTES:
        raise HeadersTooLarge(f"At most {MAX_HEADERS} headers of {MAX_HEADER_BYTES} bytes in all are read.")
    headers: dict[str, str] = {}
    for name, value in raw:
        if name in _ONCE and name.decode() in headers:
            raise BadRequest(f"The header {name.decode()} was sent twice.", code="duplicate_header")
        if name == b"cookie" and _COOKIE_NUL in value:
            raise BadRequest("A cookie holds a NUL character.", code="invalid_cookie")
        headers[name.decode("latin-1")] = value.decode("latin-1")
    if "\x00" in scope["path"] or "%00" in scope.get("query_string", b"").decode("latin-1"):
        raise BadRequest("The URL holds a NUL character.", code="invalid_url")
    return headers


def without_trust_headers(raw: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return headers for Django: none that vouch for a caller, none whose name has an underscore."""
    return [(name, value) for name, value in raw if b"_" not in name and not _TRUST.fullmatch(name)]


def request_id_of(headers: dict[str, str]) -> str:
    """Keep a valid incoming X-Request-Id, else make one."""
    given = headers.get("x-request-id")
    return given if given and _REQUEST_ID.fullmatch(given) else new_id("req")


def address_of(scope: dict[str, Any]) -> str:
    """
    Return the client's address, IPv4 written as such however it came; "unknown" behind a local socket.

    X-Forwarded-For counts only as far as TRUSTED_PROXY_COUNT proxies of ours wrote it.
    """
    peer = _plain((scope.get("client") or ("", 0))[0]) or "unknown"
    trusted = settings.TRUSTED_PROXY_COUNT
    if not trusted:
        return peer
    lines = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    hops = ",".join(lines).split(",")
    return (_plain(_without_port(hops[-trusted].strip())) if len(hops) >= trusted else None) or peer


def _without_port(hop: str) -> str:
    found = _WITH_PORT.fullmatch(hop)
    return (found[1] or found[2]) if found else hop


@lru_cache(maxsize=65536)
def _plain(address: str) -> str | None:
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return str(getattr(ip, "ipv4_mapped", None) or ip)


async def read_body(receive: Any, headers: dict[str, str], limit: int) -> bytes:
    """Return the whole body, counting what arrives. Raises PayloadTooLarge, or ConnectionError if the client leaves."""
    declared = headers.get("content-length")
    if declared is not None and (not declared.isdecimal() or int(declared) > limit):
        raise too_large(limit)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("the client left before its request was whole")
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise too_large(limit)
        if not message.get("more_body"):
            return b"".join([*parts, part]) if parts else part
        parts.append(part)


def too_large(limit: int) -> PayloadTooLarge:
    """Return the refusal of a body over `limit` bytes."""
    return PayloadTooLarge(f"The body may have {limit} bytes at most.")

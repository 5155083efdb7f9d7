"""The page of a share: what was said, and nothing that runs, loads or tells where its reader came from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from csp.constants import NONE, SELF
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from apps.core.errors import NotFound
from apps.shares.markdown import as_written, to_html
from apps.shares.services import view_share

_POLICY = {
    name: [NONE]
    for name in ("default-src", "script-src", "connect-src", "font-src", "form-action", "base-uri", "frame-ancestors")
} | {"style-src": [SELF], "img-src": [SELF]}
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
}
# Characters of a page that are shown as Markdown, which takes time.
MAX_RENDERED = 200_000
_SPEAKERS = {"user": "User", "assistant": "Assistant"}


@require_safe
def show(request: HttpRequest, slug: str) -> HttpResponse:
    """Show a share, or that there is none."""
    try:
        share = view_share(slug)
    except NotFound:
        return _with_headers(render(request, "shares/gone.html", status=404))
    page = {"share": share, "entries": _entries(share.snapshot)}
    return _with_headers(render(request, "shares/share.html", page))


def _with_headers(response: HttpResponse) -> HttpResponse:
    for name, value in _HEADERS.items():
        response[name] = value
    response._csp_replace = _POLICY  # type: ignore[attr-defined]  # django-csp's
    return response


def _entries(snapshot: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what the template shows, the first MAX_RENDERED characters as Markdown."""
    left = MAX_RENDERED

    def html_of(text: str) -> SafeString:
        nonlocal left
        left -= len(text)
        return to_html(text) if left >= 0 else as_written(text)

    return [_entry(each, html_of) for each in snapshot]


def _entry(entry: dict[str, Any], html_of: Callable[[str], SafeString]) -> dict[str, Any]:
    if entry["type"] == "message":
        parts = [{**part, "html": html_of(part["text"])} if part["type"] == "text" else part for part in entry["parts"]]
        return {"type": "message", "role": entry["role"], "speaker": _SPEAKERS[entry["role"]], "parts": parts}
    if entry["type"] == "reasoning":
        return {"type": "reasoning", "html": html_of(entry["text"])}
    return entry

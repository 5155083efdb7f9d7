"""What a person sees whose request for a page is refused."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

from apps.chat.http import Headers, Send
from apps.core.errors import RateLimited
from apps.core.http.errors import headers_of, response_of, status_of, unreadable

# The routes that people open in browsers; all others speak JSON.
PAGES = ("/accounts/", "/admin/")
# allauth does not say when one of its limits ends: the window of failed sign-ins, which is the usual one.
RETRY_SECONDS = 300
_HEADERS: Headers = [
    (b"content-type", b"text/html; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
]


async def send_too_many_requests(send: Send, refusal: RateLimited, headers: Headers) -> int:
    """Answer a page that was refused at the edge, before Django, and return its status."""
    body = render_to_string("429.html", {"seconds": headers_of(refusal)["retry-after"]}).encode()
    own = [(name.encode(), value.encode()) for name, value in headers_of(refusal).items()]
    start = [*_HEADERS, (b"content-length", b"%d" % len(body)), *own, *headers]
    await send({"type": "http.response.start", "status": status_of(refusal), "headers": start})
    await send({"type": "http.response.body", "body": body})
    return status_of(refusal)


def too_many_requests(request: HttpRequest) -> HttpResponse:
    """Django's handler for what allauth refuses: too many tries for one account."""
    body = render_to_string("429.html", {"seconds": RETRY_SECONDS})
    return HttpResponse(body, status=429, headers={"Retry-After": str(RETRY_SECONDS), "Cache-Control": "no-store"})


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """
    Django's handler for what it cannot read.

    Its own looks for a form token, so it fails over the very form that was refused.
    """
    if request.path != "/" and not request.path.startswith(PAGES):
        return response_of(unreadable(exception))
    return HttpResponse(render_to_string("400.html"), status=400, headers={"Cache-Control": "no-store"})

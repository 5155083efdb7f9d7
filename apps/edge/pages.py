"""What a person sees whose request for a page is refused."""

from __future__ import annotations

from allauth.core.internal.ratelimit import get_rates
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

from apps.chat.http import Headers, Send
from apps.core.errors import RateLimited
from apps.core.http.errors import headers_of, response_of, status_of, unreadable

# The routes that people open in browsers; all others speak JSON.
PAGES = ("/accounts/", "/admin/", "/share/")
# allauth does not say which of its limits refused. What these views refuse is their own count; elsewhere
# it is the one of failed tries.
_LIMITS = {
    "account_change_password": "change_password",
    "account_set_password": "change_password",
    "account_email": "manage_email",
    "account_reset_password": "reset_password",
}
FAILED_TRIES_SECONDS = 300
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
    seconds = str(_window(request))
    body = render_to_string("429.html", {"seconds": seconds})
    return HttpResponse(body, status=429, headers={"Retry-After": seconds, "Cache-Control": "no-store"})


def _window(request: HttpRequest) -> int:
    """Return the seconds of the limit that refused; of a view's several the shortest, which is met first."""
    match = request.resolver_match
    action = _LIMITS.get(match.view_name) if match and match.view_name else None
    rates = get_rates(app="allauth.account", action=action) if action else []
    return min((int(rate.duration) for rate in rates), default=FAILED_TRIES_SECONDS)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """
    Django's handler for what it cannot read.

    Its own looks for a form token, so it fails over the very form that was refused.
    """
    if request.path != "/" and not request.path.startswith(PAGES):
        return response_of(unreadable(exception))
    return HttpResponse(render_to_string("400.html"), status=400, headers={"Cache-Control": "no-store"})

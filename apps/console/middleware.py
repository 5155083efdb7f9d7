from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

# Measured: the admin's scripts evaluate expressions and its styles are set inline. Nothing comes from elsewhere.
_ADMIN_POLICY = {
    "script-src": ["'self'", "'unsafe-eval'"],
    "style-src": ["'self'", "'unsafe-inline'"],
    "img-src": ["'self'", "data:"],
}
# Swagger UI sets inline styles; its scripts are files.
_SWAGGER_POLICY = {"style-src": ["'self'", "'unsafe-inline'"]}


class AdminPolicyMiddleware:
    """The admins' looser content policy, under /admin/ and /organization/ only; and no search engine there."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        if request.path.startswith(("/admin/", "/organization/")):
            response._csp_replace = _ADMIN_POLICY  # type: ignore[attr-defined]
            response["X-Robots-Tag"] = "noindex"
        elif "/swagger/" in request.path:
            response._csp_replace = _SWAGGER_POLICY  # type: ignore[attr-defined]
        return response

"""Where a request's view of the database ends."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from apps.core.wall import widened


class WallMiddleware:
    """A request sees everything until a permission narrows it (`wall.narrow`); what follows sees everything again."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with widened("a new request"):
            return self._get_response(request)

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from apps.accounts.acting import Acting, acting_of, note_end, why_over
from apps.audit.services import impersonator

_READS = frozenset({"GET", "HEAD", "OPTIONS"})
# Pages that show secrets, or open what does.
_SECRET = ("mfa_", "account_reauthenticate")


class ActingMiddleware:
    """
    While an operator acts as a user: pages are only looked at, every audit event bears the
    operator's id, and it ends by itself.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        try:
            return self._get_response(request)
        finally:
            impersonator.set("")

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        if hasattr(view, "cls"):
            return None  # the API, which reads no cookie
        acting = acting_of(request)
        if acting is None:
            return None
        if why := why_over(request, acting):
            return self._end(request, acting, why)
        impersonator.set(acting.operator_id)
        name = request.resolver_match.url_name or "" if request.resolver_match else ""
        if name == "stop_acting":
            return None
        if request.method not in _READS or name.startswith(_SECRET):
            return render(request, "console/acting_refused.html", status=403)
        return None

    @staticmethod
    def _end(request: HttpRequest, acting: Acting, why: str) -> HttpResponse:
        note_end(acting, why)
        logout(request)
        messages.warning(request, "Acting as somebody else has ended. Sign in again to go on.")
        return redirect("account_login")

"""What an account has to do before it may do anything else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from allauth.account.authentication import get_authentication_records
from allauth.mfa.models import Authenticator
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from apps.accounts.acting import acting_of
from apps.accounts.mfa import is_main_address_open
from apps.accounts.models import User

ENOUGH = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
# Where a second factor is set up.
NEW_FACTOR = frozenset({"mfa_activate_totp", "mfa_add_webauthn"})
# Where a password is changed, and the way out.
WITHOUT_NEW_PASSWORD = frozenset({"account_change_password", "account_set_password", "account_logout"})


class AccountPolicyMiddleware:
    """
    People whose password has to change see nothing but the page for it, and, with `OPERATOR_MFA`,
    operators see nothing of the admin before a second factor was used in this session. Nobody sets
    one up before the main address is confirmed.

    It is about pages. The API reads no cookie: tokens and keys are not made with a password, so
    no rule touches them; whoever distrusts an account also signs it out everywhere.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        if hasattr(view, "cls") or request.session.session_key is None or not request.user.is_authenticated:
            return None  # the API, or nobody
        if acting_of(request) is not None:
            return None  # what the user has to do is not for an operator to do
        if request.user.must_change_password:
            return self._to_new_password(request)
        if settings.OPERATOR_MFA and request.path.startswith("/admin/") and request.user.is_staff:
            return self._to_second_factor(request)
        return self._to_addresses(request, request.user)

    @staticmethod
    def _to_addresses(request: HttpRequest, user: User) -> HttpResponse | None:
        match = request.resolver_match
        if match is None or match.view_name not in NEW_FACTOR or not is_main_address_open(user):
            return None
        messages.error(
            request, "Confirm your main address before you set up a second step: this page sends you the link again."
        )
        return redirect("account_email")

    @staticmethod
    def _to_new_password(request: HttpRequest) -> HttpResponse | None:
        match = request.resolver_match
        if match is not None and match.view_name in WITHOUT_NEW_PASSWORD:
            return None
        return redirect("account_change_password")

    @staticmethod
    def _to_second_factor(request: HttpRequest) -> HttpResponse | None:
        if not is_mfa_enabled(request.user, ENOUGH):
            messages.warning(request, "Operators need a second factor: set one up to open the admin.")
            return redirect("mfa_index")
        if any(used["method"] == "mfa" for used in get_authentication_records(request, request.user)):
            return None
        has_app = is_mfa_enabled(request.user, [Authenticator.Type.TOTP])
        page = reverse("mfa_reauthenticate" if has_app else "mfa_reauthenticate_webauthn")
        return redirect(f"{page}?{urlencode({'next': request.get_full_path()})}")

"""Password sign-in, sign-up and reset, but not for domains that must use single sign-on."""

from __future__ import annotations

from typing import Any

from allauth.account.internal.stagekit import clear_login
from allauth.mfa.utils import is_mfa_enabled
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse

from apps.accounts.adapter import AccountAdapter as BaseAdapter
from apps.accounts.models import User
from apps.sso.adapter import refusal_page
from apps.sso.models import SSODomain
from apps.sso.people import sso_required


class AccountAdapter(BaseAdapter):
    """
    The answer for an address of such a domain is the same whether or not it has an account.

    Operators with a second factor keep their password as a way in: the provider may be what is broken.
    """

    def clean_email(self, email: str) -> str:
        # Sign-up, reset, guests' upgrade and another address all pass here.
        cleaned = super().clean_email(email)
        _refuse_if_required(cleaned)
        return cleaned

    def authenticate(self, request: HttpRequest, **credentials: Any) -> User | None:
        user: User | None = super().authenticate(request, **credentials)
        if user is None or not _keeps_a_way_in(user):
            _refuse_if_required(str(credentials.get("email", "")))
        return user

    def pre_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponse | None:
        # Passkeys and whatever comes later: only a provider's word opens such an account.
        response: HttpResponse | None = super().pre_login(request, user, **kwargs)
        by_provider = "sociallogin" in (kwargs.get("signal_kwargs") or {})
        rule = None if by_provider or _keeps_a_way_in(user) else SSODomain.objects.requiring(user.email or "")
        if response is not None or rule is None:
            return response
        clear_login(request)
        return refusal_page(request, rule.provider, sso_required(rule))


def _refuse_if_required(email: str) -> None:
    rule = SSODomain.objects.requiring(email)
    if rule is not None:
        raise ValidationError(sso_required(rule).message, code="sso_required")


def _keeps_a_way_in(user: User) -> bool:
    return user.is_staff and bool(is_mfa_enabled(user))

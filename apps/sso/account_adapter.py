"""Password sign-in, sign-up and reset, but not for domains that must use single sign-on."""

from __future__ import annotations

from typing import Any

from allauth.account.internal.stagekit import clear_login
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from apps.accounts.adapter import AccountAdapter as BaseAdapter
from apps.accounts.models import User
from apps.sso.adapter import refusal_page
from apps.sso.models import SSODomain
from apps.sso.people import rules_for, sso_required


class AccountAdapter(BaseAdapter):
    """
    The answer for an address of such a domain is the same whether or not it has an account. Its people
    are refused by any other address as well, once it is clear that it is they.

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
        if user is not None and (rule := rule_binding(user)) is not None:
            raise _refusal(rule)
        return user

    def pre_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponse | None:
        # Passkeys and whatever comes later: only a provider's word opens such an account.
        response: HttpResponse | None = super().pre_login(request, user, **kwargs)
        by_provider = "sociallogin" in (kwargs.get("signal_kwargs") or {})
        rule = None if by_provider else rule_binding(user)
        if response is not None or rule is None:
            return response
        clear_login(request)
        return refusal_page(request, rule.provider, sso_required(rule))

    def send_password_reset_mail(self, user: User, email: str, context: dict[str, Any]) -> None:
        # Whose address it is, is said to its owner only.
        rule = rule_binding(user)
        if rule is None:
            super().send_password_reset_mail(user, email, context)
        else:
            login_url = f"{settings.PUBLIC_URL}{reverse('account_login')}"
            self.send_mail("account/email/sso_required", email, {"rule": rule, "login_url": login_url})


def rule_binding(user: User) -> SSODomain | None:
    """Return the rule by which only a provider's word opens this account and changes how it is opened, if any."""
    return None if _keeps_a_way_in(user) else next(iter(rules_for(user)), None)


def _refuse_if_required(email: str) -> None:
    rule = SSODomain.objects.requiring(email)
    if rule is not None:
        raise _refusal(rule)


def _refusal(rule: SSODomain) -> ValidationError:
    return ValidationError(sso_required(rule).message, code="sso_required")


def _keeps_a_way_in(user: User) -> bool:
    return user.is_staff and bool(is_mfa_enabled(user))

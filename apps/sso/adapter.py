"""How allauth's social flows go here: which providers there are, and who is let in."""

from __future__ import annotations

from typing import Any

from allauth.account.models import EmailAddress
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialLogin
from allauth.socialaccount.providers.base import AuthProcess
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from apps.accounts.invitations import SignUp, forget, invited_address
from apps.accounts.models import Invitation, User
from apps.audit.services import SYSTEM, Action, Actor, record
from apps.core.errors import AppError
from apps.core.http.errors import status_of
from apps.sso.models import IdentityProvider, ProviderKind
from apps.sso.people import (
    Profile,
    check_welcome,
    keep_membership,
    record_connection,
    rules_for,
    sso_required,
    user_to_join,
)
from apps.sso.provider import ALLAUTH_ID
from apps.sso.saml import saml_settings


class SocialAccountAdapter(DefaultSocialAccountAdapter):
    """Providers are rows of `IdentityProvider`; allauth's own table of them stays empty."""

    def list_apps(
        self, request: HttpRequest, provider: str | None = None, client_id: str | None = None
    ) -> list[SocialApp]:
        if provider in (None, ALLAUTH_ID):
            rows = IdentityProvider.objects.for_sign_in()
        elif provider == ProviderKind.SAML:  # allauth's own views, which know slugs as client ids
            rows = IdentityProvider.objects.for_sign_in().filter(kind=ProviderKind.SAML, slug=client_id)
        else:  # by its slug a disabled one is found as well: accounts that came from it still have to be shown
            rows = IdentityProvider.objects.filter(slug=provider)
        return [_app_of(row) for row in rows.select_related("organization")]

    def authenticate_by_email(self, sociallogin: SocialLogin) -> tuple[User, str] | None:
        if sociallogin.state.get("process") == AuthProcess.CONNECT:
            return None
        email = sociallogin.profile.email
        user = user_to_join(email)
        return (user, email) if user is not None else None

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Refuse, with a page that says why, whoever may not come in."""
        if sociallogin.state.get("process") == AuthProcess.CONNECT:
            return
        row, profile = sociallogin.provider.row, sociallogin.profile
        try:
            check_welcome(row, profile, may_sign_up=_may_sign_up(request, profile))
        except AppError as refusal:
            record(Action.LOGIN_FAILED, actor=Actor("anonymous"), provider=row.slug, reason=refusal.code)
            raise ImmediateHttpResponse(refusal_page(request, row, refusal)) from None
        if sociallogin.is_existing:
            keep_membership(row, sociallogin.user, profile.claims)

    def validate_disconnect(self, account: SocialAccount, accounts: QuerySet[SocialAccount]) -> None:
        if rules := rules_for(account.user):
            raise ValidationError(sso_required(rules[0]).message, code="sso_required")

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return True  # `pre_social_login` has refused whoever may not

    def populate_user(self, request: HttpRequest, sociallogin: SocialLogin, data: dict[str, Any]) -> User:
        user: User = sociallogin.user
        user.email, user.name = data.get("email") or None, data["name"]
        return user

    @transaction.atomic
    def save_user(self, request: HttpRequest, sociallogin: SocialLogin, form: Any = None) -> User:
        user: User = super().save_user(request, sociallogin, form)
        row, email = sociallogin.provider.row, sociallogin.profile.email
        if email and not EmailAddress.objects.filter(user=user, email=email).exists():
            # allauth asks the account adapter about it, which refuses addresses that have to come this way.
            address = EmailAddress.objects.create(user=user, email=email, verified=True, primary=True)
            EmailAddress.objects.fill_cache_for_user(user, [address])
        record(Action.USER_ADDED, actor=SYSTEM, target_kind="user", target_id=user.pk, provider=row.slug)
        record_connection(row, user)
        keep_membership(row, user, sociallogin.profile.claims)
        Invitation.objects.settle(email)
        forget(request)
        return user


def refusal_page(request: HttpRequest, provider: IdentityProvider, refusal: AppError) -> HttpResponse:
    """Return the page that tells somebody why signing in with a provider did not work."""
    context = {"provider": provider, "message": refusal.message, "code": refusal.code}
    return render(request, "sso/refused.html", context, status=status_of(refusal))


def _may_sign_up(request: HttpRequest, profile: Profile) -> bool:
    """In the invitation mode, with the invited address only."""
    if settings.SIGNUP == SignUp.INVITATION:
        return bool(profile.email) and invited_address(request) == profile.email
    return bool(settings.SIGNUP == SignUp.OPEN)


def _app_of(row: IdentityProvider) -> SocialApp:
    if row.kind == ProviderKind.SAML:
        app = SocialApp(provider=row.kind, client_id=row.slug, settings=saml_settings(row))
    else:
        app = SocialApp(provider=ALLAUTH_ID, client_id=row.client_id)
    app.provider_id, app.name, app.row = row.slug, row.name, row
    return app

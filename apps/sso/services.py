"""What the API does with providers: sign-in in two steps, and access tokens."""

from __future__ import annotations

import secrets
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from apps.accounts.invitations import may_sign_up
from apps.accounts.models import User
from apps.accounts.sessions import actor_of, issue_tokens
from apps.accounts.tokens import invalid_token, issuer_of
from apps.audit.services import Action, Actor, record
from apps.core.errors import AppError, BadRequest, NotFound
from apps.core.origins import is_allowed
from apps.sso import oidc
from apps.sso.models import ATTEMPT_LIFE, IdentityProvider, ProviderKind, SignInAttempt, SSODomain, digest_of
from apps.sso.people import Profile, profile_of, user_of_token, welcome
from apps.sso.tokens import MAX_LENGTH, access_token_claims

# The rows that the environment makes.
GOOGLE_SLUG, OIDC_SLUG = "google", "oidc"
MAX_REDIRECT_URL = 2000


class Begun(NamedTuple):
    """Where to send somebody, and what will come back with them."""

    url: str
    state: str


class SignedIn(NamedTuple):
    """`redirect_url` is what the sign-in began with; empty: whoever asks gets the tokens as an answer."""

    tokens: dict[str, Any]
    redirect_url: str


class ForeignToken(NamedTuple):
    """A verified access token of a provider: whose it is and until when (unix seconds)."""

    user: User
    expires_at: float


def provider_for(kind: ProviderKind, slug: str | None = None) -> IdentityProvider:
    """
    Return the provider to sign in with.

    Without a slug it is the only one of its kind, or the environment's. Raises NotFound
    (`provider_not_configured`) or BadRequest if there are several to choose from.
    """
    found = {each.slug: each for each in IdentityProvider.objects.for_sign_in().filter(kind=kind)}
    wanted = slug if slug is not None else GOOGLE_SLUG if kind == ProviderKind.GOOGLE else OIDC_SLUG
    if wanted in found:
        return found[wanted]
    if slug is not None or not found:
        raise NotFound("No such identity provider is configured here.", code="provider_not_configured")
    if len(found) > 1:
        raise BadRequest(f"Name one of the providers: {', '.join(sorted(found))}.", param="provider")
    return next(iter(found.values()))


@transaction.atomic
def begin_sign_in(*, provider: IdentityProvider, redirect_url: str | None) -> Begun:
    """
    Return where somebody signs in with a provider.

    `redirect_url`: where the tokens go afterwards, in the fragment; of an allowed origin, else
    BadRequest. Raises ServiceUnavailable if the provider cannot be asked.
    """
    if redirect_url is not None:
        check_redirect_url(redirect_url)
    state, verifier = secrets.token_urlsafe(32), oidc.new_verifier()
    callback_url = provider.callback_url or _own_callback(provider)
    url = oidc.authorization_url(provider, callback_url=callback_url, state=state, verifier=verifier)
    SignInAttempt.objects.forget_expired()
    SignInAttempt.objects.create(
        digest=digest_of(state),
        provider=provider,
        verifier=verifier,
        callback_url=callback_url,
        redirect_url=redirect_url or "",
        expires_at=timezone.now() + ATTEMPT_LIFE,
    )
    return Begun(url, state)


def check_redirect_url(url: str) -> None:
    """Raise BadRequest unless tokens may be sent to this page."""
    try:
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        is_plain = bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        is_plain, origin = False, ""
    printable = url.isprintable() and "\\" not in url and "#" not in url and " " not in url
    if not is_plain or not printable or len(url) > MAX_REDIRECT_URL or not is_allowed(origin):
        raise BadRequest(
            "The redirect URL is not of an allowed origin.", code="redirect_not_allowed", param="redirect_url"
        )


def _own_callback(provider: IdentityProvider) -> str:
    path = "google/callback" if provider.kind == ProviderKind.GOOGLE else "callback"
    return f"{settings.PUBLIC_URL}/v1/auth/{path}"


def finish_sign_in(
    request: HttpRequest, *, kind: ProviderKind, state: str, code: str, issuer: str | None, error: str | None
) -> SignedIn:
    """
    Sign somebody in who comes back from a provider.

    `request` is the plain Django request; the rest is what the provider sent. The state is good
    once, whatever comes of it. Raises BadRequest (`invalid_state`, `issuer_mismatch`,
    `access_denied`, `invalid_grant`, `invalid_id_token`) and what `welcome` raises.
    """
    attempt = SignInAttempt.objects.take(state)
    if attempt is None or attempt.provider.kind != kind or not attempt.provider.is_enabled:
        raise BadRequest(
            "This sign-in is unknown, finished or older than ten minutes. Begin again.",
            code="invalid_state",
            param="state",
        )
    provider = attempt.provider
    oidc.check_issuer(provider, issuer)
    if error or not code:
        raise BadRequest("The identity provider did not let you in.", code="access_denied")
    claims = oidc.redeem(provider, code=code, callback_url=attempt.callback_url, verifier=attempt.verifier)
    return SignedIn(_let_in(request, provider, profile_of(provider, claims)), attempt.redirect_url)


def _let_in(request: HttpRequest, provider: IdentityProvider, profile: Profile) -> dict[str, Any]:
    try:
        with transaction.atomic():
            user = welcome(provider, profile, may_sign_up=may_sign_up(request))
            tokens = issue_tokens(request, user)
            facts: dict[str, Any] = {"methods": ["socialaccount"], "provider": provider.slug}
            record(Action.LOGIN_SUCCEEDED, actor=actor_of(user), target_kind="user", target_id=user.pk, **facts)
    except AppError as refusal:
        record(Action.LOGIN_FAILED, actor=Actor("anonymous"), provider=provider.slug, reason=refusal.code)
        raise
    return tokens


# --- Rows ---------------------------------------------------------------------------------------


@transaction.atomic
def save_provider(*, provider: IdentityProvider, actor: Actor, changed: list[str]) -> None:
    """Store a provider, new or changed."""
    is_new = provider.pk is None
    provider.save()
    action = Action.IDENTITY_PROVIDER_CREATED if is_new else Action.IDENTITY_PROVIDER_UPDATED
    _record_provider(action, provider, actor, fields=sorted(changed))


@transaction.atomic
def delete_provider(*, provider: IdentityProvider, actor: Actor) -> None:
    """
    Delete a provider and with it who it said people are.

    Accounts stay. Another provider that gets its slug one day says nothing about them.
    """
    _record_provider(Action.IDENTITY_PROVIDER_DELETED, provider, actor)
    SocialAccount.objects.filter(provider=provider.slug).delete()
    provider.delete()


def _record_provider(action: Action, provider: IdentityProvider, actor: Actor, **details: Any) -> None:
    organization = provider.organization.public_id if provider.organization else ""
    target = {"target_kind": "identity_provider", "target_id": provider.public_id}
    record(action, actor=actor, organization=organization, slug=provider.slug, **target, **details)


@transaction.atomic
def save_domain(*, domain: SSODomain, actor: Actor) -> None:
    """Store a domain, new or changed."""
    action = Action.SSO_DOMAIN_UPDATED if domain.pk else Action.SSO_DOMAIN_CREATED
    domain.save()
    _record_domain(action, domain, actor)


@transaction.atomic
def delete_domain(*, domain: SSODomain, actor: Actor) -> None:
    """Delete a domain; its people may use a password again."""
    _record_domain(Action.SSO_DOMAIN_DELETED, domain, actor)
    domain.delete()


def _record_domain(action: Action, domain: SSODomain, actor: Actor) -> None:
    record(
        action,
        actor=actor,
        organization=domain.organization.public_id,
        target_kind="sso_domain",
        target_id=domain.public_id,
        domain=domain.domain,
        provider=domain.provider.slug,
        is_required=domain.is_required,
    )


# --- Sign-in ------------------------------------------------------------------------------------


def fragment_url(redirect_url: str, tokens: dict[str, Any], state: str) -> str:
    """Return the page to go to, with the tokens where no server sees them."""
    return f"{redirect_url}#{urlencode({**tokens, 'state': state})}"


def verify_foreign_token(token: str) -> ForeignToken:
    """
    Return whose access token of a configured provider this is; its user is made at first sight.

    Raises Unauthenticated (`token_expired` or `invalid_token`), ServiceUnavailable if the
    provider's keys cannot be had.
    """
    issuer = issuer_of(token) if len(token) <= MAX_LENGTH else None
    if issuer is None or "\x00" in issuer:
        raise invalid_token()
    provider = IdentityProvider.objects.vouching_for_tokens(issuer).first()
    if provider is None:
        raise invalid_token()
    claims = access_token_claims(provider, token)
    return ForeignToken(user_of_token(provider, profile_of(provider, claims)), float(claims["exp"]))

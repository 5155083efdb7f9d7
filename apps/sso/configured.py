"""The providers that the environment names, as rows."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.db import IntegrityError, transaction

from apps.audit.services import SYSTEM
from apps.core.egress import check_url
from apps.core.errors import AppError, Conflict
from apps.core.sealing import SealBroken
from apps.sso.models import WELL_KNOWN, IdentityProvider, ProviderKind
from apps.sso.services import GOOGLE_SLUG, OIDC_SLUG, save_provider

GOOGLE_ISSUER = "https://accounts.google.com"


def register_from_environment() -> list[str]:
    """
    Bring the rows of the environment's providers in line with it; return warnings.

    What the environment says replaces what the row says; the rest (name, mapping, organization) is
    the operator's. A provider that is no longer named keeps its row: disabling it is an operator's
    word; and so does one that people are connected to when another issuer is named. Safe beside
    other processes doing the same.
    """
    warnings: list[str] = []
    for slug, kind, fields, secret in (*_google(), *_oidc()):
        try:
            _upsert(slug, kind, fields, secret)
        except IntegrityError as problem:
            warnings.append(f"Identity provider '{slug}': {problem.__class__.__name__}, as another row has its issuer.")
        except AppError as problem:
            warnings.append(f"Identity provider '{slug}': {problem.message}")
    return warnings


def _google() -> list[tuple[str, ProviderKind, dict[str, Any], str]]:
    if not settings.GOOGLE_CLIENT_ID:
        return []
    fields = {
        "issuer": GOOGLE_ISSUER,
        "client_id": settings.GOOGLE_CLIENT_ID,
        "callback_url": settings.GOOGLE_REDIRECT_URL,
    }
    return [(GOOGLE_SLUG, ProviderKind.GOOGLE, fields, settings.GOOGLE_CLIENT_SECRET)]


def _oidc() -> list[tuple[str, ProviderKind, dict[str, Any], str]]:
    keycloak = f"{settings.KEYCLOAK_BASE_URL}/realms/{settings.KEYCLOAK_REALM}" if settings.KEYCLOAK_BASE_URL else ""
    # A discovery document stands below its issuer, which is how it names it.
    issuer = settings.OIDC_ISSUER or keycloak or settings.OIDC_DISCOVERY_URL.removesuffix(WELL_KNOWN)
    if not issuer:
        return []
    inside = f"{keycloak}{WELL_KNOWN}" if keycloak and keycloak != issuer else ""
    fields = {
        "issuer": issuer,
        "discovery_url": settings.OIDC_DISCOVERY_URL or inside,
        "jwks_url": settings.JWKS_URL,
        "client_id": settings.OIDC_CLIENT_ID,
        "audiences": settings.OIDC_AUDIENCES,
        # Tokens made for somebody else are never taken, so there have to be words to know ours by.
        "accepts_access_tokens": bool(settings.OIDC_AUDIENCES or settings.OIDC_CLIENT_ID),
    }
    return [(OIDC_SLUG, ProviderKind.OIDC, fields, settings.OIDC_CLIENT_SECRET)]


@transaction.atomic
def _upsert(slug: str, kind: ProviderKind, fields: dict[str, Any], secret: str) -> None:
    for name in ("issuer", "discovery_url", "jwks_url", "callback_url"):
        if fields.get(name):
            check_url(fields[name])
    row = IdentityProvider.objects.select_for_update().filter(slug=slug).first()
    is_new = row is None
    if row is None:
        row = IdentityProvider(slug=slug, kind=kind, name=_name_of(kind, fields["issuer"]))
    elif row.issuer != fields["issuer"]:
        _refuse_to_hand_over(row, fields["issuer"])
    changed = [name for name, value in fields.items() if getattr(row, name) != value]
    for name in changed:
        setattr(row, name, fields[name])
    if not _holds(row, secret):
        row.client_secret = secret
        changed.append("client_secret")
    if is_new or changed:
        save_provider(provider=row, actor=SYSTEM, changed=changed)


def _refuse_to_hand_over(row: IdentityProvider, issuer: str) -> None:
    """Raise Conflict if anybody is connected to the row: whoever has their `sub` elsewhere is somebody else."""
    connected = SocialAccount.objects.filter(provider=row.slug).count()
    if connected:
        raise Conflict(
            f"NOT CHANGED. The environment names the issuer {issuer}, but {connected} account(s) are connected to "
            f"{row.issuer}, and who they are there says nothing about who they are elsewhere. Restore the old issuer "
            "in the environment, or delete the provider in the admin, which disconnects these accounts, and restart."
        )


def _name_of(kind: ProviderKind, issuer: str) -> str:
    if kind == ProviderKind.GOOGLE:
        return "Google"
    return "Keycloak" if settings.KEYCLOAK_BASE_URL else (urlsplit(issuer).hostname or issuer)[:40]


def _holds(row: IdentityProvider, secret: str) -> bool:
    try:
        return row.client_secret == secret
    except SealBroken:
        return False

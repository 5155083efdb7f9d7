"""Identity providers: who else may say who somebody is, and for which addresses."""

from __future__ import annotations

import datetime
import hashlib
import re
from enum import StrEnum
from typing import ClassVar, Self

from cryptography.x509 import load_pem_x509_certificate
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from apps.core.epoch import EpochModel, EpochQuerySet
from apps.core.ids import PublicIdField
from apps.core.sealing import PLATFORM, seal, unseal
from apps.organizations.models import Organization
from apps.organizations.roles import Role

WELL_KNOWN = "/.well-known/openid-configuration"
# What a claim may make of somebody. Owners are made by owners.
CLAIMED_ROLES = (Role.ADMIN, Role.MEMBER, Role.VIEWER)
# As long as allauth has room for who somebody is at a provider.
MAX_SUBJECT = 191
ATTEMPT_LIFE = datetime.timedelta(minutes=10)
_SLUG = RegexValidator(r"^[a-z0-9][a-z0-9-]*\Z", "Small letters, digits and hyphens.")
_DOMAIN = RegexValidator(
    r"^(?=.{1,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}\Z", "Such as acme.com."
)
_CLAIM_PATH = RegexValidator(re.compile(r"^[^.\s]+(\.[^.\s]+)*\Z"), "Names joined by dots, such as realm_access.roles.")


class ProviderKind(StrEnum):
    """How a provider is spoken to. Google is OpenID Connect with the names Google gives things."""

    GOOGLE = "google"
    OIDC = "oidc"
    SAML = "saml"


class IdentityProviderQuerySet(EpochQuerySet["IdentityProvider"]):
    def for_sign_in(self) -> Self:
        """Providers people can sign in with."""
        is_saml = Q(kind=ProviderKind.SAML)
        usable = (is_saml & ~Q(certificate="")) | (~is_saml & ~Q(client_id=""))
        return self.filter(usable, is_enabled=True)

    def vouching_for_tokens(self, issuer: str) -> Self:
        """Providers whose access tokens the API takes, by what the tokens name as their issuer."""
        return self.filter(is_enabled=True, accepts_access_tokens=True, issuer=issuer)


class IdentityProvider(EpochModel):
    """
    Somebody else who knows our people.

    `slug` and `sub` together are a person (allauth's SocialAccount), so a provider keeps its slug.
    """

    public_id = PublicIdField("idp")
    slug = models.CharField(
        max_length=64, unique=True, validators=[_SLUG], help_text="Part of its callback address. Never changes."
    )
    name = models.CharField(max_length=40, help_text="What the button says.")
    kind = models.CharField(max_length=8, choices=[(kind.value, kind.value) for kind in ProviderKind])
    issuer = models.CharField(
        max_length=500, help_text="Exactly as its tokens have it, such as https://id.acme.com/realms/jan."
    )
    discovery_url = models.CharField(
        "discovery URL", max_length=500, blank=True, help_text=f"Empty: the issuer and {WELL_KNOWN}."
    )
    jwks_url = models.CharField("JWKS URL", max_length=500, blank=True, help_text="Empty: as discovery says.")
    client_id = models.CharField(max_length=191, blank=True, help_text="Empty: nobody signs in with it.")
    sealed_client_secret = models.TextField(blank=True, editable=False)
    scopes = models.CharField(max_length=255, default="openid email profile")
    callback_url = models.CharField(
        "API callback URL", max_length=500, blank=True, help_text="Where it sends clients of the API. Empty: our own."
    )
    sso_url = models.CharField(
        "SAML sign-in URL", max_length=500, blank=True, help_text="Where it takes requests by HTTP-Redirect."
    )
    certificate = models.TextField("SAML certificate", blank=True, help_text="What it signs assertions with, in PEM.")
    is_enabled = models.BooleanField("enabled", default=True)
    accepts_access_tokens = models.BooleanField(
        "accept its access tokens", default=False, help_text="Its JWTs open the API; people are made at first sight."
    )
    audiences: models.JSONField[list[str], list[str]] = models.JSONField(
        default=list,
        blank=True,
        help_text='What `aud` or `azp` of its access tokens says: ["jan"]. Empty: the client id.',
    )
    trusts_email = models.BooleanField(
        "trust its addresses",
        default=False,
        help_text="They count as verified although it does not say so. Only if nobody chooses their own address there.",
    )
    email_claim = models.CharField(max_length=128, default="email", validators=[_CLAIM_PATH])
    name_claim = models.CharField(max_length=128, default="name", validators=[_CLAIM_PATH])
    organization = models.ForeignKey(
        Organization,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="identity_providers",
        help_text="Whoever comes from here becomes a member of it.",
    )
    role_claim = models.CharField(
        max_length=128,
        blank=True,
        validators=[_CLAIM_PATH],
        help_text="Where their role stands, such as realm_access.roles. Empty: everybody is a member.",
    )
    roles: models.JSONField[dict[str, str], dict[str, str]] = models.JSONField(
        default=dict, blank=True, help_text='From the claim to ours: {"jan-admin": "admin", "staff": "member"}.'
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects: ClassVar[IdentityProviderQuerySet] = IdentityProviderQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["issuer"], condition=models.Q(accepts_access_tokens=True), name="one_token_provider_per_issuer"
            )
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Forms ask this: what the mappings hold can be used."""
        problems: dict[str, str] = {}
        if not _are_texts(self.audiences):
            problems["audiences"] = 'A list of texts: ["jan"].'
        if not isinstance(self.roles, dict) or not set(map(str, self.roles.values())) <= set(CLAIMED_ROLES):
            problems["roles"] = f"An object whose values are of {', '.join(CLAIMED_ROLES)}."
        if self.accepts_access_tokens and not self.accepted_audiences:
            problems["audiences"] = "Name an audience or a client id: tokens made for somebody else are not taken."
        is_saml = self.kind == ProviderKind.SAML
        if is_saml and not (self.sso_url and _is_certificate(self.certificate)):
            problems["certificate"] = "SAML needs the sign-in URL and a certificate in PEM."
        if is_saml and self.accepts_access_tokens:
            problems["accepts_access_tokens"] = "SAML has no access tokens."
        if problems:
            raise ValidationError(problems)

    @property
    def accepted_audiences(self) -> list[str]:
        return self.audiences or ([self.client_id] if self.client_id else [])

    @property
    def metadata_url(self) -> str:
        """Where its discovery document is."""
        return self.discovery_url or self.issuer.rstrip("/") + WELL_KNOWN

    @property
    def client_secret(self) -> str:
        """The plaintext, empty if it has none. Raises SealBroken."""
        if not self.sealed_client_secret:
            return ""
        return unseal(self.sealed_client_secret, owner=PLATFORM, context=self._seal_context)

    @client_secret.setter
    def client_secret(self, plaintext: str) -> None:
        sealed = seal(plaintext, owner=PLATFORM, context=self._seal_context) if plaintext else ""
        self.sealed_client_secret = sealed

    @property
    def _seal_context(self) -> str:
        return f"identity_provider:{self.public_id}:client_secret"


def _is_certificate(text: str) -> bool:
    try:
        return bool(load_pem_x509_certificate(text.encode()))
    except ValueError:
        return False


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) and each for each in value)


def domain_of(email: str) -> str:
    """Return the part of an address that rules are about."""
    return email.rpartition("@")[2].strip().lower()


class SSODomainQuerySet(EpochQuerySet["SSODomain"]):
    def requiring(self, email: str) -> SSODomain | None:
        """Return the rule that an address has to sign in with a provider, if there is one in force."""
        return self.in_force().filter(domain=domain_of(email)).first()

    def in_force(self) -> Self:
        """Return the rules that somebody has to sign in with a provider."""
        rules = self.filter(is_required=True, provider__is_enabled=True)
        return rules.select_related("provider", "organization")

    def is_vouched_for(self, email: str, *, by: IdentityProvider) -> bool:
        """Say whether the address is of a domain of that provider."""
        domain = email.rpartition("@")[2]
        return "\x00" not in domain and self.filter(domain=domain, provider=by).exists()


class SSODomain(EpochModel):
    """A domain of e-mail addresses, whose it is, and who says who its people are."""

    public_id = PublicIdField("ssod")
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="sso_domains")
    domain = models.CharField(max_length=253, unique=True, validators=[_DOMAIN], help_text="Such as acme.com.")
    provider = models.ForeignKey(IdentityProvider, models.CASCADE, related_name="domains")
    is_required = models.BooleanField(
        "required", default=True, help_text="Its people sign in with this provider and not with a password."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[SSODomainQuerySet] = SSODomainQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = "SSO domain"
        ordering = ["domain"]

    def __str__(self) -> str:
        return self.domain


class SignInAttemptQuerySet(models.QuerySet["SignInAttempt"]):
    def take(self, state: str) -> SignInAttempt | None:
        """Return the attempt that `state` proves, once; None for a state unknown, used or expired."""
        attempt = self.filter(digest=digest_of(state)).select_related("provider").first()
        if attempt is None or not self.filter(pk=attempt.pk).delete()[0]:
            return None
        return attempt if attempt.expires_at > timezone.now() else None

    def forget_expired(self) -> None:
        self.filter(expires_at__lt=timezone.now()).delete()


class SignInAttempt(models.Model):
    """A sign-in over the API that has gone to its provider and not come back. Good once, for ten minutes."""

    digest = models.CharField(max_length=64, unique=True)
    provider = models.ForeignKey(IdentityProvider, models.CASCADE)
    verifier = models.CharField(max_length=128)
    callback_url = models.CharField(max_length=500)
    redirect_url = models.CharField(max_length=2000, blank=True)
    expires_at = models.DateTimeField(db_index=True)

    objects: ClassVar[SignInAttemptQuerySet] = SignInAttemptQuerySet.as_manager()  # type: ignore[assignment]

    def __str__(self) -> str:
        return f"attempt at {self.provider_id}"


def digest_of(state: str) -> str:
    """Return how a state is stored."""
    return hashlib.sha256(state.encode("utf-8", "replace")).hexdigest()

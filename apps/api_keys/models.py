"""API keys. The secret is shown once; only its keyed hash is kept."""

from __future__ import annotations

import datetime
import hmac
from typing import ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from apps.api_keys.tokens import PREFIXES, KeyKind, digests, is_well_formed
from apps.core.epoch import EpochModel, EpochQuerySet
from apps.core.ids import PublicIdField
from apps.organizations.models import Organization
from apps.organizations.principal import Principal
from apps.organizations.roles import Permission, Scope, permissions_of
from apps.projects.models import Project

_SCOPES = frozenset(Scope)


class ApiKeyQuerySet(EpochQuerySet["ApiKey"]):
    def in_organization(self, organization_id: int) -> Self:
        return self.filter(organization_id=organization_id)

    def in_project(self, project_id: int) -> Self:
        return self.filter(project_id=project_id)

    def personal(self, user_id: str) -> Self:
        """Keys of kind user that belong to this user."""
        return self.filter(kind=KeyKind.USER, user_id=user_id)

    def with_public_id(self, public_id: str) -> ApiKey | None:
        return self.filter(public_id=public_id).first()

    def visible_to(self, principal: Principal) -> Self:
        """
        The keys a caller may see and change: its project's, and its own personal ones.

        A key acts in one project and sees no further; one that is a project's sees nobody's personal keys.
        """
        here = self.in_project(principal.project_id)
        shared = here.filter(kind=KeyKind.PROJECT)
        if principal.key_kind == KeyKind.PROJECT:
            return shared
        within = here if principal.key_id is not None else self.in_organization(principal.organization_id)
        return shared | within.personal(principal.user_id)

    def unended(self) -> Self:
        """Keys that are neither revoked nor expired."""
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()), revoked_at=None)

    def usable(self) -> Self:
        return self.unended().filter(user__is_active=True)

    def for_token(self, token: str) -> ApiKey | None:
        """Return the usable key that `token` proves, or None; never says which part was wrong."""
        if not is_well_formed(token):
            return None
        sent = list(digests(token).values())
        rotated = Q(previous_digest__in=sent, previous_expires_at__gt=timezone.now())
        found = self.usable().select_related("user", "organization", "project").filter(Q(digest__in=sent) | rotated)
        return next((key for key in found if key.is_newest(token) or key.is_previous(token)), None)


class ApiKey(EpochModel):
    """
    A credential of a user or a project. It never has more rights than `user`, who made it, has now.

    After a rotation the secret before it works until `previous_expires_at`; both are this one key.
    """

    not_cached = frozenset({"last_used_at", "name"})

    public_id = PublicIdField("key")
    kind = models.CharField(max_length=16, choices=[(kind.value, kind.value) for kind in KeyKind])
    name = models.CharField(max_length=128)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="api_keys")
    project = models.ForeignKey(Project, models.CASCADE, related_name="api_keys")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="api_keys", help_text="Its owner, or who made it."
    )
    digest = models.CharField(max_length=64, unique=True, editable=False)
    pepper_id = models.CharField(max_length=16, editable=False)
    last_four = models.CharField(max_length=4, editable=False)
    previous_digest = models.CharField(max_length=64, unique=True, null=True, editable=False)
    previous_pepper_id = models.CharField(max_length=16, blank=True, editable=False)
    previous_expires_at = models.DateTimeField(null=True, blank=True, editable=False)
    scopes: models.JSONField[list[str], list[str]] = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects: ClassVar[ApiKeyQuerySet] = ApiKeyQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = "API key"
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["organization", "-created_at"], name="api_key_org_created_idx"),
            models.Index(fields=["user", "kind", "-created_at"], name="api_key_user_created_idx"),
            models.Index(fields=["name"], name="api_key_name_idx", opclasses=["varchar_pattern_ops"]),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.redacted_value})"

    @property
    def prefix(self) -> str:
        return PREFIXES[KeyKind(self.kind)]

    @property
    def rights(self) -> frozenset[Scope]:
        """What the key was given. Its user may be allowed less by now."""
        return frozenset(Scope(scope) for scope in self.scopes if scope in _SCOPES)

    @property
    def permissions(self) -> list[Permission]:
        return permissions_of(self.rights)

    @property
    def redacted_value(self) -> str:
        return f"{self.prefix}…{self.last_four}"

    def is_newest(self, token: str) -> bool:
        """Say whether `token` is the newest secret."""
        return hmac.compare_digest(self.digest, digests(token).get(self.pepper_id, ""))

    def is_previous(self, token: str) -> bool:
        """Say whether `token` is the secret before the last rotation. When it ends is not asked here."""
        return hmac.compare_digest(self.previous_digest or "", digests(token).get(self.previous_pepper_id, "-"))

    def good_until(self, token: str) -> datetime.datetime | None:
        """Return when a secret of this key stops working; None for never."""
        if self.is_newest(token):
            return self.expires_at
        return min(end for end in (self.expires_at, self.previous_expires_at) if end is not None)

    @property
    def status(self) -> str:
        """`active`, `expired` or `revoked`."""
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= timezone.now():
            return "expired"
        return "active"

"""API keys. The secret is shown once; only its keyed hash is kept."""

from __future__ import annotations

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
from apps.projects.models import Project


class ApiKeyQuerySet(EpochQuerySet["ApiKey"]):
    def in_organization(self, organization_id: int) -> Self:
        return self.filter(organization_id=organization_id)

    def in_project(self, project_id: int) -> Self:
        return self.filter(project_id=project_id)

    def personal(self, user_id: str) -> Self:
        """Keys of kind user that belong to this user."""
        return self.filter(kind=KeyKind.USER, user_id=user_id)

    def usable(self) -> Self:
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()), revoked_at=None, user__is_active=True)

    def for_token(self, token: str) -> ApiKey | None:
        """Return the usable key that `token` proves, or None; never says which part was wrong."""
        if not is_well_formed(token):
            return None
        by_pepper = digests(token)
        found = self.usable().select_related("user", "organization", "project").filter(digest__in=by_pepper.values())
        for key in found:
            if hmac.compare_digest(key.digest, by_pepper.get(key.pepper_id, "")):
                return key
        return None


class ApiKey(EpochModel):
    """A credential of a user or a project. It never has more rights than `user`, who made it, has now."""

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
    def redacted_value(self) -> str:
        return f"{self.prefix}…{self.last_four}"

    @property
    def status(self) -> str:
        """`active`, `expired` or `revoked`."""
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= timezone.now():
            return "expired"
        return "active"

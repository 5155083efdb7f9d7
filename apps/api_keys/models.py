"""API keys. The secret is shown once; only its keyed hash is kept."""

from __future__ import annotations

import datetime
import hmac
from collections.abc import Collection
from typing import ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from apps.api_keys.tokens import PREFIXES, KeyKind, digests, is_well_formed
from apps.core.epoch import EpochModel
from apps.core.ids import PublicIdField
from apps.organizations.models import Organization, TenantQuerySet
from apps.organizations.principal import Principal
from apps.organizations.roles import Permission, Scope, permissions_of
from apps.projects.models import Project, ServiceAccount

_SCOPES = frozenset(Scope)
# Kinds that are good in all of an organization, so that they belong to none of its projects.
WIDE = frozenset({KeyKind.ADMIN, KeyKind.ORGANIZATION})


class ApiKeyQuerySet(TenantQuerySet):
    def in_project(self, project_id: int) -> Self:
        return self.filter(project_id=project_id)

    def personal(self, user_id: str) -> Self:
        """Keys of kind user that belong to this user."""
        return self.filter(kind=KeyKind.USER, user_id=user_id)

    def of(self, user_id: str) -> Self:
        """
        What a person holds and nobody deleted, of every kind, with where each is good.

        Ephemeral keys end by themselves and come in thousands: they are left out.
        """
        held = self.unrevoked().filter(user_id=user_id, service_account=None, organization__deleted_at=None)
        present = held.filter(Q(project=None) | Q(project__deleted_at=None))
        return present.exclude(kind=KeyKind.EPHEMERAL).select_related("organization", "project")

    def of_project(self) -> Self:
        """Keys a project's people share: its own and its service accounts'. Personal ones are nobody else's."""
        return self.filter(kind__in=(KeyKind.PROJECT, KeyKind.SERVICE_ACCOUNT))

    def held_by(self, *, ids: Collection[str] = (), emails: Collection[str] = ()) -> Self:
        """Keys of people, by their ids or addresses, and of service accounts, by their ids."""
        people = Q(user_id__in=ids) | Q(user__email__in=emails)
        return self.filter(people & Q(service_account=None) | Q(service_account__public_id__in=ids))

    def unrevoked(self) -> Self:
        """Keys nobody deleted."""
        return self.filter(revoked_at=None)

    def visible_to(self, principal: Principal) -> Self:
        """
        The keys a caller may see and change: its project's, its own personal ones, and the ephemeral ones it made.

        A key acts in one project and sees no further; one that is no person's sees nobody's personal keys.
        """
        here = self.in_project(principal.project_id)
        shared = here.filter(kind=KeyKind.PROJECT)
        if principal.key_id is None:
            mine = self.in_organization(principal.organization_id).filter(user_id=principal.user_id)
            return shared | mine.filter(kind__in=(KeyKind.USER, KeyKind.EPHEMERAL))
        made = self.filter(kind=KeyKind.EPHEMERAL, parent_id=principal.key_id)
        if principal.key_kind != KeyKind.USER:
            return shared | made
        return shared | made | here.personal(principal.user_id)

    def unended(self) -> Self:
        """Keys that are neither revoked nor expired."""
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()), revoked_at=None)

    def usable(self) -> Self:
        """Keys that open something: somebody active holds them, and nothing they hang on has ended."""
        held = Q(service_account=None, user__is_active=True) | Q(service_account__is_active=True)
        unended_parent = Q(parent=None) | Q(
            Q(parent__expires_at=None) | Q(parent__expires_at__gt=timezone.now()), parent__revoked_at=None
        )
        present = Q(organization__deleted_at=None) & (Q(project=None) | Q(project__deleted_at=None))
        return self.unended().filter(held, unended_parent, present)

    def for_token(self, token: str) -> ApiKey | None:
        """Return the usable key that `token` proves, or None; never says which part was wrong."""
        if not is_well_formed(token):
            return None
        sent = list(digests(token).values())
        rotated = Q(previous_digest__in=sent, previous_expires_at__gt=timezone.now())
        found = (
            self.usable()
            .select_related("user", "organization", "project__organization", "service_account", "parent")
            .filter(Q(digest__in=sent) | rotated)
            .order_by()
        )
        return next((key for key in found if key.is_newest(token) or key.is_previous(token)), None)


class ApiKey(EpochModel):
    """
    A credential. It never has more rights than its holder has now: `user`, who owns or made it, or `service_account`.

    Without a project it is good in all of its organization. An ephemeral one ends with its `parent`,
    the key that made it. After a rotation the secret before it works until `previous_expires_at`;
    both are this one key.
    """

    not_cached = frozenset({"last_used_at", "name", "description"})

    public_id = PublicIdField("key")
    kind = models.CharField(max_length=16, choices=[(kind.value, kind.value) for kind in KeyKind])
    name = models.CharField(max_length=128)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="api_keys")
    project = models.ForeignKey(Project, models.CASCADE, null=True, blank=True, related_name="api_keys")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="api_keys",
        help_text="Its owner, or who made it.",
    )
    service_account = models.ForeignKey(ServiceAccount, models.CASCADE, null=True, blank=True, related_name="api_keys")
    parent = models.ForeignKey("self", models.CASCADE, null=True, blank=True, related_name="children", editable=False)
    description = models.CharField(max_length=1024, blank=True)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    pepper_id = models.CharField(max_length=16, editable=False)
    last_four = models.CharField(max_length=4, editable=False)
    previous_digest = models.CharField(max_length=64, unique=True, null=True, editable=False)
    previous_pepper_id = models.CharField(max_length=16, blank=True, editable=False)
    previous_expires_at = models.DateTimeField(null=True, blank=True, editable=False)
    scopes: models.JSONField[list[str], list[str]] = models.JSONField(default=list)
    allowed_addresses: models.JSONField[list[str], list[str]] = models.JSONField(
        default=list, blank=True, help_text="Addresses and networks it may be used from. Empty: from anywhere."
    )
    allowed_models: models.JSONField[list[str] | None, list[str] | None] = models.JSONField(
        null=True, blank=True, help_text="Models it may call. Empty: all that its project may."
    )
    conversation = models.CharField(
        max_length=64, blank=True, editable=False, help_text="The id of the only conversation it is good in."
    )
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
            models.Index(fields=["project", "-created_at"], name="api_key_project_created_idx"),
            models.Index(fields=["user", "kind", "-created_at"], name="api_key_user_created_idx"),
            models.Index(fields=["name"], name="api_key_name_idx", opclasses=["varchar_pattern_ops"]),
            models.Index(fields=["kind", "-id"], name="api_key_kind_idx"),
            models.Index(fields=["-id"], name="api_key_revoked_idx", condition=Q(revoked_at__isnull=False)),
            models.Index(fields=["expires_at"], name="api_key_expires_idx", condition=Q(expires_at__isnull=False)),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(project=None) ^ ~Q(kind__in=[kind.value for kind in sorted(WIDE)]),
                name="wide_api_keys_have_no_project",
            )
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

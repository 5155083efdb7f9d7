"""The tenant, and who belongs to it."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.db import models

from apps.core.epoch import EpochModel, EpochQuerySet
from apps.core.ids import PublicIdField
from apps.organizations.roles import Role


class Organization(EpochModel):
    """A tenant: everything that is somebody's belongs to exactly one."""

    public_id = PublicIdField("org")
    name = models.CharField(max_length=128)
    is_personal = models.BooleanField("personal", default=False, help_text="Came with its owner's account.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects: ClassVar[EpochQuerySet[Any]] = EpochQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["-created_at"], name="organization_created_idx"),
            models.Index(fields=["name"], name="organization_name_idx", opclasses=["varchar_pattern_ops"]),
        ]

    def __str__(self) -> str:
        return self.name


class MembershipQuerySet(EpochQuerySet["Membership"]):
    def of(self, user_id: str) -> MembershipQuerySet:
        """Return a user's memberships with their organizations, the personal one first."""
        return self.filter(user_id=user_id).select_related("organization").order_by("-organization__is_personal", "id")


class Membership(EpochModel):
    """A user's place in an organization."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="memberships")
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=[(role.value, role.value) for role in Role])
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[MembershipQuerySet] = MembershipQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["-created_at"]
        constraints = [models.UniqueConstraint(fields=["organization", "user"], name="one_membership_each")]

    def __str__(self) -> str:
        return f"{self.user} in {self.organization}"

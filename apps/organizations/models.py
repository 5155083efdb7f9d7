"""The tenant, who belongs to it, who is asked to, and its groups and roles."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from apps.core.epoch import EpochModel, EpochQuerySet
from apps.core.ids import PublicIdField
from apps.organizations.roles import Role, Scope

_SCOPES = frozenset(Scope)


class OrganizationQuerySet(EpochQuerySet["Organization"]):
    def present(self) -> Self:
        """Organizations that were not deleted."""
        return self.filter(deleted_at=None)

    def of(self, user_id: str) -> Self:
        """Organizations a user belongs to."""
        return self.present().filter(memberships__user_id=user_id)


class Organization(EpochModel):
    """
    A tenant: everything that is somebody's belongs to exactly one.

    A deleted one admits nobody any more and is purged after ORGANIZATION_PURGE_DAYS.
    """

    public_id = PublicIdField("org")
    name = models.CharField(max_length=128)
    description = models.CharField(max_length=1024, blank=True)
    domain = models.CharField(max_length=253, blank=True, help_text="Shown to people who are invited. Opens nothing.")
    settings: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict, blank=True)
    is_personal = models.BooleanField("personal", default=False, help_text="Came with its owner's account.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects: ClassVar[OrganizationQuerySet] = OrganizationQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["-created_at"], name="organization_created_idx"),
            models.Index(fields=["name"], name="organization_name_idx", opclasses=["varchar_pattern_ops"]),
            models.Index(fields=["deleted_at"], name="organization_deleted_idx", condition=Q(deleted_at__isnull=False)),
            models.Index(fields=["is_personal", "-created_at"], name="organization_personal_idx"),
        ]

    def __str__(self) -> str:
        return self.name


class TenantQuerySet(EpochQuerySet[Any]):
    """Rows that belong to an organization."""

    def in_organization(self, organization_id: int) -> Self:
        return self.filter(organization_id=organization_id)

    def with_public_id(self, public_id: str) -> Any:
        """Return the row of this id among these, or None."""
        return self.filter(public_id=public_id).first() if "\x00" not in public_id else None

    def with_public_ids(self, public_ids: Iterable[str]) -> Self:
        return self.filter(public_id__in=list(public_ids))


class TenantModel(EpochModel):
    """A row of an organization. What may be seen of it is asked of `in_organization` and its like, never of `all`."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[TenantQuerySet] = TenantQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        abstract = True


class MembershipQuerySet(TenantQuerySet):
    def of(self, user_id: str) -> Self:
        """Return a user's memberships with their organizations, the personal one first."""
        mine = self.filter(user_id=user_id, organization__deleted_at=None).select_related("organization")
        return mine.order_by("-organization__is_personal", "id")


class Membership(TenantModel):
    """A user's place in an organization. Its places in projects and groups hang on it and end with it."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="memberships")
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=[(role.value, role.value) for role in Role])

    objects: ClassVar[MembershipQuerySet] = MembershipQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["organization", "-created_at"], name="membership_org_created_idx"),
            models.Index(fields=["role", "-id"], name="membership_role_idx"),
        ]
        constraints = [models.UniqueConstraint(fields=["organization", "user"], name="one_membership_each")]

    def __str__(self) -> str:
        return f"{self.user} in {self.organization}"


class InviteState(StrEnum):
    PENDING = "pending"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    REVOKED = "revoked"
    EXPIRED = "expired"


class InviteQuerySet(TenantQuerySet):
    def pending(self) -> Self:
        """Invites that nobody has answered, and whose time is not up."""
        return self.filter(state=InviteState.PENDING, expires_at__gt=timezone.now())

    def open(self) -> Self:
        """Those of them whose organization is still there."""
        return self.pending().filter(organization__deleted_at=None)

    def overdue(self) -> Self:
        """Invites whose time is up and that nobody has marked yet."""
        return self.filter(state=InviteState.PENDING, expires_at__lte=timezone.now())

    def listed(self) -> Self:
        """Invites that were not revoked: those are gone."""
        return self.exclude(state=InviteState.REVOKED)

    def with_status(self, status: str) -> Self:
        """Invites that clients know by this status, see `Invite.status`."""
        if status == InviteState.PENDING:
            return self.pending()
        if status == InviteState.ACCEPTED:
            return self.filter(state=InviteState.ACCEPTED)
        ended = Q(state__in=[InviteState.EXPIRED, InviteState.DECLINED])
        return self.filter(ended | Q(state=InviteState.PENDING, expires_at__lte=timezone.now()))


class Invite(TenantModel):
    """
    A mailed offer of a place in an organization.

    Its link carries a secret of its own, kept as a digest; the public id opens nothing. It is good
    once, for this address, organization and role.
    """

    not_cached = frozenset(
        {"state", "token_digest", "invited_by", "inviter", "expires_at", "sent_at", "accepted_at", "role", "message"}
    )

    public_id = PublicIdField("inv")
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="invites")
    email = models.EmailField("e-mail")
    role = models.CharField(max_length=16, choices=[(role.value, role.value) for role in Role])
    message = models.CharField(max_length=2000, blank=True)
    token_digest = models.CharField(max_length=64, unique=True, editable=False)
    state = models.CharField(
        max_length=16, choices=[(state.value, state.value) for state in InviteState], default=InviteState.PENDING
    )
    invited_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    inviter = models.CharField(max_length=254, blank=True, help_text="Who asked, as the invited person reads it.")
    expires_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True, editable=False)
    accepted_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects: ClassVar[InviteQuerySet] = InviteQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["organization", "-created_at"], name="invite_org_created_idx"),
            models.Index(fields=["email"], name="invite_email_like_idx", opclasses=["varchar_pattern_ops"]),
            models.Index(fields=["state", "-id"], name="invite_state_idx"),
            models.Index(fields=["expires_at"], name="invite_pending_idx", condition=Q(state="pending")),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "email"], condition=Q(state="pending"), name="one_pending_invite_each"
            )
        ]

    def __str__(self) -> str:
        return f"{self.email} to {self.organization}"

    @property
    def life(self) -> datetime.timedelta:
        """How long it is good for from being sent."""
        return self.expires_at - (self.sent_at or self.created_at)

    @property
    def status_detail(self) -> str:
        """The state it is in now, whether or not somebody has marked it expired yet."""
        is_overdue = self.state == InviteState.PENDING and self.expires_at <= timezone.now()
        return InviteState.EXPIRED if is_overdue else self.state

    @property
    def status(self) -> str:
        """The state in OpenAI's words: `pending`, `accepted` or `expired`, which is also what was declined."""
        state = self.status_detail
        return InviteState.EXPIRED if state == InviteState.DECLINED else state


class Group(TenantModel):
    """People who get roles together."""

    public_id = PublicIdField("group")
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="groups")
    name = models.CharField(max_length=128)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["name"], name="group_name_idx", opclasses=["varchar_pattern_ops"]),
            models.Index(fields=["organization", "-created_at"], name="group_org_created_idx"),
        ]
        constraints = [models.UniqueConstraint(fields=["organization", "name"], name="group_name_once")]

    def __str__(self) -> str:
        return self.name


class GroupMembership(TenantModel):
    """A member's place in a group."""

    raises_on_insert = True

    group = models.ForeignKey(Group, models.CASCADE, related_name="memberships")
    membership = models.ForeignKey(Membership, models.CASCADE, related_name="groups")

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [models.Index(fields=["organization", "-created_at"], name="group_member_org_created_idx")]
        constraints = [models.UniqueConstraint(fields=["group", "membership"], name="once_in_a_group")]

    def __str__(self) -> str:
        return f"{self.membership.user} in {self.group}"


class ResourceType(StrEnum):
    """Where a role can be given."""

    ORGANIZATION = "organization"
    PROJECT = "project"


class CustomRole(TenantModel):
    """Rights an organization put together itself. The predefined roles are in `apps.organizations.roles`."""

    public_id = PublicIdField("role")
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="roles")
    name = models.CharField(max_length=128)
    description = models.CharField(max_length=1024, blank=True)
    resource_type = models.CharField(max_length=16, choices=[(kind.value, kind.value) for kind in ResourceType])
    permissions: models.JSONField[list[str], list[str]] = models.JSONField(default=list)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [models.Index(fields=["name"], name="role_name_idx", opclasses=["varchar_pattern_ops"])]
        constraints = [models.UniqueConstraint(fields=["organization", "resource_type", "name"], name="role_name_once")]

    def __str__(self) -> str:
        return self.name

    @property
    def scopes(self) -> frozenset[Scope]:
        return frozenset(Scope(scope) for scope in self.permissions if scope in _SCOPES)


def given_once(name: str, *place: str) -> list[models.UniqueConstraint]:
    """Return what keeps a role from being given twice at a place. Four of them: SQLite takes every NULL for another."""
    roles = {"role": Q(role__isnull=False), "predefined": ~Q(predefined="")}
    return [
        models.UniqueConstraint(
            fields=[*place, to, what], condition=is_set & Q(**{f"{to}__isnull": False}), name=f"{name}_{what}_{to}_once"
        )
        for what, is_set in roles.items()
        for to in ("membership", "group")
    ]


class RoleAssignment(TenantModel):
    """
    A role given to a member or a group, beside the role every member has.

    It is a custom role, or a predefined one by its name. `apps.projects` has the same for projects.
    """

    raises_on_insert = True

    role = models.ForeignKey(CustomRole, models.CASCADE, null=True, blank=True, related_name="%(class)ss")
    predefined = models.CharField(max_length=16, blank=True)
    membership = models.ForeignKey(Membership, models.CASCADE, null=True, blank=True, related_name="%(class)ss")
    group = models.ForeignKey(Group, models.CASCADE, null=True, blank=True, related_name="%(class)ss")

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(condition=Q(role=None) ^ Q(predefined=""), name="%(class)s_of_one_role"),
            models.CheckConstraint(condition=Q(membership=None) ^ Q(group=None), name="%(class)s_to_one"),
        ]
        abstract = True

    def __str__(self) -> str:
        return f"{self.role or self.predefined} to {self.membership or self.group}"


class OrganizationRoleAssignment(RoleAssignment):
    """A role in the whole organization."""

    class Meta(RoleAssignment.Meta):
        constraints = [*RoleAssignment.Meta.constraints, *given_once("organization", "organization")]

"""The boundary inside a tenant that keys and usage hang on."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from apps.core.epoch import EpochModel
from apps.core.ids import PublicIdField
from apps.organizations.models import (
    Invite,
    Membership,
    Organization,
    RoleAssignment,
    TenantModel,
    TenantQuerySet,
    given_once,
)
from apps.organizations.principal import Principal
from apps.organizations.roles import ProjectRole, Scope

_USER = settings.AUTH_USER_MODEL  # a project has a column called settings
_PROJECT_ROLES = [(role.value, role.value) for role in ProjectRole]
# What a service account is made with that gets its rights later.
NO_ROLE = "none"


class ProjectQuerySet(TenantQuerySet):
    def present(self) -> Self:
        """Projects that were not deleted, in organizations that were not."""
        return self.filter(deleted_at=None, organization__deleted_at=None)

    def active(self) -> Self:
        """Projects that are not archived either."""
        return self.present().filter(archived_at=None)

    def visible_to(self, principal: Principal) -> Self:
        """
        The projects a caller may know of: all of its organization, or those it has a place in.

        Keys but an admin's or an organization's act in one project and see no further.
        """
        here = self.in_organization(principal.organization_id).present()
        if principal.key_kind not in (None, "admin", "organization"):
            return here.filter(pk=principal.project_id)
        if Scope.PROJECTS_READ in principal.organization_scopes or principal.key_kind == "organization":
            return here
        return here.filter(self._placed(principal.user_id)).distinct()

    @staticmethod
    def _placed(user_id: str) -> Q:
        place = Q(is_default=True) | Q(memberships__membership__user_id=user_id)
        given = Q(projectroleassignments__membership__user_id=user_id)
        return place | given | Q(projectroleassignments__group__memberships__membership__user_id=user_id)


class Project(EpochModel):
    """
    Where an organization's keys live and its usage is counted. Each organization has one default project.

    An archived one can only be read; a deleted one is gone for everybody and purged later.
    `settings` are `default_model`, `allowed_models`, `max_conversations`, `retention_days`, `storage`.
    """

    public_id = PublicIdField("proj")
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="projects")
    name = models.CharField(max_length=128)
    description = models.CharField(max_length=1024, blank=True)
    settings: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict, blank=True)
    is_default = models.BooleanField("default", default=False)
    created_by = models.ForeignKey(_USER, models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects: ClassVar[ProjectQuerySet] = ProjectQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["name"], name="project_name_idx", opclasses=["varchar_pattern_ops"]),
            models.Index(fields=["organization", "-created_at"], name="project_org_created_idx"),
            models.Index(fields=["deleted_at"], name="project_deleted_idx", condition=Q(deleted_at__isnull=False)),
            models.Index(fields=["-id"], name="project_archived_idx", condition=Q(archived_at__isnull=False)),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["organization"], condition=models.Q(is_default=True), name="one_default_project"
            ),
            models.CheckConstraint(
                condition=Q(is_default=False) | Q(archived_at=None, deleted_at=None), name="default_project_stays"
            ),
        ]

    def __str__(self) -> str:
        # Almost every organization has a "Default project"; alone the name says nothing.
        return f"{self.name} · {self.organization}"

    @property
    def is_archived(self) -> bool:
        return self.archived_at is not None

    @property
    def status(self) -> str:
        """`active` or `archived`."""
        return "archived" if self.is_archived else "active"


class ProjectMembership(TenantModel):
    """A member's role in a project."""

    raises_on_insert = True

    project = models.ForeignKey(Project, models.CASCADE, related_name="memberships")
    membership = models.ForeignKey(Membership, models.CASCADE, related_name="projects")
    role = models.CharField(max_length=16, choices=_PROJECT_ROLES)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["organization", "-created_at"], name="project_member_org_idx"),
            models.Index(fields=["project", "-created_at"], name="project_member_created_idx"),
        ]
        constraints = [models.UniqueConstraint(fields=["project", "membership"], name="once_in_a_project")]

    def __str__(self) -> str:
        return f"{self.membership.user} in {self.project}"


class ProjectRoleAssignment(RoleAssignment):
    """A role in one project."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="projectroleassignments")

    class Meta(RoleAssignment.Meta):
        constraints = [*RoleAssignment.Meta.constraints, *given_once("project", "project")]


class InvitedProject(TenantModel):
    """A place in a project that comes with accepting an invite."""

    invite = models.ForeignKey(Invite, models.CASCADE, related_name="projects")
    project = models.ForeignKey(Project, models.CASCADE, related_name="+")
    role = models.CharField(max_length=16, choices=_PROJECT_ROLES)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["invite", "project"], name="once_in_an_invite")]

    def __str__(self) -> str:
        return f"{self.project} as {self.role}"


class ServiceAccountQuerySet(TenantQuerySet):
    def active_in(self, project: Project) -> Self:
        """A project's accounts that were not deleted."""
        return self.in_organization(project.organization_id).filter(project=project, is_active=True)


class ServiceAccount(TenantModel):
    """
    A program's place in a project. Its keys have its rights, whoever made them and whatever became of them.

    A deleted one is inactive for ever, so that its keys and its usage can be explained.
    """

    public_id = PublicIdField("sa")
    project = models.ForeignKey(Project, models.CASCADE, related_name="service_accounts")
    name = models.CharField(max_length=128)
    role = models.CharField(max_length=16, choices=[*_PROJECT_ROLES, (NO_ROLE, NO_ROLE)], default=ProjectRole.MEMBER)
    created_by = models.ForeignKey(_USER, models.SET_NULL, null=True, blank=True, related_name="+")
    is_active = models.BooleanField("active", default=True)

    objects: ClassVar[ServiceAccountQuerySet] = ServiceAccountQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["project", "-created_at"], name="service_account_created_idx"),
            models.Index(fields=["organization", "-created_at"], name="service_account_org_idx"),
            models.Index(fields=["name"], name="service_account_name_idx", opclasses=["varchar_pattern_ops"]),
            models.Index(fields=["-id"], name="service_account_gone_idx", condition=Q(is_active=False)),
        ]

    def __str__(self) -> str:
        return self.name


def default_project(organization_id: int) -> Any:
    """Return an organization's default project, or None while it has none."""
    projects = Project.objects.in_organization(organization_id).present()
    return projects.filter(is_default=True).select_related("organization").first()

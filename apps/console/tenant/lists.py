"""The lists of the owners' site: the operators' own, each with the path to whose rows they are."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import Model

from apps.api_keys.models import ApiKey
from apps.audit.admin import AuditEventAdmin
from apps.audit.models import AuditEvent
from apps.console.admin.groups import GroupAdmin, GroupMembershipAdmin
from apps.console.admin.invites import InviteAdmin
from apps.console.admin.members import MembershipAdmin
from apps.console.admin.organizations import OrganizationAdmin
from apps.console.admin.project_members import ProjectMembershipAdmin
from apps.console.admin.projects import ProjectAdmin
from apps.console.admin.roles import CustomRoleAdmin, OrganizationAssignmentAdmin, ProjectAssignmentAdmin
from apps.console.admin.service_accounts import ServiceAccountAdmin
from apps.console.tenant.keys import TenantApiKeyAdmin
from apps.console.tenant.limits import TenantRateLimitAdmin
from apps.console.tenant.scoped import ScopedMixin, scoped
from apps.console.tenant.site import site
from apps.core.admin import OperatorAdmin
from apps.organizations.models import (
    CustomRole,
    Group,
    GroupMembership,
    Invite,
    Membership,
    Organization,
    OrganizationRoleAssignment,
)
from apps.projects.models import Project, ProjectMembership, ProjectRoleAssignment, ServiceAccount
from apps.quotas.models import RateLimit
from apps.usage.admin import UsageRecordAdmin
from apps.usage.models import UsageRecord


class TenantOrganizationAdmin(ScopedMixin, OrganizationAdmin):
    """One's own organization. There is no list of one."""

    tenant_path = "pk"
    actions: ClassVar[tuple[str, ...]] = ()

    def changelist_view(self, request: Any, extra_context: Any = None) -> Any:
        return site.index(request)


def beside(list_class: Any, *, model: type[Model]) -> type[Any]:
    """Return a list's class for this site, which reads beside a page what it would join."""
    return scoped(list_class, model=model, prefetched=list_class.list_select_related, list_select_related=())


LISTS: dict[type[Model], type[OperatorAdmin]] = {
    Organization: TenantOrganizationAdmin,
    ApiKey: TenantApiKeyAdmin,
    Membership: scoped(MembershipAdmin, model=Membership),
    Invite: scoped(InviteAdmin, model=Invite),
    Project: scoped(ProjectAdmin, model=Project),
    ProjectMembership: beside(ProjectMembershipAdmin, model=ProjectMembership),
    Group: scoped(GroupAdmin, model=Group),
    GroupMembership: beside(GroupMembershipAdmin, model=GroupMembership),
    CustomRole: scoped(CustomRoleAdmin, model=CustomRole),
    OrganizationRoleAssignment: scoped(OrganizationAssignmentAdmin, model=OrganizationRoleAssignment),
    ProjectRoleAssignment: scoped(ProjectAssignmentAdmin, model=ProjectRoleAssignment),
    ServiceAccount: beside(ServiceAccountAdmin, model=ServiceAccount),
    RateLimit: TenantRateLimitAdmin,
    UsageRecord: scoped(UsageRecordAdmin, model=UsageRecord),
    AuditEvent: scoped(AuditEventAdmin, "organization", model=AuditEvent),
}

for model, list_class in LISTS.items():
    site.register(model, list_class)

__all__ = ["LISTS", "site"]

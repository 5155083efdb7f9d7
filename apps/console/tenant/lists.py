"""The lists of the owners' site: the operators' own, each with the path to whose rows they are."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import Model
from django.http import HttpRequest, HttpResponse

from apps.api_keys.models import ApiKey
from apps.audit.admin import AuditEventAdmin
from apps.audit.models import AuditEvent
from apps.audit.services import Action
from apps.console.admin.conversations import ChatProjectAdmin, ConversationAdmin, OwnedAdmin
from apps.console.admin.groups import GroupAdmin, GroupMembershipAdmin
from apps.console.admin.invites import InviteAdmin
from apps.console.admin.members import MembershipAdmin
from apps.console.admin.organizations import OrganizationAdmin
from apps.console.admin.panels import page_url
from apps.console.admin.project_members import ProjectMembershipAdmin
from apps.console.admin.projects import ProjectAdmin
from apps.console.admin.roles import CustomRoleAdmin, OrganizationAssignmentAdmin, ProjectAssignmentAdmin
from apps.console.admin.service_accounts import ServiceAccountAdmin
from apps.console.openings import MOST_TOLD, TOLD_DAYS, openings_in
from apps.console.tenant.keys import TenantApiKeyAdmin
from apps.console.tenant.limits import TenantRateLimitAdmin
from apps.console.tenant.scoped import ScopedMixin, scoped
from apps.console.tenant.site import site
from apps.console.tenant.tenancy import tenancy_of
from apps.conversations.models import ChatProject, Conversation
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


class ToldMixin(OperatorAdmin):
    """Goes before a list's own class. Its pages say how often operators have opened conversations lately."""

    change_form_before_template = list_before_template = "console/tenant/openings.html"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        told = {**(extra_context or {}), **self._openings(request)}
        answer: HttpResponse = super().change_view(request, object_id, form_url, told)
        return answer

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        answer: HttpResponse = super().changelist_view(request, {**(extra_context or {}), **self._openings(request)})
        return answer

    def _openings(self, request: HttpRequest) -> dict[str, Any]:
        tenancy = tenancy_of(request)
        if tenancy is None or not tenancy.allows("view", AuditEvent):
            return {}
        audit_log = page_url(self, AuditEvent, "changelist")
        return {
            "openings": openings_in(tenancy.organization),
            "openings_url": f"{audit_log}?action={Action.CONVERSATION_OPENED}",
            "opening_days": TOLD_DAYS,
            "most_openings": MOST_TOLD,
        }


class TenantOrganizationAdmin(ToldMixin, ScopedMixin, OrganizationAdmin):
    """One's own organization. There is no list of one."""

    tenant_path = "pk"
    actions: ClassVar[tuple[str, ...]] = ()

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return site.index(request)


def beside(list_class: Any, *, model: type[Model], **attributes: Any) -> type[Any]:
    """Return a list's class for this site, which reads beside a page what it would join."""
    prefetched = list_class.list_select_related
    return scoped(list_class, model=model, prefetched=prefetched, list_select_related=(), **attributes)


def to_look_at(list_class: Any, *, model: type[Model]) -> type[Any]:
    """As `beside`, without anything that could be done to a row."""
    here = OwnedAdmin.list_filter[1:]  # there is one organization
    told = type(list_class.__name__, (ToldMixin, list_class), {})
    return beside(told, model=model, list_filter=here, actions=(), actions_detail=())


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
    Conversation: to_look_at(ConversationAdmin, model=Conversation),
    ChatProject: to_look_at(ChatProjectAdmin, model=ChatProject),
    UsageRecord: scoped(UsageRecordAdmin, model=UsageRecord),
    AuditEvent: scoped(AuditEventAdmin, "organization", model=AuditEvent),
}

for model, list_class in LISTS.items():
    site.register(model, list_class)

__all__ = ["LISTS", "site"]

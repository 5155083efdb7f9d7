"""Which organization a request of the owners' site is about, and what the user may do there."""

from __future__ import annotations

from typing import NamedTuple

from django.db.models import Model
from django.http import HttpRequest

from apps.accounts.models import User
from apps.api_keys.models import ApiKey
from apps.audit.models import AuditEvent
from apps.conversations.models import ChatProject, Conversation
from apps.core import wall
from apps.organizations.models import (
    CustomRole,
    Group,
    GroupMembership,
    Invite,
    Membership,
    Organization,
    OrganizationRoleAssignment,
)
from apps.organizations.rights import organization_rights
from apps.organizations.roles import Scope
from apps.projects.models import Project, ProjectMembership, ProjectRoleAssignment, ServiceAccount
from apps.quotas.models import RateLimit
from apps.usage.models import UsageRecord

_SESSION_KEY = "organization_site"
_CACHED = "_tenancy"
# Somebody may belong to very many; the rights of so many are looked up to list them.
MOST_LISTED = 100

# What each verb of the admin takes at the organization. A verb that is not here is not there.
RIGHTS: dict[type[Model], dict[str, Scope]] = {
    Organization: {
        "view": Scope.ORGANIZATION_READ,
        "change": Scope.ORGANIZATION_WRITE,
        "delete": Scope.ORGANIZATION_DELETE,
    },
    # Strangers are invited: nobody is made a member unasked.
    Membership: {"view": Scope.MEMBERS_READ, "change": Scope.MEMBERS_WRITE, "delete": Scope.MEMBERS_WRITE},
    Invite: {"view": Scope.INVITES_READ, "add": Scope.INVITES_WRITE, "change": Scope.INVITES_WRITE},
    Project: {
        "view": Scope.PROJECTS_READ,
        "add": Scope.PROJECTS_WRITE,
        "change": Scope.PROJECTS_WRITE,
        "delete": Scope.PROJECTS_WRITE,
    },
    ProjectMembership: {
        "view": Scope.MEMBERS_READ,
        "add": Scope.MEMBERS_WRITE,
        "change": Scope.MEMBERS_WRITE,
        "delete": Scope.MEMBERS_WRITE,
    },
    ApiKey: {"view": Scope.API_KEYS_READ, "add": Scope.API_KEYS_WRITE, "change": Scope.API_KEYS_WRITE},
    ServiceAccount: {
        "view": Scope.SERVICE_ACCOUNTS_READ,
        "add": Scope.SERVICE_ACCOUNTS_WRITE,
        "change": Scope.SERVICE_ACCOUNTS_WRITE,
        "delete": Scope.SERVICE_ACCOUNTS_WRITE,
    },
    Group: {
        "view": Scope.GROUPS_READ,
        "add": Scope.GROUPS_WRITE,
        "change": Scope.GROUPS_WRITE,
        "delete": Scope.GROUPS_WRITE,
    },
    GroupMembership: {"view": Scope.GROUPS_READ, "add": Scope.GROUPS_WRITE, "delete": Scope.GROUPS_WRITE},
    CustomRole: {
        "view": Scope.ROLES_READ,
        "add": Scope.ROLES_WRITE,
        "change": Scope.ROLES_WRITE,
        "delete": Scope.ROLES_WRITE,
    },
    OrganizationRoleAssignment: {"view": Scope.ROLES_READ, "add": Scope.ROLES_WRITE, "delete": Scope.ROLES_WRITE},
    ProjectRoleAssignment: {"view": Scope.ROLES_READ, "add": Scope.ROLES_WRITE, "delete": Scope.ROLES_WRITE},
    RateLimit: {
        "view": Scope.RATE_LIMITS_READ,
        "add": Scope.RATE_LIMITS_WRITE,
        "change": Scope.RATE_LIMITS_WRITE,
        "delete": Scope.RATE_LIMITS_WRITE,
    },
    # That they are there. What they say is their owners', and nobody else opens it here.
    Conversation: {"view": Scope.CONVERSATIONS_READ},
    ChatProject: {"view": Scope.CONVERSATIONS_READ},
    UsageRecord: {"view": Scope.USAGE_READ},
    AuditEvent: {"view": Scope.AUDIT_LOGS_READ},
}


class Tenancy(NamedTuple):
    """The organization, the user's place in it, and its rights there."""

    organization: Organization
    membership: Membership
    rights: frozenset[Scope]

    def allows(self, verb: str, model: type[Model]) -> bool:
        """Say whether the user may do this to rows of a model."""
        scope = RIGHTS.get(model, {}).get(verb)
        return scope is not None and scope in self.rights


def tenancy_of(request: HttpRequest) -> Tenancy | None:
    """
    Return what this request is about; None for whoever manages no organization.

    It is the organization that was chosen in this session, or else the first. From here on the
    database shows this request no other one's rows.
    """
    if not hasattr(request, _CACHED):
        found = _find(request)
        setattr(request, _CACHED, found)
        if found is not None:
            request.session[_SESSION_KEY] = found.organization.public_id
            wall.narrow(found.organization.pk, found.organization.public_id)
    tenancy: Tenancy | None = getattr(request, _CACHED)
    return tenancy


def managed_by(user: User) -> list[Organization]:
    """Return the organizations that a user manages, its own first."""
    memberships = Membership.objects.of(user.pk)[:MOST_LISTED]
    return [each.organization for each in memberships if _tenancy(user, each) is not None]


def memberships_beside(user: User, managed: list[Organization]) -> list[Membership]:
    """Return a user's places in organizations that it does not manage."""
    return [each for each in Membership.objects.of(user.pk)[:MOST_LISTED] if each.organization not in managed]


def choose(request: HttpRequest, organization: Organization) -> None:
    """Let the session be about this organization. What the user may do there is looked up with each request."""
    request.session[_SESSION_KEY] = organization.public_id


def _find(request: HttpRequest) -> Tenancy | None:
    user = request.user
    if not isinstance(user, User) or not user.is_active:
        return None
    memberships = Membership.objects.of(user.pk)
    if chosen := request.session.get(_SESSION_KEY):
        membership = memberships.filter(organization__public_id=chosen).first()
        if membership is not None and (found := _tenancy(user, membership)) is not None:
            return found
    return next((found for each in memberships[:MOST_LISTED] if (found := _tenancy(user, each)) is not None), None)


def _tenancy(user: User, membership: Membership) -> Tenancy | None:
    rights = organization_rights(membership, is_guest=user.has_guest_rights)
    return Tenancy(membership.organization, membership, rights) if Scope.ORGANIZATION_WRITE in rights else None

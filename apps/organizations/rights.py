"""What somebody may do at an organization."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Q

from apps.organizations.models import Membership, OrganizationRoleAssignment, RoleAssignment
from apps.organizations.roles import GUEST_SCOPES, PROJECT_ROLE_SCOPES, ROLE_SCOPES, ProjectRole, Role, Scope


def given_to(membership: Membership) -> Q:
    """Return what finds the role assignments of a member: its own, and its groups', those as often as it is in them."""
    return Q(membership=membership) | Q(group__memberships__membership=membership)


def scopes_given(assignments: Iterable[RoleAssignment]) -> frozenset[Scope]:
    """Return the rights that assignments give together. Their custom roles should be read along."""
    given: frozenset[Scope] = frozenset()
    for assignment in assignments:
        given |= assignment.role.scopes if assignment.role else predefined_scopes(assignment)
    return given


def predefined_scopes(assignment: RoleAssignment) -> frozenset[Scope]:
    """Return the rights of the predefined role that an assignment names."""
    if isinstance(assignment, OrganizationRoleAssignment):
        return ROLE_SCOPES[Role(assignment.predefined)]
    return PROJECT_ROLE_SCOPES[ProjectRole(assignment.predefined)]


def organization_rights(membership: Membership, *, is_guest: bool = False) -> frozenset[Scope]:
    """Return what a member may do at its organization, by its role and those given beside it. One query."""
    assignments = OrganizationRoleAssignment.objects.in_organization(membership.organization_id)
    extra = scopes_given(assignments.filter(given_to(membership)).select_related("role").order_by())
    return rights_with(extra, membership, is_guest=is_guest)


def rights_with(extra: frozenset[Scope], membership: Membership, *, is_guest: bool) -> frozenset[Scope]:
    """Return what a member may do at its organization that was given this beside its role."""
    rights = ROLE_SCOPES[Role(membership.role)] | extra
    return rights & GUEST_SCOPES if is_guest else rights

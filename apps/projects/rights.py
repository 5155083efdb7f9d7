"""What somebody may do in a project."""

from __future__ import annotations

from typing import NamedTuple

from django.db.models import JSONField, Q, Value

from apps.accounts.models import User
from apps.organizations.models import CustomRole, Membership, OrganizationRoleAssignment
from apps.organizations.principal import CALLING, TALKING, Principal
from apps.organizations.rights import given_to, organization_rights, rights_with, scopes_given
from apps.organizations.roles import (
    ALL,
    ARCHIVED_SCOPES,
    DEFAULT_PROJECT_ROLES,
    GUEST_SCOPES,
    PROJECT_ROLE_SCOPES,
    ROLE_SCOPES,
    ProjectRole,
    Role,
    Scope,
)
from apps.projects.models import (
    NO_ROLE,
    Project,
    ProjectMembership,
    ProjectQuerySet,
    ProjectRoleAssignment,
    ServiceAccount,
)

NOTHING: frozenset[Scope] = frozenset()


class MemberRights(NamedTuple):
    """What a member may do at its organization, and in one project of it."""

    at_organization: frozenset[Scope]
    in_project: frozenset[Scope]


def project_rights(membership: Membership, project: Project, *, is_guest: bool = False) -> frozenset[Scope]:
    """
    Return what a member may do in a project of its organization: nothing, without a place in it.

    Rights held at the organization hold here too, once there is a place: by projects.read at the
    organization, a role in the project, or because it is the default one. One query.
    """
    return member_rights(membership, project, is_guest=is_guest).in_project


def member_rights(membership: Membership, project: Project, *, is_guest: bool = False) -> MemberRights:
    """Return both `organization_rights` and `project_rights` of a member. One query."""
    extra, here = _given(membership, project)
    wide = rights_with(extra, membership, is_guest=is_guest)
    if project.is_default:
        here |= PROJECT_ROLE_SCOPES[DEFAULT_PROJECT_ROLES[Role(membership.role)]]
    if project.organization_id != membership.organization_id or not (here or Scope.PROJECTS_READ in wide):
        return MemberRights(wide, NOTHING)
    rights = wide | here
    if is_guest:
        rights &= GUEST_SCOPES
    return MemberRights(wide, rights & ARCHIVED_SCOPES if project.is_archived else rights)


def _given(membership: Membership, project: Project) -> MemberRights:
    """Return what the roles give that a member has beside its own, by itself or through groups."""
    to_it, of, role = given_to(membership), membership.organization_id, ("predefined", "role__permissions")
    at_organization = OrganizationRoleAssignment.objects.in_organization(of).filter(to_it)
    in_project = ProjectRoleAssignment.objects.in_organization(of).filter(to_it, project=project)
    places = ProjectMembership.objects.in_organization(of).filter(membership=membership, project=project)
    rows = (
        at_organization.order_by()
        .values_list(*role, Value(True))
        .union(
            in_project.order_by().values_list(*role, Value(False)),
            places.order_by().values_list("role", Value(None, JSONField()), Value(False)),
            all=True,
        )
    )
    wide, here = NOTHING, NOTHING
    for predefined, permissions, is_wide in rows:
        if not predefined:
            scopes = CustomRole(permissions=permissions).scopes
        else:
            scopes = ROLE_SCOPES[Role(predefined)] if is_wide else PROJECT_ROLE_SCOPES[ProjectRole(predefined)]
        wide, here = (wide | scopes, here) if is_wide else (wide, here | scopes)
    return MemberRights(wide, here)


def projects_of(user: User) -> ProjectQuerySet:
    """
    Return the projects a person has a place in, over all its organizations, by the rules of `project_rights`.

    A place may still come with no rights: a custom role without any gives none. One query, beside
    that of the rows.
    """
    mine = Q(membership__user=user) | Q(group__memberships__membership__user=user)
    assignments = OrganizationRoleAssignment.objects.filter(mine).select_related("role").distinct()
    wide = {each.organization_id for each in assignments if Scope.PROJECTS_READ in scopes_given([each])}
    everywhere = [role.value for role in Role if Scope.PROJECTS_READ in ROLE_SCOPES[role]]
    memberships = Membership.objects.of(user.pk).order_by()
    manages = memberships.filter(Q(role__in=everywhere) | Q(organization_id__in=wide))
    in_all = Q(organization_id__in=manages.values("organization_id"))
    joined = Q(pk__in=ProjectMembership.objects.filter(membership__user=user).values("project_id"))
    given = Q(pk__in=ProjectRoleAssignment.objects.filter(mine).values("project_id"))
    # The organizations first: alone, the alternatives would be looked for among everybody's projects.
    found: ProjectQuerySet = Project.objects.present().filter(organization_id__in=memberships.values("organization_id"))
    return found.filter(in_all | Q(is_default=True) | joined | given)


def service_account_rights(account: ServiceAccount, project: Project) -> frozenset[Scope]:
    """Return what a service account may do in a project: something in its own, nothing elsewhere."""
    if not account.is_active or account.project_id != project.pk or account.role == NO_ROLE:
        return NOTHING
    rights = PROJECT_ROLE_SCOPES[ProjectRole(account.role)]
    return rights & ARCHIVED_SCOPES if project.is_archived else rights


def can_use(kind: str | None) -> frozenset[Scope]:
    """Return what a credential of this kind can be used for at all; None is an access token."""
    if kind is None:
        return ALL
    return ALL - TALKING if kind == "admin" else CALLING


def grants_of(principal: Principal, project: Project | None) -> frozenset[Scope]:
    """
    Return what a caller can hand on: in a project, or at its organization if there is none.

    It is what the holder has there today, within what its key was given. An admin key hands on
    calling models although it calls none itself. A key that acts in one project hands on nothing elsewhere.
    """
    is_bound = principal.key_kind not in (None, "admin", "organization")
    if is_bound and (project is None or project.pk != principal.project_id):
        return NOTHING
    held = _held(principal, project)
    return held if principal.limit is None else held & principal.limit


def usable_in(principal: Principal, project: Project) -> frozenset[Scope]:
    """Return what a caller may do itself in a project that its organization has."""
    if project.pk == principal.project_id:
        return principal.scopes
    return grants_of(principal, project) & can_use(principal.key_kind)


def _held(principal: Principal, project: Project | None) -> frozenset[Scope]:
    if principal.service_account_id is not None:
        account = ServiceAccount.objects.in_organization(principal.organization_id)
        found = account.filter(pk=principal.service_account_id).first()
        return service_account_rights(found, project) if found and project else NOTHING
    memberships = Membership.objects.of(principal.user_id).in_organization(principal.organization_id)
    membership = memberships.first()
    if membership is None:
        return NOTHING
    if project is None:
        return organization_rights(membership, is_guest=principal.is_guest)
    return project_rights(membership, project, is_guest=principal.is_guest)

"""
What callers can hand on: no more rights than they have at that place.

`Grants` tells it by place, where None is the organization; for a caller of the API it is
`grants_of` with its principal.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

from apps.core.errors import Forbidden
from apps.organizations.members import Giver
from apps.organizations.models import CustomRole, Group, OrganizationRoleAssignment
from apps.organizations.principal import Principal
from apps.organizations.rights import scopes_given
from apps.organizations.roles import ALL, Scope
from apps.projects.models import Project, ProjectRoleAssignment, default_project
from apps.projects.rights import NOTHING, grants_of

Grants = Callable[[Project | None], frozenset[Scope]]


def everything(place: Project | None) -> frozenset[Scope]:
    """An operator's grants, who is bound by the permissions of the admin instead."""
    return ALL


def giver_at_organization(principal: Principal) -> Giver:
    """Return what a caller can hand on at its organization."""
    default = default_project(principal.organization_id)
    return Giver(grants_of(principal, None), grants_of(principal, default) if default else NOTHING)


def require(grants: Grants, place: Project | None, scopes: frozenset[Scope]) -> None:
    """Raise Forbidden unless all of these rights are held at a place, archived or not."""
    wide = grants(None)
    held = wide if place is None else grants(place)
    if Scope.PROJECTS_READ in wide:
        held |= wide  # a place in every project, where what is held at the organization holds too
    if lacking := ", ".join(sorted(scopes - held)):
        where = "in the organization" if place is None else f"in the project '{place.name}'"
        raise Forbidden(f"You cannot give, change or take away rights you lack {where}: {lacking}.")


def require_group(grants: Grants, group: Group) -> None:
    """Raise Forbidden unless all that a group has is held, wherever it has it."""
    for place, scopes in _rights_of_group(group):
        require(grants, place, scopes)


def require_role(grants: Grants, role: CustomRole, scopes: frozenset[Scope]) -> None:
    """Raise Forbidden unless these rights are held wherever a custom role is given."""
    at_organization = OrganizationRoleAssignment.objects.in_organization(role.organization_id)
    if at_organization.filter(role=role).exists():
        require(grants, None, scopes)
    in_projects = ProjectRoleAssignment.objects.in_organization(role.organization_id).filter(role=role)
    places = Project.objects.in_organization(role.organization_id).present()
    for project in places.filter(pk__in=in_projects.values("project")):
        require(grants, project, scopes)


def _rights_of_group(group: Group) -> Iterator[tuple[Project | None, frozenset[Scope]]]:
    at_organization = OrganizationRoleAssignment.objects.in_organization(group.organization_id).filter(group=group)
    yield None, scopes_given(at_organization.select_related("role"))
    in_projects = ProjectRoleAssignment.objects.in_organization(group.organization_id)
    by_project = defaultdict(list)
    for assignment in in_projects.filter(group=group, project__deleted_at=None).select_related("role", "project"):
        by_project[assignment.project].append(assignment)
    for project, assignments in by_project.items():
        yield project, scopes_given(assignments)

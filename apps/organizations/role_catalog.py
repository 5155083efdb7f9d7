"""Every role that can be given: the predefined ones of `apps.organizations.roles`, and an organization's own."""

from __future__ import annotations

from typing import NamedTuple

from apps.core.errors import NotFound
from apps.organizations.models import CustomRole, ResourceType, RoleAssignment
from apps.organizations.roles import PROJECT_ROLE_SCOPES, ROLE_SCOPES, ProjectRole, Role, Scope


class RoleEntry(NamedTuple):
    """A role as clients know it. `predefined` is the word an assignment keeps, empty for a custom one."""

    id: str
    name: str
    description: str
    scopes: frozenset[Scope]
    resource_type: ResourceType
    predefined: str = ""
    custom: CustomRole | None = None


_ORGANIZATION = {
    Role.OWNER: "Everything, also to delete the organization and to hand it on.",
    Role.ADMIN: "Everything but to delete the organization.",
    Role.MEMBER: "Sees the organization and its people, and works in its projects.",
    Role.VIEWER: "Sees the organization and its people, and reads in its projects.",
}
_PROJECT = {
    ProjectRole.OWNER: "Manages the project: its settings, people, roles and service accounts.",
    ProjectRole.MEMBER: "Calls models and makes keys.",
    ProjectRole.VIEWER: "Reads.",
}

PREDEFINED: dict[ResourceType, tuple[RoleEntry, ...]] = {
    ResourceType.ORGANIZATION: tuple(
        RoleEntry(f"role_{role}", role.value, text, ROLE_SCOPES[role], ResourceType.ORGANIZATION, role.value)
        for role, text in _ORGANIZATION.items()
    ),
    ResourceType.PROJECT: tuple(
        RoleEntry(f"role_project_{role}", role.value, text, PROJECT_ROLE_SCOPES[role], ResourceType.PROJECT, role.value)
        for role, text in _PROJECT.items()
    ),
}


def entry_of(role: CustomRole) -> RoleEntry:
    """Return a custom role as an entry of the catalog."""
    kind = ResourceType(role.resource_type)
    return RoleEntry(role.public_id, role.name, role.description, role.scopes, kind, custom=role)


def roles_in(organization_id: int, *kinds: ResourceType) -> list[RoleEntry]:
    """Return the roles of these kinds that an organization can give, the predefined ones first. One query."""
    own = CustomRole.objects.in_organization(organization_id).filter(resource_type__in=kinds)
    predefined = [entry for kind in kinds for entry in PREDEFINED[kind]]
    return [*predefined, *(entry_of(role) for role in own.order_by("created_at", "id"))]


def role_in(organization_id: int, role_id: str, *kinds: ResourceType) -> RoleEntry:
    """Return the role of this id. Raises NotFound."""
    for entry in (entry for kind in kinds for entry in PREDEFINED[kind]):
        if entry.id == role_id:
            return entry
    own = CustomRole.objects.in_organization(organization_id).filter(resource_type__in=kinds)
    role: CustomRole | None = own.with_public_id(role_id)
    if role is None:
        raise NotFound("There is no such role.", code="role_not_found")
    return entry_of(role)


def given_entry(assignment: RoleAssignment, kind: ResourceType) -> RoleEntry:
    """Return the role that an assignment gives. Its custom role should be read along."""
    if assignment.role is not None:
        return entry_of(assignment.role)
    return next(entry for entry in PREDEFINED[kind] if entry.predefined == assignment.predefined)

"""Roles given to members and groups, at an organization or in a project, beside the role every member has."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Q

from apps.audit.services import Action, Actor, record
from apps.core.errors import BadRequest, NotFound
from apps.organizations.groups import lock_group
from apps.organizations.models import (
    Group,
    Membership,
    Organization,
    OrganizationRoleAssignment,
    ResourceType,
    TenantQuerySet,
)
from apps.organizations.rights import given_to, organization_rights, scopes_given
from apps.organizations.role_catalog import RoleEntry, entry_of, given_entry
from apps.organizations.roles import Role, Scope
from apps.projects.giving import Grants, require
from apps.projects.group_services import lock_member
from apps.projects.models import Project, ProjectRoleAssignment
from apps.projects.project_services import lock_active
from apps.projects.rights import project_rights
from apps.projects.role_services import lock_role

Place = Organization | Project
Holder = Membership | Group


class GivenRole(NamedTuple):
    """A role somebody has at a place, and whom it was given to: a user, or groups it is in."""

    entry: RoleEntry
    sources: list[Holder]


@transaction.atomic
def give_role(*, place: Place, to: Holder, entry: RoleEntry, grants: Grants, actor: Actor) -> RoleEntry:
    """
    Give a role at a place. Doing it twice changes nothing. Returns the role as it is now.

    Raises Forbidden for a role, or somebody, with more rights there than the giver has; BadRequest for
    an organization's owner, whom only the member's role makes; Conflict for an archived project;
    NotFound for what is gone since a moment.
    """
    to = _lock(place, to)
    if entry.custom is not None:
        entry = entry_of(lock_role(entry.custom))
    if isinstance(place, Organization) and entry.predefined == Role.OWNER:
        raise BadRequest("An owner is made by the member's own role: POST users/{user_id}.", param="role_id")
    _require(grants, place, to, entry.scopes)
    _, is_new = _assignments(place).get_or_create(
        **_row(place, to), role=entry.custom, predefined=entry.predefined, organization_id=to.organization_id
    )
    if is_new:
        _record(Action.ROLE_ASSIGNMENT_CREATED, place, to, entry, actor)
    return entry


@transaction.atomic
def take_role(*, place: Place, of: Holder, entry: RoleEntry, grants: Grants, actor: Actor) -> None:
    """
    Take away a role that was given at a place to this one itself.

    Raises what `give_role` does, and NotFound for a role it was not given.
    """
    of = _lock(place, of)
    if entry.custom is not None:
        entry = entry_of(lock_role(entry.custom))
    _require(grants, place, of, entry.scopes)
    given = _assignments(place).filter(**_row(place, of), role=entry.custom, predefined=entry.predefined)
    gone, _ = given.delete()
    if not gone:
        raise NotFound("This role was not given here.", code="role_not_found")
    _record(Action.ROLE_ASSIGNMENT_DELETED, place, of, entry, actor)


@transaction.atomic
def take_all_roles(*, place: Place, of: Holder, grants: Grants, actor: Actor) -> None:
    """Take away whatever was given at a place to this one itself. Raises what `give_role` does."""
    of = _lock(place, of)
    _require(grants, place, of, frozenset())
    given = _assignments(place).filter(**_row(place, of)).select_related("role")
    for assignment in given:
        _record(Action.ROLE_ASSIGNMENT_DELETED, place, of, given_entry(assignment, _kind(place)), actor)
    given.delete()


def given_roles(place: Place, to: Holder) -> list[GivenRole]:
    """Return the roles somebody was given at a place, by itself or through groups, the oldest first. One query."""
    kind = _kind(place)
    to_it = given_to(to) if isinstance(to, Membership) else Q(group=to)
    rows = _assignments(place).filter(_here(place) & to_it).select_related("role", "group", "membership").distinct()
    found: dict[str, GivenRole] = {}
    for row in rows.order_by("created_at", "id"):
        entry = given_entry(row, kind)
        found.setdefault(entry.id, GivenRole(entry, [])).sources.append(row.membership or row.group)
    return list(found.values())


def rights_of_group(group: Group, place: Place) -> frozenset[Scope]:
    """Return what a group has at a place."""
    return scopes_given(_assignments(place).filter(**_row(place, group)).select_related("role"))


def _lock(place: Place, holder: Holder) -> Holder:
    """Lock what decides: the project, so that it is not archived meanwhile, and who has the role."""
    if isinstance(place, Project):
        lock_active(place)
    return lock_member(holder) if isinstance(holder, Membership) else lock_group(holder)


def _require(grants: Grants, place: Place, holder: Holder, scopes: frozenset[Scope]) -> None:
    where = place if isinstance(place, Project) else None
    if isinstance(holder, Group):
        held = rights_of_group(holder, place)
    else:
        held = organization_rights(holder) if where is None else project_rights(holder, where)
    require(grants, where, scopes | held)


def _kind(place: Place) -> ResourceType:
    return ResourceType.PROJECT if isinstance(place, Project) else ResourceType.ORGANIZATION


def _assignments(place: Place) -> TenantQuerySet:
    if isinstance(place, Project):
        return ProjectRoleAssignment.objects.in_organization(place.organization_id)
    return OrganizationRoleAssignment.objects.in_organization(place.pk)


def _here(place: Place) -> Q:
    return Q(project=place) if isinstance(place, Project) else Q()


def _row(place: Place, holder: Holder) -> dict[str, Any]:
    """Return the columns that say where and to whom."""
    where = {"project": place} if isinstance(place, Project) else {}
    if isinstance(holder, Membership):
        return {**where, "membership": holder, "group": None}
    return {**where, "membership": None, "group": holder}


def _record(action: Action, place: Place, holder: Holder, entry: RoleEntry, actor: Actor) -> None:
    kind, public_id = ("user", holder.user_id) if isinstance(holder, Membership) else ("group", holder.public_id)
    record(
        action,
        actor=actor,
        organization=holder.organization.public_id,
        project=place.public_id if isinstance(place, Project) else "",
        target_kind="role.assignment",
        target_id=entry.id,
        principal_type=kind,
        principal_id=public_id,
        resource_type=_kind(place).value,
        resource_id=place.public_id,
        permissions=sorted(entry.scopes),
    )

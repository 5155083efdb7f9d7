"""What can be done with custom roles: nobody puts into one, or changes one that gives, more than it has itself."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction

from apps.audit.services import Action, Actor, record
from apps.core.errors import Conflict, NotFound
from apps.organizations.models import CustomRole, Organization, ResourceType
from apps.organizations.role_catalog import PREDEFINED
from apps.organizations.roles import Scope
from apps.organizations.services import lock_organization
from apps.projects.giving import Grants, require, require_role
from apps.projects.models import Project

MAX_ROLES = 200


@transaction.atomic
def create_role(
    *,
    organization: Organization,
    resource_type: ResourceType,
    name: str,
    permissions: frozenset[Scope],
    grants: Grants,
    actor: Actor,
    place: Project | None = None,
    description: str = "",
) -> CustomRole:
    """
    Put rights together under a name.

    `place`: where it is made. Raises Forbidden for rights the giver lacks there, Conflict
    (`role_exists`) for a name that is taken, (`too_many_roles`) beyond MAX_ROLES of the organization.
    """
    require(grants, place, permissions)
    organization = lock_organization(organization.pk)
    if CustomRole.objects.in_organization(organization.pk).count() >= MAX_ROLES:
        raise Conflict(f"An organization has at most {MAX_ROLES} roles of its own.", code="too_many_roles")
    role = CustomRole(
        organization=organization,
        resource_type=resource_type,
        name=name,
        description=description,
        permissions=sorted(permissions),
    )
    _save(role)
    _record(Action.ROLE_CREATED, role, actor, name=name, permissions=role.permissions)
    return role


@transaction.atomic
def update_role(
    *, role: CustomRole, grants: Grants, actor: Actor, place: Project | None = None, **changes: Any
) -> CustomRole:
    """
    Change a role's `name`, `description` or `permissions`, for all who have it.

    Raises Forbidden unless the giver has all its rights, the old and the new, at `place` and wherever it
    is given; Conflict (`role_exists`); NotFound for a role that was deleted a moment ago.
    """
    role = lock_role(role)
    if "permissions" in changes:
        changes["permissions"] = sorted(changes["permissions"])
    before = {field: getattr(role, field) for field in changes}
    told = {field: [before[field], after] for field, after in changes.items() if after != before[field]}
    if not told:
        return role
    wanted = frozenset(Scope(scope) for scope in changes.get("permissions", ()))
    require(grants, place, role.scopes | wanted)
    require_role(grants, role, role.scopes | wanted)
    for field, (_, after) in told.items():
        setattr(role, field, after)
    _save(role)
    _record(Action.ROLE_UPDATED, role, actor, **told)
    return role


@transaction.atomic
def delete_role(*, role: CustomRole, grants: Grants, actor: Actor, place: Project | None = None) -> None:
    """Delete a role and take it from all who have it. Raises what `update_role` does."""
    role = lock_role(role)
    require(grants, place, role.scopes)
    require_role(grants, role, role.scopes)
    _record(Action.ROLE_DELETED, role, actor, name=role.name, permissions=role.permissions)
    role.delete()


def lock_role(role: CustomRole) -> CustomRole:
    """Return the role as it is now, locked until the transaction ends: giving it waits. Raises NotFound."""
    rows = CustomRole.objects.in_organization(role.organization_id).select_related("organization")
    locked: CustomRole | None = rows.select_for_update(no_key=True, of=("self",)).filter(pk=role.pk).first()
    if locked is None:
        raise NotFound("There is no such role.", code="role_not_found")
    return locked


def _save(role: CustomRole) -> None:
    taken = Conflict(f"There is a role named '{role.name}' already.", code="role_exists", param="name")
    if role.name.lower() in {entry.name for entry in PREDEFINED[ResourceType(role.resource_type)]}:
        raise taken
    try:
        with transaction.atomic():
            role.save()
    except IntegrityError:
        raise taken from None


def _record(action: Action, role: CustomRole, actor: Actor, **details: Any) -> None:
    record(
        action,
        actor=actor,
        organization=role.organization.public_id,
        target_kind="role",
        target_id=role.public_id,
        resource_type=role.resource_type,
        **details,
    )

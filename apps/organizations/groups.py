"""What can be done with groups themselves. Who is in them, and so gets their roles, is asked in `apps.projects`."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction

from apps.audit.services import Action, Actor, record
from apps.core.errors import Conflict, NotFound
from apps.organizations.models import Group, Organization


@transaction.atomic
def create_group(*, organization: Organization, name: str, actor: Actor) -> Group:
    """Make an empty group. Raises Conflict (`group_exists`) for a name that is taken."""
    try:
        with transaction.atomic():
            group = Group.objects.create(organization=organization, name=name)
    except IntegrityError:
        raise _taken(name) from None
    record_of(Action.GROUP_CREATED, group, actor, name=name)
    return group


@transaction.atomic
def rename_group(*, group: Group, name: str, actor: Actor) -> Group:
    """Give a group another name. Raises Conflict (`group_exists`), or NotFound for one deleted a moment ago."""
    group = lock_group(group)
    if name == group.name:
        return group
    before, group.name = group.name, name
    try:
        with transaction.atomic():
            group.save(update_fields=["name", "updated_at"])
    except IntegrityError:
        raise _taken(name) from None
    record_of(Action.GROUP_UPDATED, group, actor, name=[before, name])
    return group


def group_of(organization_id: int, group_id: str) -> Group:
    """Return a group by its id. Raises NotFound."""
    groups = Group.objects.in_organization(organization_id).select_related("organization")
    found: Group | None = groups.with_public_id(group_id)
    if found is None:
        raise _no_group()
    return found


def lock_group(group: Group) -> Group:
    """Return the group as it is now, locked until the transaction ends. Raises NotFound if it was deleted."""
    rows = Group.objects.in_organization(group.organization_id).select_related("organization")
    locked: Group | None = rows.select_for_update(no_key=True, of=("self",)).filter(pk=group.pk).first()
    if locked is None:
        raise _no_group()
    return locked


def record_of(action: Action, group: Group, actor: Actor, **details: Any) -> None:
    """Write an event of a group. Called in the transaction of the change."""
    record(
        action,
        actor=actor,
        organization=group.organization.public_id,
        target_kind="group",
        target_id=group.public_id,
        **details,
    )


def _no_group() -> NotFound:
    return NotFound("There is no such group.", code="group_not_found")


def _taken(name: str) -> Conflict:
    return Conflict(f"There is a group named '{name}' already.", code="group_exists", param="name")

"""Who is in a group, and so has its roles: nobody puts people where there is more than it has itself."""

from __future__ import annotations

from django.db import transaction

from apps.audit.services import Action, Actor
from apps.core.errors import NotFound
from apps.organizations.groups import lock_group, record_of
from apps.organizations.models import Group, GroupMembership, Membership
from apps.projects.giving import Grants, require_group


@transaction.atomic
def put_in_group(*, group: Group, membership: Membership, grants: Grants, actor: Actor) -> None:
    """
    Make a member one of a group. Doing it twice changes nothing.

    Raises Forbidden for a group that has more than the giver, NotFound for one or a member that is
    gone since a moment.
    """
    membership, group = lock_member(membership), lock_group(group)
    require_group(grants, group)
    _, is_new = GroupMembership.objects.get_or_create(
        organization_id=group.organization_id, group=group, membership=membership
    )
    if is_new:
        record_of(Action.GROUP_UPDATED, group, actor, users_added=[membership.user_id])


@transaction.atomic
def take_out_of_group(*, group: Group, membership: Membership, grants: Grants, actor: Actor) -> None:
    """Raises Forbidden for a group that has more than the giver, NotFound for a member that is not in it."""
    group = lock_group(group)
    require_group(grants, group)
    inside = GroupMembership.objects.in_organization(group.organization_id).filter(group=group)
    gone, _ = inside.filter(membership=membership).delete()
    if not gone:
        raise NotFound("There is no such user in this group.", code="user_not_found")
    record_of(Action.GROUP_UPDATED, group, actor, users_removed=[membership.user_id])


@transaction.atomic
def delete_group(*, group: Group, grants: Grants, actor: Actor) -> None:
    """Delete a group and the roles it gave. Raises Forbidden for one that has more than the giver."""
    group = lock_group(group)
    require_group(grants, group)
    record_of(Action.GROUP_DELETED, group, actor, name=group.name)
    group.delete()


def lock_member(membership: Membership) -> Membership:
    """Return the member as it is now, locked until the transaction ends: leaving waits. Raises NotFound."""
    rows = Membership.objects.in_organization(membership.organization_id).select_related("user", "organization")
    locked: Membership | None = rows.select_for_update(no_key=True, of=("self",)).filter(pk=membership.pk).first()
    if locked is None:
        raise NotFound("There is no such user in this organization.", code="user_not_found")
    return locked

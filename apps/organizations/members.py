"""What can be done with the members of an organization. Its last owner stays, whatever is tried."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from apps.accounts.models import User
from apps.audit.services import Action, Actor, record
from apps.core.errors import Conflict, Forbidden, NotFound
from apps.organizations.models import Membership, Organization, OrganizationRoleAssignment
from apps.organizations.rights import organization_rights
from apps.organizations.roles import ALL, DEFAULT_PROJECT_ROLES, PROJECT_ROLE_SCOPES, ROLE_SCOPES, Role, Scope
from apps.organizations.services import lock_organization


class Giver(NamedTuple):
    """What a caller can hand on at an organization, and in its default project, where every role is a place."""

    scopes: frozenset[Scope]
    in_default_project: frozenset[Scope] = frozenset()

    def require(self, scopes: frozenset[Scope]) -> None:
        """Raise Forbidden unless the caller has all of these at the organization."""
        if lacking := ", ".join(sorted(scopes - self.scopes)):
            raise Forbidden(f"You cannot give, change or take away rights you lack: {lacking}.")

    def require_role(self, role: Role) -> None:
        """Raise Forbidden unless the caller has all that a role brings."""
        self.require(ROLE_SCOPES[role])
        here = PROJECT_ROLE_SCOPES[DEFAULT_PROJECT_ROLES[role]]
        if lacking := ", ".join(sorted(here - self.in_default_project - self.scopes)):
            raise Forbidden(f"You cannot give rights you lack in the default project: {lacking}.", param="role")


# An operator's, who is bound by the permissions of the admin instead.
EVERYTHING = Giver(ALL, ALL)


@transaction.atomic
def add_member(*, organization: Organization, user: User, role: Role, giver: Giver, actor: Actor) -> Membership:
    """
    Make somebody a member.

    Raises Forbidden for a role that brings more than the giver has, Conflict (`already_a_member`), and
    Conflict (`personal_organization`) for another owner of a personal organization.
    """
    organization = lock_organization(organization.pk)
    giver.require_role(role)
    check_owners(organization, role)
    membership, is_new = Membership.objects.get_or_create(organization=organization, user=user, defaults={"role": role})
    if not is_new:
        raise Conflict("This user is a member already.", code="already_a_member")
    _record(Action.USER_ADDED, membership, actor, role=role)
    return membership


@transaction.atomic
def change_role(*, membership: Membership, role: Role, giver: Giver, actor: Actor) -> Membership:
    """
    Give a member another role. Predefined ones it was given beside it go, or a demoted admin could stay one.

    Raises Forbidden for a role that brings more than the giver has, and for a member who has more;
    Conflict (`last_owner`) for demoting the last owner, and (`personal_organization`) for another
    owner of a personal organization; NotFound for a member that left a moment ago.
    """
    organization, membership = _lock(membership)
    before = Role(membership.role)
    if role is before:
        return membership
    giver.require(organization_rights(membership))
    giver.require_role(role)
    check_owners(organization, role)
    _check_not_last(membership)
    membership.role = role
    membership.save(update_fields=["role"])
    _record(Action.USER_UPDATED, membership, actor, role=[before, role], **take_predefined(membership))
    return membership


@transaction.atomic
def remove_member(*, membership: Membership, giver: Giver, actor: Actor) -> None:
    """
    End a membership, with its places in projects and groups, its roles and its keys in the organization.

    Whoever leaves by itself gives EVERYTHING. Raises Forbidden for a member who has more than the
    giver, Conflict (`last_owner`) for the last owner, NotFound for a member that left a moment ago.
    """
    _, membership = _lock(membership)
    giver.require(organization_rights(membership))
    _check_not_last(membership)
    leave(membership=membership, actor=actor)


@transaction.atomic
def leave(*, membership: Membership, actor: Actor, account_ends: bool = False, **details: Any) -> None:
    """
    End a membership and what hangs on it, whoever it is.

    `account_ends`: for the deletion of the account. `details` are written down with the event.
    """
    _record(Action.USER_DELETED, membership, actor, role=membership.role, **details)
    import_string(settings.ORGANIZATIONS_OFFBOARDER)(membership=membership, actor=actor, account_ends=account_ends)
    membership.delete()


@transaction.atomic
def transfer_ownership(*, owner: Membership, to: Membership, giver: Giver, actor: Actor) -> None:
    """
    Make another member the owner, and the owner an admin, both or neither.

    Raises Forbidden unless the giver has all that an owner has, Conflict for a personal organization or
    an owner who is none any more, NotFound for a member that left a moment ago.
    """
    organization, owner = _lock(owner)
    _, to = _lock(to)
    giver.require_role(Role.OWNER)
    check_owners(organization, Role.OWNER)
    if owner.role != Role.OWNER or owner.pk == to.pk:
        raise Conflict("Only an owner can hand on the organization, and to somebody else.", code="not_transferable")
    before = to.role
    to.role, owner.role = Role.OWNER, Role.ADMIN
    to.save(update_fields=["role"])
    owner.save(update_fields=["role"])
    record(
        Action.ORGANIZATION_TRANSFERRED,
        actor=actor,
        organization=organization.public_id,
        target_kind="organization",
        target_id=organization.public_id,
        owner=[owner.user_id, to.user_id],
        roles={owner.user_id: [Role.OWNER, Role.ADMIN], to.user_id: [before, Role.OWNER]},
    )


def take_predefined(membership: Membership) -> dict[str, Any]:
    """Take the predefined roles that a member was given beside its own. Returns what its event says of that."""
    given = OrganizationRoleAssignment.objects.in_organization(membership.organization_id)
    beside = given.filter(membership=membership, role=None)
    names = sorted(beside.values_list("predefined", flat=True))
    beside.delete()
    return {"roles_beside": [names, []]} if names else {}


def member_of(organization_id: int, user_id: str) -> Membership:
    """Return a member by its user's id. Raises NotFound, whether or not there is such a user elsewhere."""
    members = Membership.objects.in_organization(organization_id).select_related("user", "organization")
    found: Membership | None = members.filter(user_id=user_id).first() if "\x00" not in user_id else None
    if found is None:
        raise _no_member()
    return found


def check_is_not_last_owner(user: User) -> None:
    """
    Raise Conflict (`last_owner`) naming an organization that would have no owner without this user.

    Personal ones go with it. The organizations are locked until the transaction ends.
    """
    owned = Membership.objects.of(user.pk).filter(role=Role.OWNER, organization__is_personal=False)
    for membership in owned.order_by("organization_id"):
        lock_organization(membership.organization_id)
        _check_not_last(membership)


def _lock(membership: Membership) -> tuple[Organization, Membership]:
    """Lock the organization, then read the member as it is now."""
    organization = lock_organization(membership.organization_id)
    members = Membership.objects.in_organization(organization.pk).select_related("user", "organization")
    # The row too: whoever gives it a place in a project, a group or a role locks it, and waits.
    rows = members.select_for_update(no_key=True, of=("self",)).filter(pk=membership.pk)
    now: Membership | None = rows.first()
    if now is None:
        raise _no_member()
    return organization, now


def _no_member() -> NotFound:
    return NotFound("There is no such user in this organization.", code="user_not_found")


def _check_not_last(membership: Membership) -> None:
    """Refuse to take its role from the last owner. The organization is locked, so none vanishes meanwhile."""
    if membership.role != Role.OWNER:
        return
    owners = Membership.objects.in_organization(membership.organization_id).filter(role=Role.OWNER)
    if not owners.exclude(pk=membership.pk).exists():
        organization = membership.organization
        raise Conflict(
            f"The last owner of '{organization.name}' cannot leave it. Transfer the ownership first, or delete the "
            "organization.",
            code="last_owner",
            details={"organization_id": organization.public_id},
        )


def check_owners(organization: Organization, role: Role) -> None:
    """Raise Conflict for another owner of a personal organization."""
    if role is Role.OWNER and organization.is_personal:
        raise Conflict(
            "A personal organization belongs to one account. Create an organization to share it.",
            code="personal_organization",
        )


def _record(action: Action, membership: Membership, actor: Actor, **details: Any) -> None:
    """Write an event of a member. Called in the transaction of the change."""
    organization = membership.organization.public_id
    record(action, actor=actor, organization=organization, target_kind="user", target_id=membership.user_id, **details)

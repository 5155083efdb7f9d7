"""What can be done with organizations' projects."""

from __future__ import annotations

import datetime
from typing import Any

from allauth.usersessions.models import UserSession
from django.conf import settings as configured
from django.db import transaction
from django.utils import timezone

from apps.accounts.models import User, UserQuerySet
from apps.accounts.services import SEEN_EVERY
from apps.accounts.sessions import actor_of, end_sessions_by_key
from apps.audit.services import SYSTEM, Action, Actor, record
from apps.organizations.members import check_is_not_last_owner, leave
from apps.organizations.models import Membership, Organization
from apps.organizations.organization_settings import changed_settings
from apps.organizations.roles import Role
from apps.organizations.services import record_of
from apps.projects.models import Project

DEFAULT_PROJECT_NAME = "Default project"
_PURGE_AT_ONCE = 200


@transaction.atomic
def create_organization(
    *,
    name: str,
    owner: User,
    is_personal: bool = False,
    description: str = "",
    domain: str = "",
    settings: dict[str, Any] | None = None,
    actor: Actor | None = None,
) -> Organization:
    """
    Make an organization with its owner and its default project. Raises BadRequest for wrong settings.

    `actor`: by default the owner. What comes with an account is no event of its own.
    """
    organization = Organization.objects.create(
        name=name,
        is_personal=is_personal,
        description=description,
        domain=domain,
        settings=changed_settings({}, {} if settings is None else settings),
    )
    Membership.objects.create(user=owner, organization=organization, role=Role.OWNER)
    Project.objects.create(organization=organization, name=DEFAULT_PROJECT_NAME, is_default=True)
    if not is_personal:
        record_of(Action.ORGANIZATION_CREATED, organization, actor or actor_of(owner), name=name, owner=owner.pk)
    return organization


def provision_personal_tenant(user: User) -> Organization:
    """Give a new account what every account has: an organization of its own with a default project."""
    whose = user.get_short_name()
    # Whoever signs up on a page has neither name nor address yet, and an id is no name.
    name = "Personal organization" if whose == user.pk else f"{whose}'s organization"[:128]
    return create_organization(name=name, owner=user, is_personal=True)


@transaction.atomic
def delete_account(*, user: User, actor: Actor, reason: str) -> None:
    """
    Delete a user with everything it owns: sessions, tokens, personal keys, and its personal organization.

    It leaves every other organization, and its keys there end. The usage ledger stays: what was
    accepted stays accounted for. Raises Conflict (`last_owner`) naming an organization that would have
    no owner any more, before anything is changed.
    """
    check_is_not_last_owner(user)
    end_sessions_by_key(list(UserSession.objects.filter(user=user).values_list("session_key", flat=True)))
    own = Membership.objects.filter(user=user, role=Role.OWNER, organization__is_personal=True)
    Organization.objects.filter(pk__in=own.values("organization")).delete()
    # Also of organizations that wait for their purge: a key there must not outlive who had it.
    for membership in Membership.objects.filter(user=user).select_related("organization"):
        leave(membership=membership, actor=actor, account_ends=True)
    record(Action.USER_DELETED, actor=actor, target_kind="user", target_id=user.pk, reason=reason)
    user.delete()


def purge_guests() -> int:
    """Delete guests that made no request for GUEST_HOURS, with all they own. Returns how many."""
    silent_since = timezone.now() - datetime.timedelta(hours=configured.GUEST_HOURS) - SEEN_EVERY
    purged = 0
    # Whoever was made an owner meanwhile stays: an organization is no guest's to take along.
    owners = Membership.objects.filter(role=Role.OWNER, organization__is_personal=False)
    silent = User.objects.get_queryset().silent_guests(silent_since).exclude(pk__in=owners.values("user"))
    while guest_ids := list(silent.values_list("pk", flat=True)[:_PURGE_AT_ONCE]):
        purged += sum(_purge(guest_id, silent) for guest_id in guest_ids)
    return purged


@transaction.atomic
def _purge(guest_id: str, silent: UserQuerySet) -> bool:
    """Delete one of them, unless it came back or became an account since it was listed."""
    guest = silent.select_for_update().filter(pk=guest_id).first()
    if guest is None:
        return False
    delete_account(user=guest, actor=SYSTEM, reason="guest fell silent")
    return True

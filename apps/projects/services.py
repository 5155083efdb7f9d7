"""What can be done with organizations' projects."""

from __future__ import annotations

import datetime

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from apps.accounts.models import User, UserQuerySet
from apps.accounts.services import SEEN_EVERY
from apps.accounts.sessions import end_sessions_by_key
from apps.audit.services import SYSTEM, Action, Actor, record
from apps.organizations.models import Membership, Organization
from apps.organizations.roles import Role
from apps.projects.models import Project

DEFAULT_PROJECT_NAME = "Default project"
_PURGE_AT_ONCE = 200


@transaction.atomic
def create_organization(*, name: str, owner: User, is_personal: bool = False) -> Organization:
    """Make an organization with its owner and its default project."""
    organization = Organization.objects.create(name=name, is_personal=is_personal)
    Membership.objects.create(user=owner, organization=organization, role=Role.OWNER)
    Project.objects.create(organization=organization, name=DEFAULT_PROJECT_NAME, is_default=True)
    return organization


def provision_personal_tenant(user: User) -> Organization:
    """Give a new account what every account has: an organization of its own with a default project."""
    return create_organization(name=f"{user.get_short_name()}'s organization"[:128], owner=user, is_personal=True)


@transaction.atomic
def delete_account(*, user: User, actor: Actor, reason: str) -> None:
    """
    Delete a user with everything it owns: sessions, tokens, keys, and organizations that are its alone.

    The usage ledger stays: what was accepted stays accounted for.
    """
    end_sessions_by_key(list(UserSession.objects.filter(user=user).values_list("session_key", flat=True)))
    own = Membership.objects.filter(user=user, role=Role.OWNER, organization__is_personal=True)
    Organization.objects.filter(pk__in=own.values("organization")).delete()
    record(Action.USER_DELETED, actor=actor, target_kind="user", target_id=user.pk, reason=reason)
    user.delete()


def purge_guests() -> int:
    """Delete guests that made no request for GUEST_HOURS, with all they own. Returns how many."""
    silent_since = timezone.now() - datetime.timedelta(hours=settings.GUEST_HOURS) - SEEN_EVERY
    purged = 0
    silent = User.objects.get_queryset().silent_guests(silent_since)
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

"""
Deleting an account with everything it owns.

First, at once and in one transaction, nobody can use it any more and nobody else meets it: its
sessions, keys, memberships and its personal organization end. Then a task deletes what it owns, piece by
piece, and the account itself last. A task that dies is followed by another.
"""

from __future__ import annotations

import datetime
import logging
from functools import partial
from typing import TypeVar

from celery import current_app
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.people import check_is_not_last_superuser
from apps.accounts.sessions import actor_of, sign_out_everywhere
from apps.api_keys.models import ApiKey
from apps.audit.services import Action, record
from apps.completions.models import StoredCompletion
from apps.conversations.models import Conversation, OwnedQuerySet
from apps.conversations.services import delete_conversations
from apps.core.errors import BadRequest, Unauthenticated
from apps.idempotency.models import IdempotencyRecord
from apps.organizations.members import check_is_not_last_owner, leave
from apps.organizations.models import Membership, Organization, OrganizationQuerySet
from apps.organizations.roles import Role
from apps.personal_data.archives import delete_archive
from apps.personal_data.models import AccountDeletion, DataExport
from apps.projects.services import delete_account

log = logging.getLogger("jan.deletion")

FINISH_DELETION = "apps.personal_data.tasks.finish_deletion"
SILENCE = datetime.timedelta(minutes=10)
_DELETE_AT_ONCE = 500
_REASON = "own wish"
_Rows = TypeVar("_Rows", bound=OwnedQuerySet)


@transaction.atomic
def delete_own_account(*, user: User, confirm: str) -> None:
    """
    Delete one's account: from now on nobody can use it, and soon it is gone with everything it owns.

    `confirm` names it. Raises BadRequest if it names something else, Conflict (`last_owner`) naming an
    organization that would have no owner any more and (`last_operator`) for the last superuser,
    Unauthenticated for an account deleted a moment ago.
    """
    locked = User.objects.get_queryset().select_for_update().filter(pk=user.pk, is_active=True).first()
    if locked is None:
        raise Unauthenticated("The account behind this credential is gone.")
    user = locked
    if confirm.strip().casefold() not in names_of(user):
        raise BadRequest("Confirm with your e-mail address or your user name.", param="confirm")
    check_is_not_last_superuser(user)
    check_is_not_last_owner(user)
    actor = actor_of(user)
    AccountDeletion.objects.create(user=user)
    record(Action.USER_DELETION_REQUESTED, actor=actor, target_kind="user", target_id=user.pk)
    User.objects.get_queryset().filter(pk=user.pk).update(is_active=False)
    sign_out_everywhere(user=user, actor=actor)
    _forget_answers(user)
    elsewhere = Membership.objects.filter(user=user).exclude(organization__in=_own_organizations(user))
    for membership in elsewhere.select_related("organization"):
        leave(membership=membership, actor=actor, account_ends=True)
    # Its project keys and service accounts end now; the rows follow.
    _own_organizations(user).update(deleted_at=timezone.now())
    for export in DataExport.objects.of(user.pk):
        export.delete()
        transaction.on_commit(partial(delete_archive, export.file))
    transaction.on_commit(partial(_queue, user.pk))


def names_of(user: User) -> set[str]:
    """Return what somebody may confirm with: its address, its user name, or its id."""
    return {name.casefold() for name in (user.email, user.username, user.pk) if name}


def _queue(user_id: str) -> None:
    current_app.send_task(FINISH_DELETION, [user_id])


def _own_organizations(user: User) -> OrganizationQuerySet:
    own = Membership.objects.filter(user=user, role=Role.OWNER, organization__is_personal=True)
    found: OrganizationQuerySet = Organization.objects.filter(pk__in=own.values("organization"))
    return found


def _forget_answers(user: User) -> None:
    """Answers kept for repeated requests are what models said to this person."""
    keys = ApiKey.objects.filter(user=user, service_account=None).values("public_id")
    IdempotencyRecord.objects.filter(Q(credential=user.pk) | Q(credential__in=keys)).delete()


def finish_deletion(user_id: str) -> None:
    """Delete what an account that is to be deleted owns, and the account. Harmless when done twice, or at once."""
    deletion = AccountDeletion.objects.filter(pk=user_id).select_related("user").first()
    if deletion is None:
        return
    user = deletion.user
    for conversations in _owned(Conversation.objects.all(), user):
        delete_conversations(conversations)
    for completions in _owned(StoredCompletion.objects.all(), user):
        _delete_in_parts(completions)
    _finish(user_id)


def _owned(rows: _Rows, user: User) -> list[_Rows]:
    """Return which of these are a person's own, wherever they are, and which its personal organization's."""
    return [rows.of_owner(user.pk), *(rows.in_organization(each.pk) for each in _own_organizations(user))]


def _delete_in_parts(rows: OwnedQuerySet) -> None:
    while ids := list(rows.order_by("pk").values_list("pk", flat=True)[:_DELETE_AT_ONCE]):
        rows.model.objects.filter(pk__in=ids).delete()


@transaction.atomic
def _finish(user_id: str) -> None:
    user = User.objects.get_queryset().select_for_update().filter(pk=user_id).first()
    if user is not None:
        delete_account(user=user, actor=actor_of(user), reason=_REASON)
        log.info("the account %s was deleted", user_id)


def go_on() -> None:
    """Go on with deletions whose task died."""
    for user_id in overdue():
        _queue(user_id)


def overdue() -> QuerySet[AccountDeletion, str]:
    """Return the ids of accounts that should have been deleted by now."""
    since = timezone.now() - SILENCE
    return AccountDeletion.objects.filter(requested_at__lt=since).values_list("pk", flat=True)

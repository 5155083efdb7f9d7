"""
A turn: somebody says something, a model answers, and both are stored once, together.

While it runs the turn holds the conversation by a lease that its process renews. So two turns never
mix, and a process that dies leaves nothing behind but a lease that ends.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from apps.conversations.branches import begin, find_branch
from apps.conversations.content import NewItem
from apps.conversations.happenings import Happening, tell
from apps.conversations.models import Branch, Conversation, Item, Told
from apps.conversations.paths import newest
from apps.conversations.services import lock_row, locked, not_found, project_for, remove_items, write_items
from apps.core.errors import Conflict, NotFound
from apps.organizations.principal import Principal

# Messages a model is given at most, however short they are.
MAX_HISTORY = 1000


class History(NamedTuple):
    """
    What was said before, the oldest first, as far as it fits. `is_cut`: older items did not.

    `summary` tells of those, which have numbers below `begins_at`.
    """

    items: list[Told]
    is_cut: bool
    summary: str
    begins_at: int


def find(principal: Principal, public_id: str) -> Conversation:
    """Return a conversation of the caller's. Raises NotFound, and what `project_for` does."""
    project = project_for(principal)
    rows = Conversation.objects.visible_to(principal).with_branch()
    conversation: Conversation | None = rows.with_public_id(public_id)
    if conversation is None:
        raise not_found()
    conversation.project = project
    return conversation


def take(conversation: Conversation, turn_id: str) -> None:
    """
    Hold a conversation for a turn, and read what was written to it until then. Raises Conflict:
    `conversation_locked` while another turn does, `conversation_archived` for one that can only be read.
    """
    if conversation.is_archived:
        raise Conflict("The conversation is archived. Take it out of the archive first.", code="conversation_archived")
    now = timezone.now()
    free = Q(turn_expires_at=None) | Q(turn_expires_at__lte=now)
    rows = Conversation.objects.in_organization(conversation.organization_id).filter(free, pk=conversation.pk)
    if not rows.update(turn_id=turn_id, turn_expires_at=now + _lease()):
        raise locked()
    _catch_up(conversation, turn_id)
    tell(conversation.pk, Happening.TURN_STARTED)


def _catch_up(conversation: Conversation, turn_id: str) -> None:
    rows = Conversation.objects.in_organization(conversation.organization_id).select_related("active_branch")
    now: Conversation | None = rows.filter(pk=conversation.pk, turn_id=turn_id).first()
    if now is None:
        raise not_found()
    conversation.active_branch = now.active_branch
    conversation.summary, conversation.summary_sequence = now.summary, now.summary_sequence


def renew(conversation: Conversation, turn_id: str) -> None:
    """Hold it longer. Does nothing when the turn lost it."""
    rows = Conversation.objects.in_organization(conversation.organization_id)
    rows.filter(pk=conversation.pk, turn_id=turn_id).update(turn_expires_at=timezone.now() + _lease())


def release(conversation: Conversation, turn_id: str) -> None:
    """Let go of a conversation without storing anything."""
    rows = Conversation.objects.in_organization(conversation.organization_id)
    if rows.filter(pk=conversation.pk, turn_id=turn_id).update(turn_id="", turn_expires_at=None):
        tell(conversation.pk, Happening.TURN_ENDED)


def _lease() -> datetime.timedelta:
    return datetime.timedelta(seconds=settings.TURN_LEASE_SECONDS)


def history_of(conversation: Conversation, budget: int) -> History:
    """
    Return the newest items that `budget` tokens hold. Cost depends on the budget, not on the conversation's length.

    Whole turns fall out, the oldest first, so that what is left begins with a person's message and no
    output is without its call.
    """
    items: list[Told] = []
    spent, is_cut = 0, False
    for item in newest(conversation.branch):
        if spent + item.tokens > budget or len(items) >= MAX_HISTORY:
            is_cut = True
            break
        spent += item.tokens
        items.append(item)
    items.reverse()
    if is_cut:
        start = next((i for i, item in enumerate(items) if item.type == "message" and item.role == "user"), len(items))
        items = items[start:]
    begins_at = items[0].sequence if items else conversation.branch.last_sequence + 1
    return History(items, is_cut, conversation.summary if is_cut else "", begins_at)


@transaction.atomic
def finish(
    conversation: Conversation,
    turn_id: str,
    items: Sequence[NewItem],
    *,
    model: str = "",
    instead_of: Sequence[Told] = (),
    fork: Branch | None = None,
) -> list[Item]:
    """
    Store what was said in a turn and let go of the conversation, in one transaction: all of it or nothing.

    `instead_of`: a broken-off answer to the same question, which goes. `fork`: a branch, not stored yet, that
    begins with these items and becomes the active one. A turn that lost its hold adds its items all the same, after
    whatever was stored meanwhile on its branch. Returns nothing for a conversation or a branch deleted meanwhile.
    """
    try:
        held = lock_row(conversation)
        if fork is not None:
            begin(held, fork)
        elif conversation.branch.pk != held.active_branch_id:
            # It answers what was said on a branch that is no longer the active one, and stays so.
            held.active_branch = find_branch(held, conversation.branch.name)
    except NotFound:
        release(conversation, turn_id)
        return []
    if instead_of:
        remove_items(held, instead_of)
    stored = write_items(held, items)
    if held.turn_id == turn_id:
        held.turn_id, held.turn_expires_at = "", None
        tell(held.pk, Happening.TURN_ENDED)
    if model and not held.model:
        held.model = model
    held.save(update_fields=["turn_id", "turn_expires_at", "model"])
    return stored

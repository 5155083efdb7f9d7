"""
What open sockets of a conversation are told: that something happened, and to which items.

No content goes this way. Each socket reads what happened as its own caller, at that moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from apps.conversations.models import Item, Told
from apps.core.announcements import announce

# What Channels calls on the other side: `conversation_happened`.
_HANDLER = "conversation.happened"


class Happening(StrEnum):
    """The names on the wire."""

    ITEM_CREATED = "conversation.item.created"
    ITEM_UPDATED = "conversation.item.updated"
    ITEM_DELETED = "conversation.item.deleted"
    UPDATED = "conversation.updated"
    DELETED = "conversation.deleted"
    TURN_STARTED = "conversation.turn.started"
    TURN_ENDED = "conversation.turn.ended"


def group_of(conversation_pk: int) -> str:
    """Return the name under which a conversation's sockets are told."""
    return f"conversation.{conversation_pk}"


def tell(conversation_pk: int, happening: Happening, items: Sequence[Item | Told] = ()) -> None:
    """Tell a conversation's sockets once the transaction is committed."""
    message = {"type": _HANDLER, "happening": happening, "items": [item.public_id for item in items]}
    announce([group_of(conversation_pk)], message)


def tell_deleted(conversation_pks: Sequence[int]) -> None:
    """Tell the sockets of conversations that they are gone, once the transaction is committed."""
    message = {"type": _HANDLER, "happening": Happening.DELETED, "items": []}
    announce([group_of(pk) for pk in conversation_pks], message)

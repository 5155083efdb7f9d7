"""What happened in a conversation, as frames for a caller who may see it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from rest_framework.request import Request

from apps.conversations.documents import conversation_document, item_document
from apps.conversations.happenings import Happening
from apps.conversations.models import Conversation, Item
from apps.core.wall import narrowed
from apps.organizations.principal import Principal

# What does not fit into a frame of this size is named and left out: a picture is read over HTTP.
MAX_FRAME_BYTES = 256 * 1024
_ITEMS_READ = (Happening.ITEM_CREATED, Happening.ITEM_UPDATED)


def key_of(principal: Principal, public_id: str) -> int | None:
    """Return the key of a conversation that the caller may see now, None for any other."""
    conversation = _visible(principal, public_id)
    return None if conversation is None else conversation.pk


def frames_of(
    request: Request, principal: Principal, public_id: str, happening: str, item_ids: Sequence[str]
) -> list[bytes] | None:
    """
    Return what a caller is told. None: of this conversation nothing any more. `request` says how times are written.

    Items deleted since they were written are left out.
    """
    conversation = _visible(principal, public_id)
    if conversation is None:
        return None
    told: dict[str, Any] = {"type": happening, "conversation_id": public_id}
    if happening == Happening.UPDATED:
        return [_fitting(told, "conversation", conversation_document(request, conversation))]
    if happening == Happening.ITEM_DELETED:
        return [msgspec.json.encode({**told, "item_id": item_id}) for item_id in item_ids]
    if happening in _ITEMS_READ:
        with narrowed(principal.organization_id, principal.organization_public_id):
            items = list(Item.objects.in_organization(principal.organization_id).among(conversation, item_ids))
        return [
            _fitting({**told, "item_id": item.public_id}, "item", item_document(request, conversation, item))
            for item in items
        ]
    return [msgspec.json.encode(told)]


def _visible(principal: Principal, public_id: str) -> Conversation | None:
    with narrowed(principal.organization_id, principal.organization_public_id):
        rows = Conversation.objects.visible_to(principal).with_branch()
        found: Conversation | None = rows.with_public_id(public_id)
    return found


def _fitting(told: dict[str, Any], name: str, document: dict[str, Any]) -> bytes:
    frame = msgspec.json.encode({**told, name: document})
    return frame if len(frame) <= MAX_FRAME_BYTES else msgspec.json.encode({**told, name: None})

"""What a chat request says about conversations, which is ours and no provider's to know."""

from __future__ import annotations

from typing import Any

import msgspec

from apps.core.errors import BadRequest

# Canonical paths of routes that always are in a conversation. The second is MCP's, which takes chat bodies too.
CONVERSATION_PATHS = frozenset({"/v1/conv/chat/completions", "/v1/conv/mcp"})
# What a request says of keeping its answer. A provider that obeyed would keep what somebody here may delete.
OURS = frozenset({"store", "metadata"})


class Fork(msgspec.Struct, frozen=True, kw_only=True):
    """What a turn comes instead of, on a branch of its own: an answer, or a message if it `edits`."""

    conversation_id: str
    item_id: str
    edits: bool


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """
    A conversation to be in, a new one if `conversation_id` is None. `stores`: its turn is kept there.

    `fork`: what it begins a branch with. `answers`: a model is called.
    """

    conversation_id: str | None
    stores: bool = True
    fork: Fork | None = None
    answers: bool = True


def read_wish(document: Any, *, is_conversational: bool) -> tuple[Any, Wish | None]:
    """
    Return a request without what is ours, and what it wants of a conversation, if anything.

    `conversation` is an id or `{"id": ...}`; `{}` begins a new one. Where the route `is_conversational`, it
    may be called `conversation_id` or be left out, and `input` may stand for `messages`
    (seeds/004-chat-conversations.md). Raises BadRequest naming the parameter.
    """
    if not isinstance(document, dict) or not (is_conversational or "conversation" in document):
        return document, None
    rest = dict(document)
    given = rest.pop("conversation", None)
    wanted = _id_in(given)
    if is_conversational:
        other = rest.pop("conversation_id", None)
        if other is not None and not isinstance(other, str):
            raise BadRequest("'conversation_id' must be the id of a conversation.", param="conversation_id")
        if other and wanted and other != wanted:
            raise BadRequest("'conversation' and 'conversation_id' name two conversations.", param="conversation_id")
        wanted = wanted or other or None
        _take_input(rest)
    elif given is None:
        return rest, None
    if rest.get("n") not in (None, 1):
        raise BadRequest("A turn of a conversation has one answer: 'n' must be 1.", param="n")
    stores = rest.get("store") is not False
    if wanted is None and not stores:
        return rest, None  # there would be nothing to be in
    return rest, Wish(conversation_id=wanted, stores=stores)


def _id_in(given: Any) -> str | None:
    if isinstance(given, dict):
        given = given.get("id")
    if given is None:
        return None
    if not isinstance(given, str) or not given:
        raise BadRequest("'conversation' must be an id, or an object with one.", param="conversation")
    return given


def _take_input(document: dict[str, Any]) -> None:
    """Make `input` the messages, where there are none."""
    given = document.pop("input", None)
    if document.get("messages") is not None or given is None:
        return
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        raise BadRequest("'input' must be a text or a list of messages.", param="input")
    document["messages"] = [
        {name: value for name, value in {"role": "user", **each}.items() if name != "type"} for each in given
    ]

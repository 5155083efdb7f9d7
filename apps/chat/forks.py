"""Answering again and editing: turns that begin a branch of their conversation instead of going on with it."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import msgspec
from django.db import Error as DatabaseError

from apps.chat.wishes import Fork, Wish, read_wish
from apps.conversations import branches, turns
from apps.conversations.content import NewItem, messages_of
from apps.conversations.documents import branch_document
from apps.conversations.parsing import parse_item
from apps.core.db import in_db_thread
from apps.core.errors import BadRequest, ServiceUnavailable
from apps.organizations.principal import Principal
from apps.organizations.roles import Scope

log = logging.getLogger("jan.turns")
_P = ParamSpec("_P")
_T = TypeVar("_T")

# Canonical paths of the routes, and whether each edits. Messages are items by the name they had once.
FORK_PATHS = {
    f"/v1/conversations/{{conversation_id}}/{items}/{{item_id}}/{verb}": verb == "edit"
    for items in ("items", "messages")
    for verb in ("regenerate", "edit")
}
_PATTERNS = [(re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", path)), is_edit) for path, is_edit in FORK_PATHS.items()]
# What such a call counts as.
COUNTED_AS = "/v1/conv/chat/completions"


def fork_in(path: str) -> Fork | None:
    """Return what a canonical path wants answered again or edited, if anything."""
    if not path.endswith(("/regenerate", "/edit")):
        return None
    for pattern, is_edit in _PATTERNS:
        if found := pattern.fullmatch(path):
            return Fork(**found.groupdict(), edits=is_edit)
    return None


async def read_fork(principal: Principal, document: Any, fork: Fork) -> tuple[dict[str, Any], Wish]:
    """
    Return a request without what is ours, and what it wants. Without a model it is the conversation's.

    An edit says `content`, or `messages` as any turn does, and `regenerate: false` for no answer. Raises BadRequest
    naming the parameter, NotFound, and ServiceUnavailable without the database.
    """
    if not isinstance(document, dict):
        raise BadRequest("The body must be a JSON object.", code="invalid_json")
    given = {**document, "conversation": fork.conversation_id}
    answers = given.pop("regenerate", True) if fork.edits else True
    if not isinstance(answers, bool):
        raise BadRequest("'regenerate' must be true or false.", param="regenerate")
    content = given.pop("content", None) if fork.edits else None
    rest, wish = read_wish(given, is_conversational=True)
    assert wish is not None  # it names a conversation
    _set_messages(rest, content, edits=fork.edits)
    if answers and rest.get("model") is None:
        conversation = await _ask(turns.find, principal, fork.conversation_id)
        if conversation.model:
            rest["model"] = conversation.model
    return rest, Wish(conversation_id=fork.conversation_id, stores=wish.stores, fork=fork, answers=answers)


def _set_messages(document: dict[str, Any], content: Any, *, edits: bool) -> None:
    if content is not None:
        if document.get("messages") is not None:
            raise BadRequest("Give either 'content' or 'messages'.", param="content")
        if content in ("", []):
            raise BadRequest("The message must say something.", param="content")
        document["messages"] = messages_of(parse_item({"role": "user", "content": content}, ""))
    elif document.get("messages") is None:
        if edits:
            raise BadRequest("You must provide 'content'.", code="missing_required_parameter", param="content")
        document["messages"] = []


async def edit(principal: Principal, document: dict[str, Any], wish: Wish) -> bytes:
    """
    Say something else in the place of a message, for no answer. Return the branch it is on, as JSON.

    Raises BadRequest, what `branches.edit_message` does, and ServiceUnavailable without the database.
    """
    principal.require(Scope.CONVERSATIONS_WRITE)
    if not wish.stores:
        raise BadRequest("An edit without an answer is nothing if it is not stored.", param="store")
    return await _ask(_edit, principal, wish, _items_of(document["messages"]))


def _edit(principal: Principal, wish: Wish, items: list[NewItem]) -> bytes:
    assert wish.fork is not None
    conversation = turns.find(principal, wish.fork.conversation_id)
    branch = branches.edit_message(conversation=conversation, item_id=wish.fork.item_id, items=items)
    return msgspec.json.encode(branch_document(branch, int(branch.created_at.timestamp())))


def _items_of(messages: Any) -> list[NewItem]:
    if not isinstance(messages, list) or not messages:
        raise BadRequest("'messages' must be a list of messages.", param="messages")
    return [item for at, each in enumerate(messages) for item in parse_item(each, f"messages[{at}].")]


async def _ask(call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    try:
        return await in_db_thread(call, *args, **kwargs)
    except DatabaseError as problem:
        log.warning("cannot fork a conversation: %s", problem)
        raise ServiceUnavailable("The conversation cannot be read right now. Try again.", retry_after=1) from None

"""
What a model is asked in a conversation: instructions, what was said before as far as it fits, what is said now.

A client may send only what is new, or all it has; what is stored already is found at the beginning of
what it sent, so that nothing reaches the model or the database twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from apps.conversations.content import Message, NewItem, items_of_message, messages_of, tokens_of
from apps.conversations.models import Status, Told
from apps.conversations.tokens import PER_ITEM, count_text
from apps.core.errors import BadRequest

_INSTRUCTING = ("system", "developer")
# What the answer may have when nobody says how much it needs, at most and as a share of what the model holds.
ANSWER_TOKENS = 4096
ANSWER_SHARE = 4


class News(NamedTuple):
    """
    What a request adds to a conversation: messages for the model, items for the database.

    `instead_of` is a broken-off answer to the very same question, which the new answer replaces.
    """

    messages: list[Message]
    items: list[NewItem]
    instead_of: list[Told]


def split(messages: Sequence[Message]) -> tuple[list[Message], list[Message]]:
    """Return a request's instructions, and what was said."""
    instructing = [message for message in messages if message.get("role") in _INSTRUCTING]
    return instructing, [message for message in messages if message.get("role") not in _INSTRUCTING]


def room_for_history(context_length: int, document: dict[str, Any], prompt: str | None) -> int:
    """Return how many tokens of history a model takes beside the request, its instructions and the answer."""
    asked = document.get("max_completion_tokens") or document.get("max_tokens")
    answer = asked if isinstance(asked, int) and asked > 0 else min(ANSWER_TOKENS, context_length // ANSWER_SHARE)
    spent = sum(_cost(message) for message in document["messages"]) + count_text(str(document.get("tools") or ""))
    return context_length - answer - spent - (count_text(prompt) + PER_ITEM if prompt else 0)


def _cost(message: Message) -> int:
    items = items_of_message(message)
    if not items:
        return count_text(str(message.get("content") or "")) + PER_ITEM
    return sum(tokens_of(item.data) for item in items)


def news_in(history: Sequence[Told], said: Sequence[Message]) -> News:
    """Return what of `said` is not the end of `history` already. Raises BadRequest if there is nothing to answer."""
    parts = [items_of_message(message) for message in said]
    told = [item for item in history if item.type != "reasoning"]
    known = _known(told, parts)
    instead_of: list[Told] = []
    if not known and (broken := _broken_off(told)):
        answered = told[: -len(broken)]
        if _known(answered, parts) == len(parts):
            known, instead_of = len(parts), _with_reasoning(history, broken)
    if not said[known:] and not told:
        raise BadRequest("'messages' must hold something to answer.", param="messages")
    items = [item for part in parts[known:] for item in part]
    return News(list(said[known:]), items, instead_of)


def news_of(history: Sequence[Told], said: Sequence[Message], *, edits: bool) -> News:
    """
    Return what an edit says, all of which is new. An answer given again says nothing: its question is in the history.

    Raises BadRequest for one that is the other, and for a question that was not kept or that the model cannot hold.
    """
    if edits and not said:
        raise BadRequest("The message must say something.", param="content")
    if said and not edits:
        raise BadRequest("The question stays as it is. Edit the message to ask another one.", param="messages")
    if not edits and not messages_of(history):
        raise BadRequest(
            "The question cannot be asked again: it was not kept, or is longer than what the model reads.",
            code="nothing_to_answer",
            param="item_id",
        )
    return News(list(said), [item for message in said for item in items_of_message(message)], [])


def _known(told: Sequence[Told], parts: Sequence[list[NewItem]]) -> int:
    """Return how many of the messages, from the first one on, end with what was told last."""
    stored = [_signature(item) for item in told]
    given: list[tuple[Any, ...]] = []
    known = 0
    for count, part in enumerate(parts, start=1):
        given += [_signature(item) for item in part]
        shared = min(len(given), len(stored))
        if shared and given[-shared:] == stored[-shared:]:
            known = count
    return known


def _signature(item: Told | NewItem) -> tuple[Any, ...]:
    """Return what makes two items the same words, whoever wrote them down."""
    data = item.data
    said = [
        (part.get("text") or part.get("refusal") or "").strip() or part.get("image_url") or part.get("file_id")
        for part in data.get("content") or ()
        if isinstance(part, dict)
    ]
    output = data.get("output")
    return item.type, item.role, tuple(said), data.get("call_id"), output if isinstance(output, str) else None


def _broken_off(told: Sequence[Told]) -> list[Told]:
    """Return the answer at the end that was not completed."""
    start = len(told)
    while start and told[start - 1].status == Status.INCOMPLETE:
        start -= 1
    return list(told[start:])


def _with_reasoning(history: Sequence[Told], broken: Sequence[Told]) -> list[Told]:
    first = broken[0].sequence
    at = next(index for index, item in enumerate(history) if item.sequence == first)
    while at and history[at - 1].type == "reasoning" and history[at - 1].status == Status.INCOMPLETE:
        at -= 1
    return list(history[at:])


def prompted(prompt: str | None, instructing: Sequence[Message], history: Sequence[Told], news: News) -> list[Message]:
    """Return the messages that go to the model."""
    gone = {item.pk for item in news.instead_of}
    before = messages_of(item for item in history if item.pk not in gone)
    return [*_together(prompt, instructing), *before, *news.messages]


def _together(prompt: str | None, instructing: Sequence[Message]) -> list[Message]:
    """Return the instructions with ours first, in one message where that can be: many models take only one."""
    if not prompt:
        return list(instructing)
    if instructing and isinstance(instructing[0].get("content"), str):
        first = {**instructing[0], "content": f"{prompt}\n\n{instructing[0]['content']}"}
        return [first, *instructing[1:]]
    return [{"role": "system", "content": prompt}, *instructing]

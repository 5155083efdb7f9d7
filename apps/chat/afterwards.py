"""
Calls that follow a turn and that nobody waits for: a title, and a summary of what no longer fits.

They are accepted, counted and settled like every other call, in the name of whoever took the turn. One
that fails leaves everything as it was; the next turn may try again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from django.conf import settings
from django.db import Error as DatabaseError

from apps.chat.turns import Turn
from apps.conversations import memory
from apps.conversations.models import Conversation
from apps.core.db import in_db_thread
from apps.core.errors import AppError
from apps.core.ids import new_id
from apps.gateway.calls import Call
from apps.gateway.services import Gateway
from apps.organizations.principal import Principal

log = logging.getLogger("jan.afterwards")

TITLE_TOKENS = 32
SUMMARY_TOKENS = 512
_TITLE = "Give this conversation a title of at most six words. Answer with the title alone. It begins with:\n\n"
_SUMMARY = (
    "Sum up this part of a conversation in at most 300 words, for somebody who goes on with it: names, facts, "
    "decisions, open questions. Answer with the summary alone.\n\n"
)
# The event loop keeps no task alive that nobody holds.
_running: set[asyncio.Task[None]] = set()


def follow(gateway: Gateway, principal: Principal, turn: Turn, charge: Callable[[int], None]) -> None:
    """Begin what a stored turn calls for."""
    conversation, history = turn.conversation, turn.history
    ask = _Asking(gateway, principal, turn.call.model, charge)
    if settings.MODEL_TITLES and not history.items and not history.is_cut and not conversation.has_given_title:
        _begin(_title(ask, conversation))
    if settings.MODEL_SUMMARIES and history.is_cut:
        _begin(_summarize(ask, conversation, history.begins_at))


def _begin(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(work)
    _running.add(task)
    task.add_done_callback(_running.discard)


class _Asking:
    """Asks the model of a turn one question more."""

    def __init__(self, gateway: Gateway, principal: Principal, model: str, charge: Callable[[int], None]) -> None:
        self._gateway, self._principal, self._model, self._charge = gateway, principal, model, charge

    async def __call__(self, question: str, max_tokens: int) -> str:
        """Return the answer's text, perhaps empty. Raises AppError."""
        messages = [{"role": "user", "content": question}]
        document = {"model": self._model, "messages": messages, "max_tokens": max_tokens}
        call = Call("chat/completions", document, msgspec.json.encode(document))
        exchange = self._gateway.accept(self._principal, call, request_id=new_id("req"), charge=self._charge)
        try:
            answer = msgspec.json.decode(await exchange.complete())
        finally:
            self._gateway.release(exchange)
        choices = answer.get("choices") or [{}]
        return str((choices[0].get("message") or {}).get("content") or "")


async def _title(ask: _Asking, conversation: Conversation) -> None:
    try:
        begins_with = await in_db_thread(memory.beginning_of, conversation)
        if begins_with and (title := await ask(_TITLE + begins_with, TITLE_TOKENS)):
            await in_db_thread(memory.entitle, conversation, title)
    except (AppError, DatabaseError) as problem:
        log.info("no title for %s: %s", conversation.public_id, problem)


async def _summarize(ask: _Asking, conversation: Conversation, begins_at: int) -> None:
    try:
        part = await in_db_thread(memory.forgotten, conversation, begins_at)
        if part is not None and (summary := await ask(_SUMMARY + part.text, SUMMARY_TOKENS)):
            await in_db_thread(memory.remember, conversation, part, summary)
    except (AppError, DatabaseError) as problem:
        log.info("no summary for %s: %s", conversation.public_id, problem)

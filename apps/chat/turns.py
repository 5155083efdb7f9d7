"""A turn of a conversation around a model call: history in, answer kept."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Self

import msgspec
from django.conf import settings
from django.db import Error as DatabaseError

from apps.catalog.snapshot import Target
from apps.chat.prompts import News, news_in, news_of, prompted, room_for_history, split
from apps.chat.recording import says_something
from apps.chat.wishes import OURS, Fork, Wish
from apps.conversations import branches, services, turns
from apps.conversations.content import NewItem, items_of_answer
from apps.conversations.models import Branch, Conversation, Item, Status
from apps.conversations.turns import History
from apps.core.db import in_db_thread
from apps.core.errors import InternalError, ServiceUnavailable
from apps.core.ids import new_id
from apps.gateway.calls import Call
from apps.organizations.principal import Principal
from apps.organizations.roles import Scope
from apps.prompting.system import system_prompt
from apps.prompting.tools import without_tools
from apps.user_settings.services import Profile, profile_for

log = logging.getLogger("jan.turns")


class Turn:
    """
    One turn. `call` is what goes to the model; then either `keep` or `abandon` ends it, once.

    A conversation made for it goes again if nothing is kept. A turn that does not store only reads.
    """

    def __init__(
        self, wish: Wish, conversation: Conversation, turn_id: str, news: News, history: History, call: Call
    ) -> None:
        self.call = call
        self.conversation = conversation
        self.history = history
        # What follows a whole answer, once it is stored.
        self.and_then: Callable[[], None] = _nothing
        self._wish = wish
        self._turn_id = turn_id
        self._news = news
        self._renewing = asyncio.create_task(self._renew()) if wish.stores else None
        # The branch the turn begins, not stored yet.
        self._fork = conversation.branch if wish.fork is not None else None
        mark = {"id": conversation.public_id, "title": conversation.title or None}
        branch = conversation.branch.name if wish.stores or wish.fork is None else None
        fields = {"conversation_id": conversation.public_id, "conversation": mark, "branch": branch}
        self._mark = msgspec.json.encode(fields)[1:]

    @classmethod
    async def begin(cls, principal: Principal, wish: Wish, call: Call, target: Target) -> Self:
        """
        Hold the conversation and put its history before the call.

        Raises NotFound, Forbidden, Conflict (`conversation_locked`, `conversation_archived`) or BadRequest; then
        nothing is held. Raises ServiceUnavailable without the database.
        """
        principal.require(Scope.CONVERSATIONS_WRITE if wish.stores else Scope.CONVERSATIONS_READ)
        try:
            return cls(wish, *await in_db_thread(_prepare, principal, wish, call, target))
        except DatabaseError as problem:
            log.warning("cannot begin a turn: %s", problem)
            raise ServiceUnavailable("The conversation cannot be read right now. Try again.", retry_after=1) from None

    def mark(self, payload: bytes) -> bytes:
        """Return a chunk or an answer with the conversation's id and the branch's name in it."""
        fields = payload.rstrip()[:-1].rstrip()
        return fields + (self._mark if fields == b"{" else b"," + self._mark)

    async def keep(self, answer: dict[str, Any], *, request_id: str, is_whole: bool) -> list[Item]:
        """
        Store what was said and the answer, and let go. `answer` is a `chat.completion`, perhaps a part of one.

        An answer given again of which not a word came is no reason for a branch. Raises InternalError
        (`conversation_not_stored`) without the database.
        """
        message = (answer.get("choices") or [{}])[0].get("message") or {}
        if self._fork is not None and not (is_whole or self._news.items or says_something(message)):
            await self.abandon()
            return []
        status = Status.COMPLETED if is_whole else Status.INCOMPLETE
        model = str(answer.get("model") or self.call.model)
        items = [*self._news.items, *_written(items_of_answer(message, status=status), answer, model, request_id)]
        stored: list[Item] = await self._end(
            turns.finish, items, model=self.call.model, instead_of=self._news.instead_of, fork=self._fork
        )
        if stored and is_whole:
            self.and_then()
        return stored

    async def abandon(self) -> None:
        """Let go and leave nothing behind."""
        await self._end(_forget if self._wish.conversation_id is None else turns.release)

    async def _end(self, end: Any, *args: Any, **fields: Any) -> Any:
        if self._renewing is None:
            return []
        self._renewing.cancel()
        try:
            return await in_db_thread(end, self.conversation, self._turn_id, *args, **fields)
        except DatabaseError as problem:
            log.warning("cannot end a turn of %s: %s", self.conversation.public_id, problem)
            # No 503: the model has answered, and a retry would ask it again.
            raise InternalError(
                "The answer could not be stored in its conversation.", code="conversation_not_stored"
            ) from None

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(settings.TURN_LEASE_SECONDS / 3)
            try:
                await in_db_thread(turns.renew, self.conversation, self._turn_id)
            except DatabaseError as problem:
                log.warning("cannot hold %s: %s", self.conversation.public_id, problem)


def _nothing() -> None:
    """What follows most turns."""


def _written(items: list[NewItem], answer: dict[str, Any], model: str, request_id: str) -> list[NewItem]:
    """Say which call wrote the items, and with the last of them what it used."""
    for item in items:
        item.model, item.request_id = model, request_id
    items[-1].usage = answer.get("usage")
    return items


def _prepare(
    principal: Principal, wish: Wish, call: Call, target: Target
) -> tuple[Conversation, str, News, History, Call]:
    """Find or make the conversation, hold it, and write the call. In one database thread."""
    if wish.conversation_id is None:
        conversation = services.create_conversation(principal=principal, model=call.model)
    else:
        conversation = turns.find(principal, wish.conversation_id)
    turn_id = new_id("turn")
    if wish.stores:
        turns.take(conversation, turn_id)
    try:
        if wish.fork is not None:
            branches.turn_to(conversation, _forked(conversation, wish.fork))
        profile = profile_for(principal.owner_id) if principal.owner_id else None
        news, history, asked = _asked(conversation, profile, call, target, wish.fork)
    except BaseException:
        if wish.conversation_id is None:
            _forget(conversation, turn_id)
        elif wish.stores:
            turns.release(conversation, turn_id)
        raise
    return conversation, turn_id, news, history, asked


def _forked(conversation: Conversation, fork: Fork) -> Branch:
    forked = branches.fork_to_edit if fork.edits else branches.fork_to_regenerate
    return forked(conversation, fork.item_id)


def _asked(
    conversation: Conversation, profile: Profile | None, call: Call, target: Target, fork: Fork | None
) -> tuple[News, History, Call]:
    document = call.document
    if profile is not None and not profile.enable_tools:
        document = without_tools(document)
    instruction = conversation.instruction
    prompt = system_prompt(profile=profile, instruction=instruction)
    context_length = target.context_length or settings.DEFAULT_CONTEXT_LENGTH
    history = turns.history_of(conversation, room_for_history(context_length, document, prompt))
    if history.summary:
        prompt = system_prompt(profile=profile, instruction=instruction, summary=history.summary)
    instructing, said = split(document["messages"])
    news = news_in(history.items, said) if fork is None else news_of(history.items, said, edits=fork.edits)
    kept = {name: value for name, value in document.items() if name not in OURS}
    asked = {**kept, "messages": prompted(prompt, instructing, history.items, news)}
    return news, history, Call(call.endpoint, asked, msgspec.json.encode(asked))


def _forget(conversation: Conversation, turn_id: str) -> None:
    """Delete a conversation that was made for a turn, if nobody else has written to it."""
    rows = Conversation.objects.in_organization(conversation.organization_id)
    services.delete_conversations(rows.filter(pk=conversation.pk, turn_id=turn_id, items=None))

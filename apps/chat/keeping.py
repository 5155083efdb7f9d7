"""What is kept of a model call: its turn in a conversation, and itself. Calls that keep nothing never come here."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from apps.chat.afterwards import follow
from apps.chat.recording import Recording, says_something
from apps.chat.storing import Keeper, Storing, wants_storing, without_ours
from apps.chat.turns import Turn
from apps.chat.wishes import Wish
from apps.conversations.services import one_conversation_only
from apps.core.errors import AppError, UpstreamFailed
from apps.gateway.calls import Call
from apps.gateway.chunks import DONE
from apps.gateway.exchange import Exchange, Sink
from apps.gateway.services import Gateway
from apps.organizations.principal import Principal
from apps.usage.models import State


async def accept(
    gateway: Gateway,
    principal: Principal,
    call: Call,
    wish: Wish | None,
    *,
    request_id: str,
    charge: Callable[[int], None],
) -> tuple[Exchange, Keeper | None]:
    """
    Accept a call, as a turn of the conversation it wants to be in and to be stored if it wants that.

    Raises what all three do; then nothing is held.
    """
    only = principal.conversation_id
    if only is not None and (wish is None or wish.conversation_id != only):
        raise one_conversation_only()
    stores = wants_storing(principal, call)
    if wish is None:
        exchange = gateway.accept(principal, without_ours(call), request_id=request_id, charge=charge)
        return exchange, Storing(principal, call.document, None) if stores else None
    turn = await Turn.begin(principal, wish, call, gateway.route(principal, call))
    turn.and_then = partial(follow, gateway, principal, turn, charge)
    try:
        exchange = gateway.accept(principal, turn.call, request_id=request_id, charge=charge)
        return exchange, Storing(principal, call.document, turn) if stores else turn
    except AppError:
        await turn.abandon()
        raise


class KeepingSink:
    """
    Marks and writes down a stream on its way to the client, and goes on writing down when the client is gone.

    `[DONE]` waits: who reads it may ask for what was stored.
    """

    keeps = True

    def __init__(self, sink: Sink, keeper: Keeper, exchange: Exchange) -> None:
        self._sink = sink
        self._keeper = keeper
        self._exchange = exchange
        self.recording = Recording()

    async def write(self, payloads: list[bytes]) -> None:
        chunks = [payload for payload in payloads if payload != DONE]
        for chunk in chunks:
            self.recording.take(chunk)
        if chunks and (self._sink.keeps or not self._exchange.client_gone):
            await self._sink.write([self._keeper.mark(chunk) for chunk in chunks])

    async def ping(self) -> None:
        await self._sink.ping()


async def relay(exchange: Exchange, sink: Sink, keeper: Keeper, request_id: str) -> None:
    """
    Relay a stream and keep its answer, whole or as far as it came.

    Raises what `Exchange.relay` and `Keeper.keep` do.
    """
    keeping = KeepingSink(sink, keeper, exchange)
    try:
        await exchange.relay(keeping)
    finally:
        await _settle(exchange, keeper, keeping.recording, request_id)
    if sink.keeps or not exchange.client_gone:
        await sink.write([DONE])


async def complete(exchange: Exchange, keeper: Keeper, request_id: str) -> bytes:
    """Return a whole answer, kept. Raises what `Exchange.complete` and `Keeper.keep` do."""
    try:
        body = await exchange.complete()
    except BaseException:
        await _settle(exchange, keeper, Recording(), request_id)
        raise
    answer = msgspec.json.decode(body)
    if not is_answer(answer):
        await keeper.abandon()
        raise UpstreamFailed("The provider's answer has nothing that could be kept.")
    await keeper.keep(answer, request_id=request_id, is_whole=True)
    return keeper.mark(body)


def is_answer(answer: dict[str, Any]) -> bool:
    """Say whether a provider's whole answer has a message in each choice."""
    choices = answer.get("choices")
    return (
        isinstance(choices, list)
        and bool(choices)
        and all(isinstance(choice, dict) and isinstance(choice.get("message"), dict) for choice in choices)
    )


async def _settle(exchange: Exchange, keeper: Keeper, recording: Recording, request_id: str) -> None:
    """
    Keep what came. An answer that failed before its first word is not a turn: the client is told, and asks
    again. One whose client left, or stopped it, is.
    """
    answer = recording.document(exchange.tokens)
    if exchange.state is State.UPSTREAM_ERROR and not any(
        says_something(choice["message"]) for choice in answer["choices"]
    ):
        await keeper.abandon()
        return
    ended = bool(answer["choices"]) and all(choice["finish_reason"] for choice in answer["choices"])
    await keeper.keep(answer, request_id=request_id, is_whole=ended)

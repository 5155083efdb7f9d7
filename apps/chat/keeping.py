"""What is kept of a model call: its turn in a conversation. Calls that keep nothing never come here."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec

from apps.chat.afterwards import follow
from apps.chat.recording import Recording
from apps.chat.turns import Turn
from apps.chat.wishes import Wish
from apps.conversations.services import one_conversation_only
from apps.core.errors import AppError
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
) -> tuple[Exchange, Turn | None]:
    """Accept a call, as a turn of the conversation it wants to be in. Raises what both do; then nothing is held."""
    only = principal.conversation_id
    if only is not None and (wish is None or wish.conversation_id != only):
        raise one_conversation_only()
    if wish is None:
        return gateway.accept(principal, call, request_id=request_id, charge=charge), None
    turn = await Turn.begin(principal, wish, call, gateway.route(principal, call))
    turn.and_then = partial(follow, gateway, principal, turn, charge)
    try:
        return gateway.accept(principal, turn.call, request_id=request_id, charge=charge), turn
    except AppError:
        await turn.abandon()
        raise


class KeepingSink:
    """
    Marks and writes down a stream on its way to the client, and goes on writing down when the client is gone.

    `[DONE]` waits: who reads it may ask for what was stored.
    """

    keeps = True

    def __init__(self, sink: Sink, turn: Turn, exchange: Exchange) -> None:
        self._sink = sink
        self._turn = turn
        self._exchange = exchange
        self.recording = Recording()

    async def write(self, payloads: list[bytes]) -> None:
        chunks = [payload for payload in payloads if payload != DONE]
        for chunk in chunks:
            self.recording.take(chunk)
        if chunks and (self._sink.keeps or not self._exchange.client_gone):
            await self._sink.write([self._turn.mark(chunk) for chunk in chunks])

    async def ping(self) -> None:
        await self._sink.ping()


async def relay(exchange: Exchange, sink: Sink, turn: Turn, request_id: str) -> None:
    """
    Relay a stream and keep its turn, whole or as far as it came.

    Raises what `Exchange.relay` and `Turn.keep` do.
    """
    keeping = KeepingSink(sink, turn, exchange)
    try:
        await exchange.relay(keeping)
    finally:
        await _settle(exchange, turn, keeping.recording, request_id)
    if sink.keeps or not exchange.client_gone:
        await sink.write([DONE])


async def complete(exchange: Exchange, turn: Turn, request_id: str) -> bytes:
    """Return a whole answer, its turn kept. Raises what `Exchange.complete` and `Turn.keep` do."""
    try:
        body = await exchange.complete()
    except BaseException:
        await _settle(exchange, turn, Recording(), request_id)
        raise
    await turn.keep(msgspec.json.decode(body), request_id=request_id, is_whole=True)
    return turn.mark(body)


async def _settle(exchange: Exchange, turn: Turn, recording: Recording, request_id: str) -> None:
    """
    Keep what came. An answer that failed before its first word is not a turn: the client is told, and asks
    again. One whose client left, or stopped it, is.
    """
    answer = recording.document(exchange.tokens)
    if exchange.state is State.UPSTREAM_ERROR and not any(map(_says_something, answer["choices"])):
        await turn.abandon()
        return
    ended = bool(answer["choices"]) and all(choice["finish_reason"] for choice in answer["choices"])
    await turn.keep(answer, request_id=request_id, is_whole=ended)


def _says_something(choice: dict[str, object]) -> bool:
    message = choice["message"]
    assert isinstance(message, dict)
    return any(value for name, value in message.items() if name != "role")

"""
Chat completions over WebSocket: `/ws/v1/chat/completions`.

One JSON request in, the answer's chunks out, each a text frame with a `chat.completion.chunk`,
then `{"type": "done"}`; `{"type": "cancel"}` stops it. An error is `{"type": "error", "error":
{...}}`. One answer runs at a time; the socket then takes the next request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec

from apps.api_keys.sockets import CallerSocket, error_frame
from apps.chat.keeping import accept, relay
from apps.chat.wishes import Wish, read_wish
from apps.core import logs
from apps.core.errors import AppError, Conflict
from apps.core.http.errors import unexpected
from apps.core.ids import new_id
from apps.gateway.admission import windows_of_call
from apps.gateway.calls import Call
from apps.gateway.chunks import DONE
from apps.gateway.exchange import Exchange
from apps.gateway.runtime import SCOPE_RUNTIME, Runtime
from apps.organizations.principal import Principal
from apps.ratelimit.backends import StreamSlot
from apps.ratelimit.limiter import refusal_of
from apps.ratelimit.policy import Window

# The canonical path of the same call over HTTP.
CALLED_AS = "/v1/chat/completions"


class FrameSink:
    """A stream's way to a WebSocket client."""

    keeps = False

    def __init__(self, consumer: ChatConsumer) -> None:
        self._consumer = consumer

    async def write(self, payloads: list[bytes]) -> None:
        for payload in payloads:
            if payload != DONE:
                await self._consumer.send(text_data=payload.decode("utf-8", "replace"))

    async def ping(self) -> None:
        """The WebSocket protocol has pings of its own."""


class ChatConsumer(CallerSocket):
    """One answer at a time; `{"type": "cancel"}` stops it, hanging up leaves it."""

    async def connect(self) -> None:
        self.runtime: Runtime = self.scope[SCOPE_RUNTIME]
        self.answer: asyncio.Task[None] | None = None
        self.exchange: Exchange | None = None
        self.is_cancelled = self.is_answering = False
        await super().connect()

    async def heard(self, message: dict[str, Any]) -> None:
        if message.get("type") == "cancel":
            self._cancel()
        else:
            self._begin(message, await self.caller())

    async def disconnect(self, code: int) -> None:
        if self.exchange is not None:
            self.runtime.gateway.client_left(self.exchange)
        if self.answer is not None:
            await asyncio.gather(self.answer, return_exceptions=True)
        await super().disconnect(code)

    def _begin(self, message: dict[str, Any], principal: Principal) -> None:
        if self.is_answering:
            raise Conflict("An answer is still running. Wait for it, or cancel it.", code="answer_running")
        asked = {name: value for name, value in message.items() if name != "type"}
        document, wish = read_wish({**asked, "stream": True}, is_conversational=False)
        call = Call("chat/completions", document, msgspec.json.encode(document), principal.default_model)
        self.is_cancelled, self.is_answering = False, True
        self.answer = asyncio.create_task(self._answer(call, wish, principal))

    def _cancel(self) -> None:
        self.is_cancelled = True
        if self.exchange is not None:
            self.exchange.cancel()

    async def _answer(self, call: Call, wish: Wish | None, principal: Principal) -> None:
        end = await self._answered(call, wish, principal)
        self.is_answering = False  # whoever reads the end may ask again at once
        await self.send(text_data=end)

    async def _answered(self, call: Call, wish: Wish | None, principal: Principal) -> str:
        """Send the answer's chunks and return the frame that ends it."""
        request_id = new_id("req")
        logs.request_id.set(request_id)
        slot = StreamSlot(
            organization=principal.organization_public_id,
            key=principal.key_public_id or principal.user_id,
            member=request_id,
            is_guest=principal.is_guest,
        )
        try:
            windows = windows_of_call(self.runtime, principal, call, CALLED_AS, self.address)
            await self._count(windows, slot)
            await self._relay(principal, call, wish, request_id, windows)
            return '{"type":"done"}'
        except AppError as error:
            return '{"type":"cancelled"}' if self.is_cancelled else error_frame(error)
        except Exception as problem:
            return error_frame(unexpected(problem))
        finally:
            await self.runtime.limiter.release(slot)

    async def _relay(
        self, principal: Principal, call: Call, wish: Wish | None, request_id: str, windows: Sequence[Window]
    ) -> None:
        gateway, charge = self.runtime.gateway, partial(self.runtime.limiter.charge, windows)
        exchange, keeper = await accept(gateway, principal, call, wish, request_id=request_id, charge=charge)
        self.exchange = exchange
        if self.is_cancelled:
            exchange.cancel()
        sink = FrameSink(self)
        try:
            await (exchange.relay(sink) if keeper is None else relay(exchange, sink, keeper, request_id))
        finally:
            self.exchange = None
            gateway.release(exchange)

    async def _count(self, windows: Sequence[Window], slot: StreamSlot) -> None:
        """The same limits as over HTTP, each request counted."""
        decision = await self.runtime.limiter.admit(windows, slot)
        if not decision.allowed:
            raise refusal_of(decision)

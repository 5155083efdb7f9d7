"""
Chat completions over WebSocket: `/ws/v1/chat/completions`.

One JSON request in, the answer's chunks out, each a text frame with a `chat.completion.chunk`,
then `{"type": "done"}`; `{"type": "cancel"}` stops it. An error is `{"type": "error", "error":
{...}}`. One answer runs at a time; the socket then takes the next request.

Credentials come by header, by subprotocol (`jan` and `jan-key.<key or token>`, for browsers), or in
the first message: `{"type": "auth", "api_key": "..."}`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer

from apps.api_keys.addresses import check_address
from apps.api_keys.authentication import Credentials, credentials_of
from apps.chat.http import error_event
from apps.chat.keeping import accept, relay
from apps.chat.wishes import Wish, read_wish
from apps.core import logs
from apps.core.errors import AppError, BadRequest, Conflict, Unauthenticated
from apps.core.http.errors import unexpected
from apps.core.ids import new_id
from apps.core.strict_json import parse_json
from apps.gateway.admission import windows_of_call
from apps.gateway.calls import Call
from apps.gateway.chunks import DONE
from apps.gateway.exchange import Exchange
from apps.gateway.runtime import SCOPE_ADDRESS, SCOPE_RUNTIME, Runtime
from apps.organizations.permissions import unauthenticated
from apps.organizations.principal import Principal
from apps.ratelimit.backends import StreamSlot
from apps.ratelimit.limiter import refusal_of
from apps.ratelimit.policy import Window

SUBPROTOCOL = "jan"
KEY_PREFIX = "jan-key."
UNAUTHORIZED = 4401
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


class ChatConsumer(AsyncWebsocketConsumer):
    """One answer at a time; `{"type": "cancel"}` stops it, hanging up leaves it."""

    async def connect(self) -> None:
        self.runtime: Runtime = self.scope[SCOPE_RUNTIME]
        self.credentials = Credentials()
        self.answer: asyncio.Task[None] | None = None
        self.exchange: Exchange | None = None
        self.is_cancelled = self.is_answering = False
        offered = self.scope.get("subprotocols") or []
        await self.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)
        try:
            credentials = _credentials(self.scope, offered)
            if credentials.api_key or credentials.bearer:
                await self._greet(credentials)
        except AppError as error:
            await self._refuse(error)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        try:
            message = parse_json(
                text_data.encode("utf-8", "surrogatepass") if text_data is not None else bytes_data or b""
            )
            if not isinstance(message, dict):
                raise BadRequest("A message must be a JSON object.", code="invalid_json")
            if message.get("type") == "cancel":
                self._cancel()
            elif self.credentials == Credentials():
                await self._greet(_credentials_in(message))
            else:
                self._begin(message, await self._caller(self.credentials))
        except Unauthenticated as error:
            await self._refuse(error)
        except AppError as error:
            await self._send_error(error)

    async def disconnect(self, code: int) -> None:
        if self.exchange is not None:
            self.runtime.gateway.client_left(self.exchange)
        if self.answer is not None:
            await asyncio.gather(self.answer, return_exceptions=True)
        raise StopConsumer

    async def _greet(self, credentials: Credentials) -> None:
        await self._caller(credentials)
        self.credentials = credentials
        await self.send(text_data='{"type":"ready"}')

    async def _caller(self, credentials: Credentials) -> Principal:
        """Return who is calling now: a credential may end while its socket is open."""
        principal = await self.runtime.principals.find(credentials)
        if principal is None:
            raise unauthenticated()
        check_address(principal, self.scope[SCOPE_ADDRESS])
        return principal

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
            windows = windows_of_call(self.runtime, principal, call, CALLED_AS, self.scope[SCOPE_ADDRESS])
            await self._count(windows, slot)
            await self._relay(principal, call, wish, request_id, windows)
            return '{"type":"done"}'
        except AppError as error:
            return '{"type":"cancelled"}' if self.is_cancelled else _error_frame(error)
        except Exception as problem:
            return _error_frame(unexpected(problem))
        finally:
            await self.runtime.limiter.release(slot)

    async def _relay(
        self, principal: Principal, call: Call, wish: Wish | None, request_id: str, windows: Sequence[Window]
    ) -> None:
        gateway, charge = self.runtime.gateway, partial(self.runtime.limiter.charge, windows)
        exchange, turn = await accept(gateway, principal, call, wish, request_id=request_id, charge=charge)
        self.exchange = exchange
        if self.is_cancelled:
            exchange.cancel()
        sink = FrameSink(self)
        try:
            await (exchange.relay(sink) if turn is None else relay(exchange, sink, turn, request_id))
        finally:
            self.exchange = None
            gateway.release(exchange)

    async def _count(self, windows: Sequence[Window], slot: StreamSlot) -> None:
        """The same limits as over HTTP, each request counted."""
        decision = await self.runtime.limiter.admit(windows, slot)
        if not decision.allowed:
            raise refusal_of(decision)

    async def _send_error(self, error: AppError) -> None:
        await self.send(text_data=_error_frame(error))

    async def _refuse(self, error: AppError) -> None:
        await self._send_error(error)
        await self.close(UNAUTHORIZED)


def _error_frame(error: AppError) -> str:
    return error_event(error, logs.request_id.get()).decode()


def _credentials(scope: dict[str, Any], offered: list[str]) -> Credentials:
    for protocol in offered:
        if protocol.startswith(KEY_PREFIX):
            return Credentials(bearer=protocol.removeprefix(KEY_PREFIX))
    return credentials_of({name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]})


def _credentials_in(message: dict[str, Any]) -> Credentials:
    secret = message.get("api_key") or message.get("token")
    if message.get("type") != "auth" or not isinstance(secret, str) or not secret:
        raise Unauthenticated(
            'The first message must be {"type": "auth", "api_key": "<key or token>"}.', code="missing_credentials"
        )
    return Credentials(bearer=secret)


def _bytes_of(text: str | None, data: bytes | None) -> bytes:
    return data or b"" if text is None else text.encode("utf-8", "surrogatepass")

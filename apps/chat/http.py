"""Model calls over HTTP: the last step of the edge, in ASGI's own terms."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from apps.chat.keeping import accept, complete, relay
from apps.chat.storing import Keeper
from apps.chat.wishes import Wish
from apps.core.errors import AppError
from apps.core.http.errors import body_of, headers_of, status_of, unexpected
from apps.gateway.calls import Call
from apps.gateway.exchange import Exchange
from apps.gateway.services import Gateway
from apps.gateway.sse import write_events
from apps.organizations.principal import Principal

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_JSON: Headers = [(b"content-type", b"application/json")]
_EVENTS: Headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]


class EventSink:
    """A stream's way to an HTTP client. The status line goes out with the first payload, not before."""

    def __init__(self, send: Send, headers: Callable[[], Headers], *, keeps: bool) -> None:
        self._send = send
        self._headers = headers
        self.keeps = keeps
        self.has_started = False

    async def write(self, payloads: list[bytes]) -> None:
        if not self.has_started:
            self.has_started = True
            await self._send({"type": "http.response.start", "status": 200, "headers": _EVENTS + self._headers()})
        await self._send({"type": "http.response.body", "body": write_events(payloads), "more_body": True})

    async def ping(self) -> None:
        if self.has_started:
            await self._send({"type": "http.response.body", "body": b": ping\n\n", "more_body": True})

    async def end(self, error: AppError | None = None) -> None:
        """Close a started answer; after an error with its event and without `[DONE]`."""
        body = write_events([body_of(error)]) if error else b""
        await self._send({"type": "http.response.body", "body": body, "more_body": False})


async def serve(
    gateway: Gateway,
    principal: Principal,
    call: Call,
    wish: Wish | None,
    *,
    request_id: str,
    charge: Callable[[int], None],
    headers: Callable[[], Headers],
    receive: Receive,
    send: Send,
    keeps: bool = False,
) -> int:
    """
    Answer one model call and return its status.

    `wish` is the conversation it is a turn of. `charge` is told the tokens it used. `headers` gives the
    headers every answer carries, when the answer starts. `keeps`: `send` takes the whole answer, whether
    or not its client stays. Raises AppError while nothing has been sent.
    """
    exchange, keeper = await accept(gateway, principal, call, wish, request_id=request_id, charge=charge)
    left = asyncio.ensure_future(_until_left(receive))
    left.add_done_callback(lambda watcher: None if watcher.cancelled() else gateway.client_left(exchange))
    try:
        if call.stream:
            return await _stream(exchange, EventSink(send, headers, keeps=keeps), keeper, request_id)
        body = await (exchange.complete() if keeper is None else complete(exchange, keeper, request_id))
        gateway.release(exchange)
        await send_json(send, 200, body, headers())
        return 200
    finally:
        gateway.release(exchange)
        left.cancel()


async def _stream(exchange: Exchange, sink: EventSink, keeper: Keeper | None, request_id: str) -> int:
    try:
        await (exchange.relay(sink) if keeper is None else relay(exchange, sink, keeper, request_id))
    except AppError as error:
        if not sink.has_started:
            raise
        await sink.end(error)
        return status_of(error)
    await sink.end()
    return 200


async def _until_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def send_json(send: Send, status: int, body: bytes, headers: Headers) -> None:
    """Send a whole JSON answer."""
    fixed = [*_JSON, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": fixed + headers})
    await send({"type": "http.response.body", "body": body})


async def send_error(send: Send, problem: BaseException, headers: Headers) -> int:
    """Send an error as a whole answer and return its status."""
    error = problem if isinstance(problem, AppError) else unexpected(problem)
    own = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers_of(error).items()]
    await send_json(send, status_of(error), body_of(error), own + headers)
    return status_of(error)

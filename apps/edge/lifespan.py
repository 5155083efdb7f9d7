"""The life of a serving process: startup, the signal to stop, draining, shutdown."""

from __future__ import annotations

import asyncio
import gc
import signal
from types import FrameType
from typing import Any

from apps.chat.http import Receive, Send
from apps.edge.app import Edge
from apps.edge.sockets import refuse_foreign_origin
from apps.gateway.runtime import Runtime


class Application:
    """Dispatches ASGI's three kinds of scope, and keeps the runtime."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._starting: asyncio.Task[None] | None = None

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if self._edge.runtime is None:
            await self._start_once()
        if scope["type"] == "http":
            await self._edge.http(scope, receive, send)
        elif not await refuse_foreign_origin(scope, receive, send):
            await self._edge.websocket(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self._start_once()
                self._drain_on_signals()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                if self._edge.runtime is not None:
                    await self._edge.runtime.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _start_once(self) -> None:
        """Servers without a lifespan (daphne) start with their first request."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        await asyncio.shield(self._starting)

    async def _start(self) -> None:
        runtime = Runtime()
        await runtime.start()
        self._edge.runtime = runtime
        # What was imported lives as long as the process: the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)

    def _drain_on_signals(self) -> None:
        """Put draining before the server's own handling of SIGTERM and SIGINT, which closes the listening socket."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            servers_own = signal.getsignal(number)
            if callable(servers_own):
                signal.signal(number, _DrainFirst(loop, self._edge, servers_own))


class _DrainFirst:
    """Drains at the first signal, then lets the server stop; a second signal stops it at once."""

    def __init__(self, loop: asyncio.AbstractEventLoop, edge: Edge, then: Any) -> None:
        self._loop, self._edge, self._then = loop, edge, then
        self._draining: asyncio.Task[None] | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self._loop.call_soon_threadsafe(self._begin, number)

    def _begin(self, number: int) -> None:
        if self._draining is None:
            self._draining = self._loop.create_task(self._drain(number))
        else:
            self._then(number, None)

    async def _drain(self, number: int) -> None:
        try:
            if self._edge.runtime is not None:
                await self._edge.runtime.drain()
        finally:
            self._then(number, None)

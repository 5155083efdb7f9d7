"""
Telling open sockets what was committed: those of this process and, through Redis, of every other.

Nothing depends on an announcement. The truth is in the rows, and one that is lost, because Redis is away or too
much is announced at once, leaves a client with what it read last.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import transaction
from redis.exceptions import RedisError

MAX_WAITING = 10_000
SEND_SECONDS = 2.0

log = logging.getLogger("jan.announcements")


class Outbox:
    """
    What waits to be sent by this process.

    Layers belong to an event loop, and services run in threads. So in a serving process the loop sends, one
    after the other in the order of the commits. A process without one (a worker's) sends by itself, if there
    is a Redis to send through.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: asyncio.Queue[tuple[Sequence[str], dict[str, Any]]] = asyncio.Queue(MAX_WAITING)
        self._is_failing = False

    async def run(self) -> None:
        """Send what is put here, until cancelled."""
        self._loop = asyncio.get_running_loop()
        try:
            while True:
                await self._send(*await self._waiting.get())
        finally:
            self._loop = None

    def put(self, groups: Sequence[str], message: dict[str, Any]) -> None:
        """Send a message to the sockets of groups. From any thread; never waits for a serving process's loop."""
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop was closed a moment ago
                loop.call_soon_threadsafe(self._add, groups, message)
        elif settings.REDIS_URL:
            async_to_sync(self._send)(groups, message)

    def _add(self, groups: Sequence[str], message: dict[str, Any]) -> None:
        try:
            self._waiting.put_nowait((groups, message))
        except asyncio.QueueFull:
            self._failed("too much is announced at once")

    async def _send(self, groups: Sequence[str], message: dict[str, Any]) -> None:
        layer = get_channel_layer()
        try:
            async with asyncio.timeout(SEND_SECONDS):
                for group in groups:
                    await layer.group_send(group, message)
            self._is_failing = False
        except (RedisError, OSError) as problem:  # TimeoutError is an OSError
            self._failed(repr(problem))

    def _failed(self, reason: str) -> None:
        if not self._is_failing:
            self._is_failing = True
            log.warning("open sockets are not told of changes: %s", reason)


outbox = Outbox()


def announce(groups: Sequence[str], message: dict[str, Any]) -> None:
    """Send a message to the sockets of groups once the running transaction is committed, or now without one."""
    transaction.on_commit(partial(outbox.put, groups, message))

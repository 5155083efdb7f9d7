"""Watches the epoch: what a process cached is good while it was looked at within two seconds."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from django.db import Error as DatabaseError

from apps.core.db import in_db_thread
from apps.core.epoch import current_epoch

log = logging.getLogger("jan.freshness")

LOOK_EVERY = 0.9
MAX_AGE = 2.0


class Watch:
    """
    Looks at the epoch about once a second and calls its listeners when it moved.

    `is_fresh` says whether the last look succeeded recently enough to trust a cache. When the
    database is away it turns false, and callers go to the database themselves, or fail.
    """

    def __init__(self) -> None:
        self._epoch: int | None = None
        self._seen_at = float("-inf")
        self._listeners: list[Callable[[], Awaitable[None]]] = []

    def on_change(self, listener: Callable[[], Awaitable[None]]) -> None:
        self._listeners.append(listener)

    @property
    def is_fresh(self) -> bool:
        return time.monotonic() - self._seen_at < MAX_AGE

    async def look(self) -> None:
        """Read the epoch; if it moved, let every listener drop or reload. Raises what the database raises."""
        asked_at = time.monotonic()
        epoch = await in_db_thread(current_epoch)
        if epoch != self._epoch:
            for listener in self._listeners:
                await listener()
        self._epoch, self._seen_at = epoch, asked_at

    async def run(self) -> None:
        """Look until cancelled. A database that is away is logged once and asked again."""
        failing = False
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                await self.look()
                failing = False
            except (DatabaseError, OSError) as problem:
                if not failing:
                    log.warning("cannot look at the epoch: %s", problem)
                failing = True

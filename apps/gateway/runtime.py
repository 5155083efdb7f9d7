"""What a serving process holds, and its start and stop."""

from __future__ import annotations

import asyncio
import logging

from django.conf import settings
from django.db import Error as DatabaseError

from apps.api_keys.cache import PrincipalCache
from apps.catalog.snapshot import Routing
from apps.core.announcements import outbox
from apps.core.freshness import Watch
from apps.core.lifecycle import lifecycle
from apps.gateway.services import Gateway
from apps.idempotency.claims import Claims
from apps.quotas.snapshot import Quotas
from apps.ratelimit.limiter import Limiter, make_limiter
from apps.usage.journal import Journal

log = logging.getLogger("jan.runtime")

WRITE_USES_EVERY = 5.0
# Where the edge leaves the runtime for Channels' consumers.
SCOPE_RUNTIME = "jan.runtime"


class Runtime:
    """Made once in each serving process, inside its event loop."""

    def __init__(self) -> None:
        self.watch = Watch()
        self.principals = PrincipalCache(self.watch)
        self.routing = Routing(self.watch)
        self.quotas = Quotas(self.watch)
        self.journal = Journal(settings.JOURNAL_DIR, settings.JOURNAL_SYNC_SECONDS)
        self.gateway = Gateway(self.routing, self.journal)
        self.claims = Claims()
        self.limiter: Limiter = make_limiter(settings.REDIS_URL)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Load what is cached and begin to watch. A database that is away delays readiness, not the start."""
        try:
            await self.watch.look()
        except (DatabaseError, OSError) as problem:
            log.warning("the database does not answer yet: %s", problem)
        self._tasks = [
            asyncio.create_task(work, name=name)
            for name, work in (
                ("epoch", self.watch.run()),
                ("exchanges", self.gateway.watch()),
                ("journal", self._sync_journal()),
                ("key-uses", self._write_uses()),
                ("claims", self.claims.run()),
                ("announcements", outbox.run()),
            )
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.gateway.close()
        await self.limiter.close()
        self.journal.close()

    async def drain(self) -> None:
        """Refuse what is new, let what runs end. Returns when every exchange is settled."""
        lifecycle.draining = True
        log.info("draining: %d requests running", self.gateway.active_count)
        await self.gateway.drain(settings.DRAIN_SECONDS)

    async def _sync_journal(self) -> None:
        while True:
            await asyncio.sleep(settings.JOURNAL_SYNC_SECONDS)
            await asyncio.to_thread(self.journal.sync)

    async def _write_uses(self) -> None:
        while True:
            await asyncio.sleep(WRITE_USES_EVERY)
            try:
                await self.principals.write_uses()
            except (DatabaseError, OSError) as problem:
                log.warning("cannot write when keys were used: %s", problem)

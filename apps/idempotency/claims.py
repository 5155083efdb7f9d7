"""The claims of this process: taken and ended off the event loop, kept alive while their requests run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from django.conf import settings
from django.db import Error as DatabaseError

from apps.core.db import in_db_thread
from apps.core.errors import ServiceUnavailable
from apps.core.wall import narrowed
from apps.idempotency import services
from apps.idempotency.models import IdempotencyRecord, State
from apps.idempotency.services import Asked

_T = TypeVar("_T")
log = logging.getLogger("jan.idempotency")


class Claims:
    """`take` a claim, then end it once with `finish`, `release` or `give_up`."""

    def __init__(self) -> None:
        self._held: dict[str, Asked] = {}

    async def take(self, asked: Asked) -> IdempotencyRecord:
        """
        Return what `services.claim` returns and raise what it raises.

        Raises ServiceUnavailable when the database cannot be asked: nobody could say whether it is the first time.
        """
        try:
            record = await _for(asked, services.claim, asked)
        except (DatabaseError, OSError) as problem:
            log.warning("cannot claim an idempotency key: %s", problem)
            raise ServiceUnavailable(
                f"Requests with '{services.HEADER}' cannot be taken right now. Nothing was done; try again.",
                retry_after=2,
            ) from problem
        if record.state == State.RUNNING:
            self._held[record.public_id] = asked
        return record

    async def finish(self, public_id: str, *, status: int, headers: dict[str, str], body: bytes | None) -> None:
        await self._end(public_id, services.finish, status=status, headers=headers, body=body)

    async def release(self, public_id: str) -> None:
        await self._end(public_id, services.release)

    async def give_up(self, public_id: str) -> None:
        await self._end(public_id, services.give_up)

    async def _end(self, public_id: str, how: Callable[..., None], **what: Any) -> None:
        """End a claim. One that cannot be ended is interrupted when its lease is over."""
        try:
            await _for(self._held[public_id], how, public_id, **what)
        except (DatabaseError, OSError) as problem:
            log.warning("cannot write how %s ended: %s", public_id, problem)
        finally:
            del self._held[public_id]

    async def run(self) -> None:
        """Renew the leases of what is held until cancelled."""
        while True:
            await asyncio.sleep(settings.IDEMPOTENCY_LEASE_SECONDS / 3)
            if self._held:
                try:
                    await in_db_thread(services.renew, list(self._held))
                except (DatabaseError, OSError) as problem:
                    log.warning("cannot renew idempotency leases: %s", problem)


async def _for(asked: Asked, call: Callable[..., _T], *args: Any, **named: Any) -> _T:
    """Run a service in a database thread that sees the asking organization only."""

    def behind_the_wall() -> _T:
        with narrowed(asked.organization_id, asked.organization_public_id):
            return call(*args, **named)

    return await in_db_thread(behind_the_wall)

"""The one path to a provider. Chat, and later responses and MCP, all call it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from django.conf import settings

from apps.catalog.snapshot import Routing, Target
from apps.core.errors import Forbidden, ServiceUnavailable
from apps.core.ids import new_id
from apps.core.lifecycle import lifecycle
from apps.gateway.calls import Call
from apps.gateway.exchange import Exchange
from apps.gateway.upstream import Upstream
from apps.organizations.principal import Principal
from apps.organizations.roles import Scope
from apps.usage.journal import Accepted, Journal

CHECK_EVERY = 0.5
# Seconds an interrupted exchange gets to send its error event.
SETTLE_SECONDS = 2.0


class Gateway:
    """This process's exchanges, and what they share."""

    def __init__(self, routing: Routing, journal: Journal) -> None:
        self._routing = routing
        self._journal = journal
        self._upstream = Upstream()
        self._active: dict[Exchange, int] = {}
        self._idle = asyncio.Event()
        self._idle.set()

    def route(self, principal: Principal, call: Call) -> Target:
        """Return where a call goes. Raises Forbidden, NotFound (`model_not_found`) or ServiceUnavailable."""
        if lifecycle.draining:
            raise ServiceUnavailable("The server is restarting. Try again.", code="server_shutdown", retry_after=1)
        principal.require(Scope.INFERENCE)
        target = self._routing.find(principal.organization_id, call.model)
        if not principal.may_call(call.model, target.model_id):
            raise Forbidden(
                f"The model '{call.model}' may not be called here: the organization, the project or the key does not "
                "allow it. GET /v1/models lists those that may.",
                code="model_not_allowed",
                param="model",
            )
        return target

    def accept(self, principal: Principal, call: Call, *, request_id: str, charge: Callable[[int], None]) -> Exchange:
        """
        Take responsibility for a call: from here on it is accounted for exactly once.

        `charge` is told the tokens it used when it is settled. Raises what `route` does; then nothing
        was accepted. The caller runs the exchange and gives it back with `release`.
        """
        target = self.route(principal, call)
        entry = self._journal.accept(
            Accepted(
                usage_id=new_id("usage"),
                request_id=request_id,
                organization_id=principal.organization_id,
                project_id=principal.project_id,
                user_id=principal.user_id,
                api_key_id=principal.key_id,
                provider_id=target.provider_id,
                endpoint=call.endpoint,
                model=target.model_id,
                is_stream=call.stream,
                accepted_at=time.time(),
            )
        )
        exchange = Exchange(self._upstream, entry, target, call, request_id=request_id, charge=charge)
        self._active[exchange] = principal.organization_id
        self._idle.clear()
        return exchange

    def release(self, exchange: Exchange) -> None:
        self._active.pop(exchange, None)
        if not self._active:
            self._idle.set()

    def client_left(self, exchange: Exchange) -> None:
        """Tell an exchange that its client is gone. Each organization may leave so many answers running."""
        organization = self._active.get(exchange)
        running = sum(1 for other, owner in self._active.items() if owner == organization and other.client_gone)
        exchange.client_left(may_drain=running < settings.CLIENT_GONE_MAX_DRAINS)

    @property
    def active_count(self) -> int:
        return len(self._active)

    async def watch(self) -> None:
        """End what hangs and keep waiting clients alive, until cancelled."""
        while True:
            await asyncio.sleep(CHECK_EVERY)
            now = time.monotonic()
            for exchange in list(self._active):
                await exchange.check(now)

    async def drain(self, seconds: float) -> None:
        """Give running exchanges `seconds` to end, then end them with a typed error; returns when all are settled."""
        await self._idle_within(seconds)
        for exchange in list(self._active):
            exchange.interrupt()
        await self._idle_within(SETTLE_SECONDS)

    async def _idle_within(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            pass

    async def close(self) -> None:
        await self._upstream.close()

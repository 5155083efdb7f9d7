"""The routing table a process keeps in memory: which provider answers for which model."""

from __future__ import annotations

import logging

import msgspec

from apps.catalog.models import ModelAlias, Route
from apps.core.db import in_db_thread
from apps.core.errors import NotFound
from apps.core.freshness import Watch
from apps.core.sealing import SealBroken

log = logging.getLogger("jan.catalog")


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where a call goes. `credential` is plaintext and must not be logged or shown."""

    model_id: str
    upstream_model: str
    provider_id: int
    kind: str
    base_url: str
    credential: str
    context_length: int | None = None


# An organization's own rows by its id, the platform's under None.
Table = dict[int | None, dict[str, Target]]


def load_table() -> Table:
    """Read every callable model and alias. Three queries, and one for each data key."""
    table: Table = {}
    routes = Route.objects.callable()
    by_model: dict[int, Target] = {}
    for route in routes.select_related("model", "provider__organization").order_by("priority", "id"):
        if route.model_id in by_model:
            continue
        try:
            credential = route.provider.credential
        except SealBroken as problem:
            log.error("provider %s is left out: %s", route.provider, problem)
            continue
        target = Target(
            model_id=route.model.model_id,
            upstream_model=route.upstream_model,
            provider_id=route.provider_id,
            kind=route.provider.kind,
            base_url=route.provider.base_url.rstrip("/"),
            credential=credential,
            context_length=route.model.context_length,
        )
        by_model[route.model_id] = target
        table.setdefault(route.model.organization_id, {})[route.model.model_id] = target
    for alias in ModelAlias.objects.all():
        if alias.model_id in by_model:
            table.setdefault(alias.organization_id, {}).setdefault(alias.alias, by_model[alias.model_id])
    return table


class Routing:
    """The table of this process, reloaded whenever the epoch moves."""

    def __init__(self, watch: Watch) -> None:
        self._table: Table = {}
        watch.on_change(self._reload)

    async def _reload(self) -> None:
        self._table = await in_db_thread(load_table)

    def find(self, organization_id: int, name: str) -> Target:
        """Return where calls for `name` go: the organization's own model before the platform's. Raises NotFound."""
        for owner in (organization_id, None):
            target = self._table.get(owner, {}).get(name)
            if target is not None:
                return target
        raise NotFound(f"The model '{name}' does not exist or is not enabled.", code="model_not_found", param="model")

"""The limits that are set, in the memory of each process: no model call asks the database for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from apps.core.db import in_db_thread
from apps.core.freshness import Watch
from apps.quotas.defaults import defaults
from apps.quotas.models import ALL_MODELS, Amounts, RateLimit
from apps.ratelimit.policy import Window, scaled

_MAX_WINDOWS = 65_536
# Column, what it counts, seconds and name of the window.
_KINDS = (
    ("max_requests_per_1_minute", "requests", 60, "minute"),
    ("max_requests_per_1_day", "requests", 86_400, "day"),
    ("max_tokens_per_1_minute", "tokens", 60, "minute"),
)


class Place(NamedTuple):
    """Where a model call is made, by primary keys; `key_id` is None for an access token."""

    organization_id: int
    project_id: int
    key_id: int | None


# Amounts by whose they are (scope, primary key) and for which model.
Table = dict[tuple[str, int, str], Amounts]


def load_table() -> Table:
    """Read every limit that is set. One query."""
    table: Table = {}
    for row in RateLimit.objects.all():
        if row.api_key_id is not None:
            owner = ("key", row.api_key_id)
        elif row.project_id is not None:
            owner = ("project", row.project_id)
        else:
            owner = ("organization", row.organization_id)
        table[(*owner, row.model)] = row.amounts
    return table


class Quotas:
    """The table of this process, reloaded whenever the epoch moves."""

    def __init__(self, watch: Watch) -> None:
        self._table: Table = {}
        self._windows: dict[tuple[Place, str], tuple[Window, ...]] = {}
        watch.on_change(self._reload)

    async def _reload(self) -> None:
        self._table = await in_db_thread(load_table)
        self._windows.clear()

    def windows_of(self, place: Place, model: str) -> tuple[Window, ...]:
        """Return the windows a call to a model counts in, by the model's own id (empty for one that is unknown)."""
        found = self._windows.get((place, model))
        if found is None:
            if len(self._windows) >= _MAX_WINDOWS:
                self._windows.clear()
            found = self._windows[place, model] = tuple(self._made(place, model))
        return found

    def has_own(self, key_id: int | None) -> bool:
        """Say whether requests are limited for this very key and all models; then not as for every key and user."""
        own = self._table.get(("key", key_id, ALL_MODELS)) if key_id is not None else None
        return own is not None and (own.max_requests_per_1_minute or own.max_requests_per_1_day) is not None

    def _made(self, place: Place, model: str) -> Iterator[Window]:
        owners = [("organization", place.organization_id), ("project", place.project_id)]
        if place.key_id is not None:
            owners.append(("key", place.key_id))
        for scope, owner in owners:
            together = self._table.get((scope, owner, ALL_MODELS), Amounts())
            if scope == "project":
                above = self._table.get(("organization", place.organization_id, ALL_MODELS), Amounts())
                together = together.otherwise(above).otherwise(defaults())
            yield from _windows(scope, owner, ALL_MODELS, together)
            if model and (own := self._table.get((scope, owner, model))):
                yield from _windows(scope, owner, model, own)


def _windows(scope: str, owner: int, model: str, amounts: Amounts) -> Iterator[Window]:
    for column, counts, seconds, unit in _KINDS:
        amount = getattr(amounts, column)
        if amount is not None:
            name = f"{scope}_{counts}" + (f":{model}" if model else "")
            key = f"quota:{scope}:{owner}:{counts}:{unit}:{model}"
            yield Window(name, scope, key, scaled(amount), seconds, unit, counts)

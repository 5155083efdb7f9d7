"""
The second wall between tenants: which rows the database shows to the code that runs.

The first wall is the querysets: every read says whose rows it wants. This one is PostgreSQL's
row-level security (`apps.core.policies`). It holds when a queryset forgot to say so. What the running
code may see is a context variable, everything or one organization; each connection tells its session
before a query, whenever it changed. Commands, tasks, the admin and threads of the edge see everything.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.pq import TransactionStatus

log = logging.getLogger("jan.wall")

_TELL = "SELECT set_config('jan.organization', %s, false), set_config('jan.organization_public_id', %s, false)"


class _Sight(NamedTuple):
    organization_id: str
    public_id: str


_EVERYTHING = _Sight("*", "*")
_sight: ContextVar[_Sight] = ContextVar("wall_sight", default=_EVERYTHING)


def narrow(organization_id: int, public_id: str) -> None:
    """From here on only an organization's rows are seen, until the request ends. For the permission that admits it."""
    _sight.set(_Sight(str(organization_id), public_id))


@contextmanager
def narrowed(organization_id: int, public_id: str) -> Iterator[None]:
    """Inside only an organization's rows are seen."""
    with _seeing(_Sight(str(organization_id), public_id)):
        yield


@contextmanager
def widened(reason: str) -> Iterator[None]:
    """Inside every row is seen. `reason` says why one tenant's request has to."""
    if _sight.get() != _EVERYTHING:
        log.debug("widened: %s", reason)
    with _seeing(_EVERYTHING):
        yield


@contextmanager
def reaching(public_id: str, reason: str) -> Iterator[None]:
    """Inside an organization's rows are seen ('' is the platform), whatever was seen outside."""
    if _sight.get().public_id == public_id:
        yield
    else:
        with widened(reason):
            yield


@contextmanager
def _seeing(sight: _Sight) -> Iterator[None]:
    before = _sight.set(sight)
    try:
        yield
    finally:
        _sight.reset(before)


class WallMixin(BaseDatabaseWrapper):
    """A connection whose session always knows what the running code may see."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # What the session was told last. None: not known, as a pool hands connections around.
        self._told: _Sight | None = None
        self._is_told_for_transaction = False
        self.execute_wrappers.append(self._execute_behind_the_wall)

    def _execute_behind_the_wall(self, execute: Callable[..., Any], *args: Any) -> Any:
        sight = _sight.get()
        if sight != self._told:
            self._tell(sight)
        return execute(*args)

    def _tell(self, sight: _Sight) -> None:
        if self.connection.info.transaction_status == TransactionStatus.INERROR:
            return  # it takes nothing but a rollback, after which it is told
        with self.wrap_database_errors, self.connection.cursor() as cursor:
            cursor.execute(_TELL, sight)
        self._told = sight
        self._is_told_for_transaction = not self.autocommit

    # A rollback takes back what the session was told since; so does a commit that turns into one.

    def commit(self) -> None:
        try:
            super().commit()
        finally:
            if self._is_told_for_transaction:
                self._told = None

    def rollback(self) -> None:
        self._told = None
        super().rollback()

    def savepoint_rollback(self, sid: str) -> None:
        super().savepoint_rollback(sid)
        self._told = None

    def connect(self) -> None:
        self._told = None
        super().connect()

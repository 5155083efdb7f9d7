"""
What a transaction does last, inside it, just before it commits.

Some rows are written by nearly every transaction: the epoch, the head of an audit chain. Locked in
the middle of a transaction they would make everybody wait for its end, and two transactions that
lock two of them in different order would deadlock. So their writing waits here: the locks are the
last ones taken, always in one order, and held for a moment only.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

_Item = TypeVar("_Item")
Key = tuple[str, ...]


class _Waiting(NamedTuple):
    key: Key
    savepoints: frozenset[str | None]
    call: Callable[[list[Any]], object]
    item: Any


class BeforeCommitMixin(BaseDatabaseWrapper):
    """A connection that keeps what waits for the end of its transaction, as Django's keeps `on_commit`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waiting: list[_Waiting] = []
        self._is_running = False

    def wait_for_commit(self, key: Key, call: Callable[[list[Any]], object], item: Any) -> None:
        if self._is_running:
            raise RuntimeError("What runs before a commit cannot wait for it: the order of locks would be lost.")
        self._waiting.append(_Waiting(key, frozenset(self.savepoint_ids), call, item))

    def run_before_commit(self) -> None:
        """Run what waits now. For tests, whose transactions never commit."""
        waiting, self._waiting = sorted(self._waiting, key=attrgetter("key")), []
        self._is_running = True
        try:
            for _, same in groupby(waiting, key=attrgetter("key")):
                entries = list(same)
                entries[0].call([entry.item for entry in entries])
        finally:
            self._is_running = False

    def commit(self) -> None:
        if self._waiting:
            # `Atomic` has left its block already; what runs now may open inner ones.
            self.in_atomic_block = True
            try:
                self.run_before_commit()
            except BaseException:
                self.in_atomic_block = False
                self.rollback()  # `Atomic` does so for the database's errors only
                raise
            self.in_atomic_block = False
        super().commit()

    def rollback(self) -> None:
        self._waiting = []
        super().rollback()

    def savepoint_rollback(self, sid: str) -> None:
        super().savepoint_rollback(sid)
        self._waiting = [entry for entry in self._waiting if sid not in entry.savepoints]

    def connect(self) -> None:
        self._waiting = []
        super().connect()

    def close(self) -> None:
        self._waiting = []
        super().close()


def before_commit(key: Key, call: Callable[[list[_Item]], object], item: _Item) -> None:
    """
    Run `call` once for `key`, with the items given under it, as the last thing of the outermost transaction.

    Calls run in the order of their keys. What raises rolls everything back. What is rolled back is
    forgotten, a savepoint's part with the savepoint. Outside of a transaction it runs in one of its own.
    """
    with transaction.atomic(savepoint=False):
        connection = transaction.get_connection()
        assert isinstance(connection, BeforeCommitMixin)
        connection.wait_for_commit(key, call, item)

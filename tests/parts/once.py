"""What the tests of a module begin with, made once for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db import transaction

_Made = TypeVar("_Made")


@contextmanager
def made_once(blocker: Any, make: Callable[[], _Made]) -> Iterator[_Made]:
    """
    Make something in the database that stays for the module's tests, each of which rolls back to it.

    For a module without transactional tests; a test works on a copy of what is yielded.
    """
    with blocker.unblock(), transaction.atomic():
        yield make()
        transaction.set_rollback(True)

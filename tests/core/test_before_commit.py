from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection, connections, transaction

from apps.accounts.models import User
from apps.core.before_commit import before_commit
from apps.core.epoch import current_epoch, raise_epoch

pytestmark = pytest.mark.django_db(transaction=True)

Seen = list[tuple[str, list[int]]]


def wait(seen: Seen, key: str, item: int) -> None:
    def run(items: list[int]) -> None:
        assert connection.in_atomic_block
        seen.append((key, items))

    before_commit((key,), run, item)


def test_it_runs_once_for_each_key_in_their_order_at_the_end():
    seen: Seen = []
    with transaction.atomic():
        for key, item in (("b", 1), ("a", 2), ("b", 3)):
            wait(seen, key, item)
        with transaction.atomic():
            wait(seen, "a", 4)
        assert seen == []
    assert seen == [("a", [2, 4]), ("b", [1, 3])]


def test_it_runs_at_once_where_there_is_no_transaction():
    seen: Seen = []
    wait(seen, "a", 1)
    assert (seen, connection.in_atomic_block) == ([("a", [1])], False)


def test_what_is_rolled_back_is_forgotten():
    seen: Seen = []
    with transaction.atomic():
        wait(seen, "a", 1)
        transaction.set_rollback(True)
    with transaction.atomic():
        wait(seen, "a", 2)
        with transaction.atomic():
            wait(seen, "a", 3)
            with transaction.atomic():
                wait(seen, "b", 4)
            transaction.set_rollback(True)
    assert seen == [("a", [2])]


@pytest.mark.parametrize("statement", ["SELECT 1 FROM no_such_table", None])
def test_a_failure_rolls_the_transaction_back(statement: str | None):
    def fail(items: list[str]) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement) if statement else int(items[0])

    @transaction.atomic
    def change() -> None:
        User.objects.create_user("a@example.com")
        before_commit(("a",), fail, "x")

    with pytest.raises(Exception, match="no_such_table" if statement else "invalid literal"):
        change()
    assert (User.objects.count(), connection.in_atomic_block, connection.get_autocommit()) == (0, False, True)
    seen: Seen = []
    wait(seen, "a", 1)
    assert seen == [("a", [1])]


def test_nothing_waits_for_a_commit_that_is_under_way():
    with pytest.raises(RuntimeError, match="cannot wait for it"):
        before_commit(("a",), lambda items: before_commit(("b",), print, 1), 1)


def test_the_epoch_is_raised_once_by_a_transaction_as_its_last_statement():
    raise_epoch()
    before = current_epoch()
    with transaction.atomic():
        raise_epoch()
        raise_epoch()
        assert current_epoch() == before
    assert current_epoch() == before + 1


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time")
def test_writers_of_the_epoch_do_not_wait_for_each_others_transactions():
    """Each raises the epoch and then waits for the other, inside its transaction."""
    raise_epoch()
    before, both = current_epoch(), Barrier(2, timeout=20)

    def change() -> None:
        try:
            with transaction.atomic():
                raise_epoch()
                both.wait()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        runs: list[Any] = [pool.submit(change) for _ in range(2)]
        assert [run.result() for run in runs] == [None, None]
    assert current_epoch() == before + 2

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import DatabaseError, connection, connections, transaction
from django.db.models import F

from apps.audit.chain import Break, digest, verify
from apps.audit.models import AuditChain, AuditEvent, AuditLink
from apps.audit.services import SYSTEM, Action, record
from apps.core.epoch import raise_epoch

from .tampering import TABLES, without_triggers

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="these write from threads and turn triggers off"),
]

HERE = "org_1"


def happen(organization: str, *targets: str) -> None:
    """Record events in one transaction."""
    with transaction.atomic():
        for target in targets:
            record(Action.USER_ADDED, actor=SYSTEM, organization=organization, target_id=target, n=[1, 2.5, None])


def events(organization: str = HERE) -> list[AuditEvent]:
    return list(AuditEvent.objects.in_organization(organization).order_by("link__sequence"))


def places(organization: str) -> list[int]:
    rows = AuditLink.objects.filter(organization=organization).order_by("sequence")
    return list(rows.values_list("sequence", flat=True))


def test_events_join_the_chain_of_their_organization():
    happen(HERE, "a", "b")
    happen("", "p")
    happen(HERE, "c")
    assert [(event.target_id, event.link.sequence) for event in events()] == [("a", 1), ("b", 2), ("c", 3)]
    assert [(event.target_id, event.link.sequence) for event in events("")] == [("p", 1)]
    a, b, c = (event.link for event in events())
    assert (a.previous_hash, b.previous_hash, c.previous_hash) == ("", a.hash, b.hash)
    assert b.hash == digest(events()[1], 2, a.hash)
    head = AuditChain.objects.get(organization=HERE)
    assert (head.sequence, head.hash, verify()) == (3, c.hash, [])


def test_a_change_that_is_rolled_back_leaves_no_event_and_no_gap():
    happen(HERE, "a")
    with transaction.atomic():
        happen(HERE, "lost")
        transaction.set_rollback(True)
    with transaction.atomic():
        happen(HERE, "b")
        with transaction.atomic():
            happen(HERE, "lost")
            transaction.set_rollback(True)
    assert [(event.target_id, event.link.sequence) for event in events()] == [("a", 1), ("b", 2)]
    assert verify() == []


def test_an_event_outside_of_a_transaction_is_linked_at_once():
    record(Action.USER_ADDED, actor=SYSTEM, project="proj_1")
    assert (AuditEvent.objects.get().project, places(""), verify()) == ("proj_1", [1], [])


def test_transactions_at_once_give_dense_chains_and_no_deadlock():
    names = ["org_1", "org_2", ""]

    def change(number: int) -> None:
        try:
            with transaction.atomic():
                for step in range(3):  # each in an order of its own
                    happen(names[(number + step * (1 + number % 2)) % 3], f"{number}")
                    raise_epoch()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(change, range(20))) == [None] * 20
    assert {name: places(name) for name in names} == {name: list(range(1, 21)) for name in names}
    assert verify() == []


@pytest.mark.parametrize("model", [AuditEvent, AuditLink])
def test_the_database_refuses_to_change_or_remove(model: Any):
    happen(HERE, "a")
    before = list(model.objects.values())
    rows = model.objects.all()
    for change in (lambda: rows.update(organization="org_2"), lambda: rows._raw_delete("default")):
        with pytest.raises(DatabaseError, match="append-only"):
            change()
    assert (list(model.objects.values()), verify()) == (before, [])


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """An SQLite database with the first migration's audit log; `manage` goes on from there."""
    manage(tmp_path, "migrate", "audit", "0001", "--verbosity", "0")
    with closing(sqlite3.connect(tmp_path / "audit.sqlite3", isolation_level=None)) as database:
        yield database


def manage(folder: Path, *words: str) -> str:
    env = {**os.environ, "DATABASE_URL": f"sqlite:///{folder}/audit.sqlite3", "JAN_DATA_DIR": str(folder)}
    done = subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=settings.BASE_DIR,
        env=env,
        check=True,
        timeout=60,
        capture_output=True,
    )
    return done.stdout.decode()


def insert(database: sqlite3.Connection, **values: Any) -> None:
    columns = [name for _, name, *_ in database.execute("PRAGMA table_info(audit_auditevent)")]
    plain = {"details": "{}", "created_at": "2026-01-01 00:00:00"}
    row = [{**plain, **values}.get(name, "") for name in columns]
    database.execute(f"INSERT INTO audit_auditevent VALUES ({', '.join('?' * len(row))})", row)


def test_events_from_before_the_chains_join_them(tmp_path: Path, sqlite: sqlite3.Connection):
    for number, organization in enumerate([HERE, "", HERE], 1):
        insert(sqlite, id=number, public_id=f"audit_{number}", organization=organization)
    manage(tmp_path, "migrate", "audit", "--verbosity", "0")
    links = sqlite.execute("SELECT event_id, organization, sequence FROM audit_auditlink ORDER BY event_id")
    assert links.fetchall() == [(1, HERE, 1), (2, "", 1), (3, HERE, 2)]
    shown = manage(tmp_path, "shell", "--no-imports", "-c", "from apps.audit.chain import verify; print(verify())")
    assert shown == "[]\n"
    manage(tmp_path, "migrate", "audit", "0001", "--verbosity", "0")
    assert sqlite.execute("SELECT count(*) FROM audit_auditevent").fetchall() == [(3,)]


def test_sqlite_refuses_to_change_or_remove(tmp_path: Path, sqlite: sqlite3.Connection):
    insert(sqlite, id=1, public_id="audit_1", organization=HERE)
    manage(tmp_path, "migrate", "audit", "--verbosity", "0")
    for table in TABLES:
        before = sqlite.execute(f"SELECT * FROM {table}").fetchall()
        for statement in (f"UPDATE {table} SET organization = 'org_2'", f"DELETE FROM {table}"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                sqlite.execute(statement)
        assert sqlite.execute(f"SELECT * FROM {table}").fetchall() == before != []


def changed() -> None:
    AuditEvent.objects.filter(target_id="b").update(actor_label="someone else")


def emptied() -> None:
    AuditEvent.objects.filter(target_id="b").update(details={})


def moved_in_time() -> None:
    AuditEvent.objects.filter(target_id="b").update(created_at=events()[0].created_at)


def moved_away() -> None:
    AuditEvent.objects.filter(target_id="b").update(organization="org_2")


def hashed_anew() -> None:
    """A forger who knows how hashes are made, but mends one place only."""
    changed()
    event = events()[1]
    AuditLink.objects.filter(pk=event.pk).update(hash=digest(event, 2, event.link.previous_hash))


def removed(target: str = "b") -> None:
    AuditLink.objects.filter(event__target_id=target).delete()
    AuditEvent.objects.filter(target_id=target).delete()


def removed_last() -> None:
    removed("c")


def swapped() -> None:
    _, b, c = (event.link for event in events())
    for link, place in ((b, 9), (c, 2), (b, 3)):
        AuditLink.objects.filter(pk=link.pk).update(sequence=place)


def chain_cut() -> None:
    AuditChain.objects.update(sequence=F("sequence") - 1)


def chain_removed() -> None:
    AuditChain.objects.all().delete()


def link_removed() -> None:
    AuditLink.objects.filter(event__target_id="b").delete()


@pytest.mark.parametrize(
    ("tamper", "found"),
    [
        (changed, [("b", "does not match its hash")]),
        (emptied, [("b", "does not match its hash")]),
        (moved_in_time, [("b", "does not match its hash")]),
        (moved_away, [("b", "is in another organization's chain")]),
        (hashed_anew, [("c", "does not match its hash")]),
        (removed, [("2", "is missing")]),
        (removed_last, [("3", "is missing")]),
        (swapped, [("c", "does not match its hash")]),
        (chain_cut, [("2", "is not what the chain ends with"), ("3", "is past the end of its chain")]),
        (chain_removed, [(place, "is past the end of its chain") for place in "123"]),
        (link_removed, [("2", "is missing"), ("b", "is in no chain")]),
    ],
)
def test_what_was_tampered_with_is_found(tamper: Callable[[], None], found: list[tuple[str, str]]):
    happen(HERE, "a", "b", "c")
    ids = {event.target_id: event.public_id for event in events()}
    with without_triggers():
        tamper()
    happen("org_3", "elsewhere")
    expected = [Break(HERE, ids.get(place, place), problem) for place, problem in found]
    assert (verify(), verify(HERE), verify("org_3")) == (expected, expected, [])


def test_fsck_looks_at_the_chains():
    happen(HERE, "a", "b")
    out = StringIO()
    call_command("fsck", "--json", stdout=out)
    assert json.loads(out.getvalue())["ok"] is True
    with without_triggers():
        changed()
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("fsck", "--json", stdout=out)
    b = events()[1].public_id
    assert json.loads(out.getvalue())["violations"] == [
        {"check": "audit_chain", "detail": f"{b} does not match its hash (audit log of {HERE})", "id": b}
    ]

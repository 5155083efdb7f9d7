from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from django.conf import settings
from django.db import connection
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from apps.usage import ledger
from apps.usage.drainer import Drainer
from apps.usage.journal import Accepted, EndLine, Journal, Tokens, sane_count
from apps.usage.journal_files import families, parts
from apps.usage.models import JournalOffset, State, UsageRecord

from .conftest import ACCEPTED_AT, accepted, files
from .test_journal import end

pytestmark = pytest.mark.django_db

CHILD = """
import os, pathlib, sys, django
os.environ["DJANGO_SETTINGS_MODULE"] = "janserver.settings.test"
django.setup()
import msgspec
from apps.usage.journal import Accepted, Journal, Tokens
from apps.usage.models import State
journal = Journal(pathlib.Path(sys.argv[1]), 0.05)
records = msgspec.json.decode(sys.stdin.readline(), type=list[Accepted])
entries = [journal.accept(record) for record in records]
for count, entry in enumerate(entries, 1):
    entry.progress(count * 10)
tokens = Tokens(prompt=3, completion=5)
entries[0].end(state=State.COMPLETED, status=200, tokens=tokens, first_token_ms=1, duration_ms=2)
print("ready", flush=True)
sys.stdin.readline()
"""


def child(directory: Path, records: list[Accepted]) -> subprocess.Popen[bytes]:
    """A process that accepted these and ended the first. It waits to be killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=settings.BASE_DIR,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(msgspec.json.encode(records) + b"\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"ready\n"
    return process


def kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def only_file(directory: Path) -> Path:
    [path] = parts(directory, families(directory)[0])
    return path


def states() -> dict[str, str]:
    return dict(UsageRecord.objects.values_list("request_id", "state"))


def test_what_ended_in_one_batch_becomes_one_final_row(journal: Journal, directory: Path) -> None:
    entry = journal.accept(accepted(usage_id="usage_a"))
    usage = msgspec.Raw(b'{"prompt_tokens": 1}')
    end(entry, tokens=Tokens(prompt=1, completion=2, cached=3, reasoning=4, raw=usage), error_code="e")
    assert Drainer(directory).drain_once() == 2
    row = UsageRecord.objects.get()
    assert (row.public_id, row.request_id, row.organization_id, row.project_id) == ("usage_a", "req_1", 1, 2)
    assert (row.user_id, row.api_key_id, row.provider_id, row.endpoint) == ("user_1", 3, 4, "chat/completions")
    assert (row.state, row.status, row.error_code, row.is_stream) == (State.COMPLETED, 200, "e", True)
    assert (row.prompt_tokens, row.completion_tokens, row.cached_tokens, row.reasoning_tokens) == (1, 2, 3, 4)
    assert (row.first_token_ms, row.duration_ms, row.raw_usage) == (5, 9, {"prompt_tokens": 1})
    assert row.accepted_at.timestamp() == ACCEPTED_AT
    assert row.ended_at is not None


def test_an_open_row_becomes_final_in_a_later_batch(journal: Journal, directory: Path) -> None:
    drainer = Drainer(directory)
    entry = journal.accept(accepted())
    assert (drainer.drain_once(), states()) == (1, {"req_1": State.OPEN})
    end(entry, state=State.CLIENT_GONE)
    assert (drainer.drain_once(), states()) == (1, {"req_1": State.CLIENT_GONE})


def test_draining_again_moves_nothing(journal: Journal, directory: Path) -> None:
    end(journal.accept(accepted()))
    assert [Drainer(directory).drain_once() for _ in range(3)] == [2, 0, 0]
    assert UsageRecord.objects.count() == 1


def test_a_drainer_that_forgot_its_place_changes_nothing(journal: Journal, directory: Path) -> None:
    end(journal.accept(accepted()), tokens=Tokens(completion=8))
    journal.accept(accepted(request_id="req_2"))
    Drainer(directory).drain_once()
    before = list(UsageRecord.objects.values().order_by("id"))
    JournalOffset.objects.all().delete()
    assert Drainer(directory).drain_once() == 3
    assert list(UsageRecord.objects.values().order_by("id")) == before


def test_an_accept_never_opens_a_final_row_again(journal: Journal, directory: Path) -> None:
    record = accepted()
    end(journal.accept(record))
    Drainer(directory).drain_once()
    journal.accept(record)
    Drainer(directory).drain_once()
    assert states() == {"req_1": State.COMPLETED}


def test_what_a_killed_process_left_open_is_interrupted_and_charged(directory: Path) -> None:
    records = [accepted(request_id=f"req_{number}") for number in range(3)]
    process = child(directory, records)
    drainer = Drainer(directory)
    drainer.drain_once()
    assert states() == {"req_0": State.COMPLETED, "req_1": State.OPEN, "req_2": State.OPEN}
    kill(process)
    drainer.drain_once()
    assert states() == {"req_0": State.COMPLETED, "req_1": State.INTERRUPTED, "req_2": State.INTERRUPTED}
    tokens = UsageRecord.objects.order_by("request_id").values_list("completion_tokens", "is_estimated", "status")
    assert list(tokens) == [(5, False, 200), (20, True, 500), (30, True, 500)]
    assert all(row.ended_at and row.ended_at >= row.accepted_at for row in UsageRecord.objects.all())
    assert (files(directory), JournalOffset.objects.count()) == ([], 0)


def test_a_drainer_that_comes_after_the_kill_knows_as_much(directory: Path) -> None:
    process = child(directory, [accepted(request_id=f"req_{number}") for number in range(2)])
    Drainer(directory).drain_once()
    kill(process)
    Drainer(directory).drain_once()
    assert list(UsageRecord.objects.order_by("request_id").values_list("state", "completion_tokens")) == [
        (State.COMPLETED, 5),
        (State.INTERRUPTED, 20),
    ]


def test_a_torn_last_line_of_a_dead_process_is_left_out(journal: Journal, directory: Path) -> None:
    entry = journal.accept(accepted())
    entry.progress(4)
    end(entry, tokens=Tokens(completion=100))
    path = only_file(directory)
    journal.close()
    os.truncate(path, path.stat().st_size - 1)
    drainer = Drainer(directory)
    assert drainer.drain_once() == 1
    row = UsageRecord.objects.get()
    assert (row.state, row.is_estimated) == (State.INTERRUPTED, True)
    assert (drainer.damaged, files(directory)) == (1, [])


def test_a_line_a_living_process_is_still_writing_is_waited_for(journal: Journal, directory: Path) -> None:
    end(journal.accept(accepted()))
    path = only_file(directory)
    whole = path.read_bytes()
    drainer = Drainer(directory)
    os.truncate(path, len(whole) - 5)
    assert drainer.drain_once() == 1
    path.write_bytes(whole)
    assert drainer.drain_once() == 1
    assert (states(), drainer.damaged) == ({"req_1": State.COMPLETED}, 0)


@pytest.mark.parametrize(
    "damage",
    [b"", b"{}", b"null", b"\xff\xfe", b'{"t":"accept"}', b'{"t":"what"}', b"[" * 100_000, b"\x00" * 2_500_000],
    ids=["empty", "object", "null", "not utf-8", "no record", "unknown", "deep", "no end in sight"],
)
def test_damage_in_the_middle_stops_nothing(journal: Journal, directory: Path, damage: bytes) -> None:
    end(journal.accept(accepted(request_id="before")))
    with only_file(directory).open("ab") as file:
        file.write(damage + b"\n")
    end(journal.accept(accepted(request_id="after")))
    drainer = Drainer(directory)
    assert drainer.drain_once() == 4
    assert states() == {"before": State.COMPLETED, "after": State.COMPLETED}
    assert (drainer.damaged > 0) == bool(damage)


@pytest.mark.parametrize(
    "wrong",
    [
        {"usage_id": ""},
        {"usage_id": "usage_" + "x" * 30},
        {"organization_id": 2**63},
        {"project_id": -1},
        {"accepted_at": 1e30},
        {"organization_id": "1"},
    ],
)
def test_a_record_no_row_can_hold_is_left_out(journal: Journal, directory: Path, wrong: dict) -> None:
    journal.accept(accepted(**wrong))
    end(journal.accept(accepted(request_id="good")))
    drainer = Drainer(directory)
    drainer.drain_once()
    assert (states(), drainer.damaged) == ({"good": State.COMPLETED}, 1)


def test_texts_that_do_not_fit_are_cut(journal: Journal, directory: Path) -> None:
    record = accepted(request_id="r" * 99, model="m" * 999, endpoint="e\x00" * 99, user_id="u" * 99)
    end(journal.accept(record), error_code="c" * 99, tokens=Tokens(raw=msgspec.Raw(b'{"a": "\\u0000"}')))
    drainer = Drainer(directory)
    drainer.drain_once()
    row = UsageRecord.objects.get()
    lengths = [len(text) for text in (row.request_id, row.model, row.endpoint, row.user_id, row.error_code)]
    assert (lengths, row.state, drainer.damaged) == ([64, 255, 32, 29, 64], State.COMPLETED, 0)


_ANY = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.none(),
    st.booleans(),
    st.text(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(st.integers(0, 9)),
)


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(counts=st.tuples(_ANY, _ANY, _ANY, _ANY), others=st.tuples(_ANY, _ANY, _ANY))
def test_whatever_the_numbers_the_row_is_sane(counts: tuple[object, ...], others: tuple[object, ...]) -> None:
    tokens = dict(zip(("prompt", "completion", "cached", "reasoning"), counts, strict=True))
    whole = EndLine(
        record=accepted(), state=State.COMPLETED, status=200, error_code="", tokens=Tokens(),
        first_token_ms=None, duration_ms=0, ended_at=ACCEPTED_AT,
    )  # fmt: skip
    line = msgspec.to_builtins(whole)
    line.update(zip(("first_token_ms", "duration_ms", "status"), others, strict=True), tokens=tokens)
    moved = ledger.read(msgspec.json.encode(line))
    assert moved is not None
    assert ledger.write([moved]) == 0
    row = UsageRecord.objects.get(public_id=moved.row.public_id)
    assert row.state == State.COMPLETED
    stored = (row.prompt_tokens, row.completion_tokens, row.cached_tokens, row.reasoning_tokens)
    assert stored == tuple(sane_count(value) for value in counts)
    assert all(0 <= count <= 2**40 for count in stored)


@hypothesis_settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(st.tuples(st.sampled_from(["accept", "end", "drain", "forget"]), st.integers(0, 5)), max_size=30))
def test_however_it_interleaves_every_request_has_one_right_row(
    steps: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    UsageRecord.objects.all().delete()
    directory = tmp_path_factory.mktemp("journal")
    journal = Journal(directory, 0.05, rotate_bytes=1500)
    drainer, open_entries, expected = Drainer(directory), [], {}
    for step, number in steps:
        if step == "accept":
            entry = journal.accept(accepted())
            entry.progress(number)
            open_entries.append(entry)
            expected[entry.record.usage_id] = (State.INTERRUPTED, number)
        elif step == "end" and open_entries:
            entry = open_entries.pop(number % len(open_entries))
            end(entry, tokens=Tokens(completion=100 + number))
            expected[entry.record.usage_id] = (State.COMPLETED, 100 + number)
        elif step == "drain":
            drainer.drain_once()
        else:
            drainer = Drainer(directory)
    journal.close()
    drainer.drain_once()
    rows = UsageRecord.objects.values_list("public_id", "state", "completion_tokens")
    assert {public_id: (state, tokens) for public_id, state, tokens in rows} == expected
    assert (files(directory), drainer.damaged) == ([], 0)


def test_a_file_left_behind_stays_until_what_it_accepted_has_ended(
    make_journal: Callable[..., Journal], directory: Path
) -> None:
    journal = make_journal(rotate_bytes=1000)
    drainer = Drainer(directory)
    long_one = journal.accept(accepted(request_id="long"))
    for _ in range(4):
        end(journal.accept(accepted()))
    drainer.drain_once()
    first, *others = parts(directory, families(directory)[0])
    assert (first.name.split(".")[-2], len(others)) == ("0", 1)
    end(long_one)
    drainer.drain_once()
    assert not first.exists()
    assert set(states().values()) == {State.COMPLETED}


def test_files_of_a_process_that_never_wrote_are_removed(journal: Journal, directory: Path) -> None:
    journal.close()
    Drainer(directory).drain_once()
    assert files(directory) == []


@pytest.mark.django_db(transaction=True)
def test_one_drainer_works_and_another_takes_over(journal: Journal, directory: Path) -> None:
    stops = [threading.Event(), threading.Event()]
    threads = [threading.Thread(target=Drainer(directory).run, args=(stop,)) for stop in stops]
    for thread in threads:
        thread.start()
    for number in range(20):
        end(journal.accept(accepted(request_id=f"req_{number}")))
    stops[0].set()
    threads[0].join(10)
    for number in range(20, 40):
        end(journal.accept(accepted(request_id=f"req_{number}")))
    journal.close()
    last_files: list[str] = files(directory)
    finished = threading.Event()
    for _ in range(100):
        last_files = files(directory)
        if not last_files:
            break
        finished.wait(0.1)
    stops[1].set()
    threads[1].join(10)
    assert last_files == []
    assert states() == {f"req_{number}": State.COMPLETED for number in range(40)}


def test_while_another_drains_this_one_does_nothing(journal: Journal, directory: Path) -> None:
    journal.accept(accepted())
    first, second = Drainer(directory), Drainer(directory)
    with first._sole() as is_sole:
        assert is_sole
        assert second.drain_once() == 0
    assert second.drain_once() == 1


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_gone_is_waited_for(journal: Journal, directory: Path) -> None:
    end(journal.accept(accepted()))
    table = UsageRecord._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO elsewhere")
    stop = threading.Event()
    drainer = Drainer(directory)
    thread = threading.Thread(target=drainer.run, args=(stop,))
    try:
        thread.start()
        for _ in range(500):
            if drainer._is_failing:
                break
            stop.wait(0.02)
        assert drainer._is_failing
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE elsewhere RENAME TO {table}")
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert states() == {"req_1": State.COMPLETED}

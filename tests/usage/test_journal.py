from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from apps.core.errors import ServiceUnavailable
from apps.usage.journal import Journal, Tokens
from apps.usage.journal_files import claimed, families, parts, progress_path
from apps.usage.models import State
from apps.usage.progress import SEGMENT_SLOTS, read_slot

from .conftest import accepted, files


def end(entry, **changes) -> None:
    fields = {"state": State.COMPLETED, "status": 200, "tokens": Tokens(), "first_token_ms": 5, "duration_ms": 9}
    entry.end(**{**fields, **changes})


def lines(directory: Path) -> list[dict]:
    [family] = families(directory)
    data = b"".join(path.read_bytes() for path in parts(directory, family))
    return [msgspec.json.decode(line) for line in data.splitlines()]


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """The kernel refuses writes past `size`, in the middle of a record if it comes so."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def size_of(directory: Path) -> int:
    [family] = families(directory)
    return parts(directory, family)[-1].stat().st_size


def test_a_record_is_in_the_file_when_accept_returns(journal: Journal, directory: Path) -> None:
    record = accepted(model='slash/and "quotes" \n')
    journal.accept(record)
    assert lines(directory) == [{"t": "accept", "slot": 0, "record": msgspec.to_builtins(record)}]
    assert journal.open_count == 1


def test_the_end_repeats_what_was_accepted(journal: Journal, directory: Path) -> None:
    record = accepted()
    end(journal.accept(record), error_code="x", tokens=Tokens(prompt=1, completion=2, cached=3, reasoning=4))
    line = lines(directory)[1]
    assert (line["t"], line["record"], line["state"], line["status"]) == (
        "end",
        msgspec.to_builtins(record),
        "completed",
        200,
    )
    expected = {"prompt": 1, "completion": 2, "cached": 3, "reasoning": 4, "is_estimated": False, "raw": None}
    assert line["tokens"] == expected
    assert journal.open_count == 0


def test_only_the_first_end_counts(journal: Journal, directory: Path) -> None:
    entry = journal.accept(accepted())
    end(entry)
    end(entry, state=State.CANCELLED)
    assert [line.get("state") for line in lines(directory)] == [None, "completed"]
    assert journal.open_count == 0


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (b'{\r\n "a": "\\n"\n}', {"a": "\n"}),
        (b'{"a": ', None),
        (b"[" * 5000 + b"]" * 5000, None),
        (b'"' + b"x" * 20_000 + b'"', None),
    ],
)
def test_the_providers_usage_never_breaks_a_line(journal: Journal, directory: Path, raw: bytes, kept: object) -> None:
    end(journal.accept(accepted()), tokens=Tokens(raw=msgspec.Raw(raw)))
    assert lines(directory)[1]["tokens"]["raw"] == kept


def test_numbers_no_encoder_takes_are_bounded(journal: Journal, directory: Path) -> None:
    tokens = Tokens(prompt=2**70, completion=-(2**70), cached=object(), reasoning=7)  # type: ignore[arg-type]
    end(journal.accept(accepted()), tokens=tokens, duration_ms=2**80)
    stored = lines(directory)[1]["tokens"]
    assert (stored["prompt"], stored["completion"], stored["cached"], stored["reasoning"]) == (2**40, 0, 0, 7)


def test_progress_is_in_the_file_at_once_and_slots_are_used_again(journal: Journal, directory: Path) -> None:
    [family] = families(directory)
    path = progress_path(directory, family)
    first, second = journal.accept(accepted()), journal.accept(accepted())
    first.progress(41)
    second.progress(42)
    assert (read_slot(path, first.slot), read_slot(path, second.slot)) == (41, 42)
    end(first)
    first.progress(99)
    third = journal.accept(accepted())
    assert third.slot == first.slot
    assert read_slot(path, third.slot) == 0


def test_slots_grow_with_the_open_requests(journal: Journal, directory: Path) -> None:
    entries = [journal.accept(accepted()) for _ in range(SEGMENT_SLOTS + 1)]
    entries[0].progress(1)
    entries[-1].progress(2)
    path = progress_path(directory, families(directory)[0])
    assert [read_slot(path, entry.slot) for entry in (entries[0], entries[-1])] == [1, 2]
    assert len({entry.slot for entry in entries}) == SEGMENT_SLOTS + 1


@pytest.mark.parametrize("room", [0, 10, 200])
def test_a_request_that_cannot_be_written_down_is_refused_and_leaves_nothing(
    journal: Journal, directory: Path, room: int
) -> None:
    end(journal.accept(accepted()))
    before = size_of(directory)
    with files_limited_to(before + room), pytest.raises(ServiceUnavailable):
        journal.accept(accepted())
    assert (size_of(directory), journal.open_count) == (before, 0)
    journal.accept(accepted())
    assert [line["t"] for line in lines(directory)] == ["accept", "end", "accept"]


def test_an_end_that_cannot_be_written_is_written_by_the_next_sync(journal: Journal, directory: Path) -> None:
    entry = journal.accept(accepted())
    with files_limited_to(size_of(directory) + 20):
        end(entry, tokens=Tokens(completion=6))
        journal.sync()
    assert (len(lines(directory)), journal.open_count) == (1, 0)
    journal.sync()
    assert [line["t"] for line in lines(directory)] == ["accept", "end"]
    journal.sync()
    assert len(lines(directory)) == 2


def test_past_its_size_the_journal_goes_on_in_a_new_file(make_journal: Callable[..., Journal], directory: Path) -> None:
    journal = make_journal(rotate_bytes=1000)
    for _ in range(5):
        end(journal.accept(accepted()))
        journal.sync()
    found = parts(directory, families(directory)[0])
    assert len(found) > 2
    assert all(path.read_bytes().endswith(b"}\n") for path in found)
    assert len(lines(directory)) == 10


def test_the_lock_says_whether_the_process_lives(journal: Journal, directory: Path) -> None:
    [family] = families(directory)
    with claimed(directory, family) as is_dead:
        assert is_dead is False
    journal.close()
    with claimed(directory, family) as is_dead:
        assert is_dead is True


def test_a_closed_journal_refuses_and_ignores(journal: Journal, directory: Path) -> None:
    entry = journal.accept(accepted())
    journal.close()
    with pytest.raises(ServiceUnavailable):
        journal.accept(accepted())
    end(entry)
    entry.progress(3)
    journal.sync()
    journal.close()
    assert len(lines(directory)) == 1


def test_only_the_owner_may_read_a_journal(journal: Journal, directory: Path) -> None:
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {os.stat(directory / name).st_mode & 0o777 for name in os.listdir(directory)} == {0o600}
    assert files(directory) == ["0.jsonl", "progress"]

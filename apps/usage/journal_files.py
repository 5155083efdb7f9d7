"""
Where journals lie and how they are read: names, who is alive, complete lines.

A process's journal is a family: `<hostname>-<pid>-<start ns>.progress`, which it holds with
flock(2) while it lives, and `<hostname>-<pid>-<start ns>.<part>.jsonl`, of which only the
highest part is still written. The directory must be on a local file system.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

CHUNK_BYTES = 1024 * 1024
_NAME = re.compile(r"^(?P<family>.+-\d+-\d+)\.(?P<part>\d+)\.jsonl$")
_PROGRESS = ".progress"


class Chunk(NamedTuple):
    """Complete lines of a file, and the position after the last of them."""

    lines: list[bytes]
    end: int


def part_path(directory: Path, family: str, part: int) -> Path:
    return directory / f"{family}.{part}.jsonl"


def progress_path(directory: Path, family: str) -> Path:
    return directory / (family + _PROGRESS)


def families(directory: Path) -> list[str]:
    """Return the families that have files, in the order of their names."""
    found = set()
    for name in os.listdir(directory) if directory.is_dir() else []:
        match = _NAME.match(name)
        if match:
            found.add(match["family"])
        elif name.endswith(_PROGRESS):
            found.add(name.removesuffix(_PROGRESS))
    return sorted(found)


def parts(directory: Path, family: str) -> list[Path]:
    """Return a family's journal files, oldest first."""
    found = []
    for name in os.listdir(directory):
        match = _NAME.match(name)
        if match and match["family"] == family:
            found.append((int(match["part"]), directory / name))
    return [path for _, path in sorted(found)]


@contextmanager
def claimed(directory: Path, family: str) -> Iterator[bool]:
    """
    Say whether the family's process is dead; nobody else hears so until the block ends.

    Ask before reading: what a dead process wrote is all there, a living one may write on.
    """
    try:
        lock = os.open(progress_path(directory, family), os.O_RDWR)
    except FileNotFoundError:
        yield True
        return
    try:
        yield try_lock(lock)
    finally:
        os.close(lock)


def try_lock(fd: int) -> bool:
    """Take the lock on an open file if nobody has it; closing the file gives it back."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def chunks(path: Path, start: int = 0, stop: int | None = None) -> Iterator[Chunk]:
    """Read the complete lines between two positions, about a megabyte at a time."""
    with path.open("rb") as file:
        position = start
        while True:
            file.seek(position)
            data = file.read(CHUNK_BYTES if stop is None else min(CHUNK_BYTES, stop - position))
            cut = data.rfind(b"\n") + 1
            if not cut:
                if len(data) < CHUNK_BYTES:
                    return
                cut = len(data)  # no record is this long: damage, which must not be waited on for ever
            position += cut
            yield Chunk([line for line in data[:cut].split(b"\n") if line], position)

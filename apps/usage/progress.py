"""
Counters that outlive their process: how far each open request has come.

A slot is eight bytes of a shared mapping, so a count costs no system call and is in the
kernel's hands at once: `kill -9` loses nothing.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from pathlib import Path

SLOT_BYTES = 8
SEGMENT_SLOTS = 4096
_SEGMENT_BYTES = SEGMENT_SLOTS * SLOT_BYTES


class ProgressFile:
    """A process's slots. Holding the file's lock is what says that the process lives."""

    def __init__(self, path: Path) -> None:
        self._fd = _open_locked(path)
        self._segments: list[memoryview] = []
        self._free: list[int] = []

    def take(self) -> int:
        """Return a free slot, set to zero. Raises OSError if there is no room for more."""
        if not self._free:
            self._grow()
        slot = self._free.pop()
        cells, index = self.cell(slot)
        cells[index] = 0
        return slot

    def free(self, slot: int) -> None:
        self._free.append(slot)

    def cell(self, slot: int) -> tuple[memoryview, int]:
        """Return where the slot's number lies: `cells[index]`."""
        return self._segments[slot // SEGMENT_SLOTS], slot % SEGMENT_SLOTS

    def close(self) -> None:
        """Declare this process dead. Slots still in use can be written, but count no more."""
        fcntl.flock(self._fd, fcntl.LOCK_UN)  # the mappings hold duplicates of the file, so closing would not do
        os.close(self._fd)

    def _grow(self) -> None:
        first = len(self._segments) * SEGMENT_SLOTS
        # Really allocated: a page that finds the disk full when it is first written kills the process (SIGBUS).
        os.posix_fallocate(self._fd, first * SLOT_BYTES, _SEGMENT_BYTES)
        segment = mmap.mmap(self._fd, _SEGMENT_BYTES, offset=first * SLOT_BYTES)
        self._segments.append(memoryview(segment).cast("Q"))
        self._free.extend(range(first + SEGMENT_SLOTS - 1, first - 1, -1))


def read_slot(path: Path, slot: int) -> int:
    """Return the number a dead process left in a slot, 0 if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(slot * SLOT_BYTES)
            data = file.read(SLOT_BYTES)
    except (OSError, ValueError, OverflowError):
        return 0
    return int(struct.unpack("Q", data)[0]) if len(data) == SLOT_BYTES else 0


def _open_locked(path: Path) -> int:
    """Create the file and lock it; a drainer may have taken the new file for a dead process's and removed it."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if os.fstat(fd).st_nlink:
            return fd
        os.close(fd)

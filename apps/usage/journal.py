"""
The usage journal: what a process has promised to account for, written before it goes on.

`accept` writes a line before the first byte goes to a provider, `end` writes the line that
settles it. Both are in the kernel's hands when they return, so a killed process loses nothing;
`sync` brings them to the disk, so a power cut loses what came after the last one. The drainer
moves the lines into the ledger.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from pathlib import Path

import msgspec

from apps.core.errors import ServiceUnavailable
from apps.usage.journal_files import part_path, progress_path
from apps.usage.models import State
from apps.usage.progress import ProgressFile

log = logging.getLogger("jan.usage")

ROTATE_BYTES = 64 * 1024 * 1024
MAX_RAW_BYTES = 16 * 1024
# No answer has this many tokens; what claims more is cut, so that sums stay far from 64 bits.
MAX_TOKENS = 2**40
# Ends a half-written line so that it cannot be read as a record, whatever it holds.
_SPOIL = b"!\n"


class Accepted(msgspec.Struct, kw_only=True):
    """A request that was let in."""

    usage_id: str
    request_id: str
    organization_id: int
    project_id: int
    user_id: str
    api_key_id: int | None
    provider_id: int | None
    endpoint: str
    model: str
    is_stream: bool
    accepted_at: float


class Tokens(msgspec.Struct, kw_only=True):
    """What a request used. `raw` is the provider's usage object, verbatim."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    reasoning: int = 0
    is_estimated: bool = False
    raw: msgspec.Raw | None = None


class AcceptLine(msgspec.Struct, kw_only=True, tag_field="t", tag="accept"):
    slot: int
    record: Accepted


class EndLine(msgspec.Struct, kw_only=True, tag_field="t", tag="end"):
    """Repeats the accepted record: one line settles a request."""

    record: Accepted
    state: State
    status: int
    error_code: str
    tokens: Tokens
    first_token_ms: int | None
    duration_ms: int
    ended_at: float


class Journal:
    """
    This process's journal. One for each process, for as long as it lives.

    `sync_seconds` is how often the owner means to call `sync`. Safe to use from several threads.
    Raises OSError if the directory cannot be written.
    """

    def __init__(self, directory: Path, sync_seconds: float, *, rotate_bytes: int = ROTATE_BYTES) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.sync_seconds = sync_seconds
        self._directory = directory
        self._family = f"{socket.gethostname()[:64]}-{os.getpid()}-{time.time_ns()}"
        self._rotate_bytes = self._rotate_at = rotate_bytes
        self._lock = threading.Lock()
        self._sync_lock = threading.Lock()
        self._encode = msgspec.json.Encoder().encode
        self._progress = ProgressFile(progress_path(directory, self._family))
        self._part = 0
        self._size = 0
        self._fd = self._create(0)
        self._retired: list[int] = []
        self._unwritten: list[tuple[bytes, int]] = []
        self._open = 0
        self._dirty = self._is_torn = self._is_closed = False
        self._sync_directory()

    @property
    def open_count(self) -> int:
        """How many accepted requests have not ended."""
        return self._open

    def accept(self, record: Accepted) -> Entry:
        """Write down that a request was let in. Raises ServiceUnavailable: then it must not be served."""
        with self._lock:
            if self._is_closed:
                raise ServiceUnavailable("The server is shutting down.")
            slot = self._take_slot()
            try:
                self._write(self._encode(AcceptLine(slot=slot, record=record)) + b"\n")
            except (OSError, OverflowError, TypeError, ValueError) as problem:
                self._progress.free(slot)
                raise _cannot_write(problem) from problem
            self._open += 1
            return Entry(self, record, slot, *self._progress.cell(slot))

    def sync(self) -> None:
        """Bring what was written to the disk. Blocks: call it from a thread. Failures are logged and tried again."""
        with self._sync_lock:
            with self._lock:
                if self._is_closed:
                    return
                self._retry_unwritten()
                if not self._dirty:
                    return
                self._dirty = False
                retired, self._retired = self._retired, []
                current = self._fd
            self._sync_files(current, retired)

    def close(self) -> None:
        """Write and sync what can be, and leave the rest to the drainer: requests still open become `interrupted`."""
        self.sync()
        with self._sync_lock, self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            if self._unwritten:
                log.error("%d settled requests could not be written to the journal", len(self._unwritten))
            for fd in [*self._retired, self._fd]:
                os.close(fd)
            self._progress.close()

    def settle(self, entry: Entry, line: EndLine) -> None:
        """Write the end of an entry, now or at the next sync. For `Entry.end`."""
        with self._lock:
            if entry.is_ended or self._is_closed:
                return
            entry.is_ended = True
            self._open -= 1
            data = self._encode_end(line)
            try:
                self._write(data)
            except OSError as problem:
                log.error("the end of a request could not be written to the journal, will retry: %s", problem)
                self._unwritten.append((data, entry.slot))
            else:
                self._progress.free(entry.slot)

    def _take_slot(self) -> int:
        try:
            return self._progress.take()
        except OSError as problem:
            raise _cannot_write(problem) from problem

    def _encode_end(self, line: EndLine) -> bytes:
        if line.tokens.raw is not None:
            line.tokens = msgspec.structs.replace(line.tokens, raw=_one_line(line.tokens.raw))
        try:
            return self._encode(line) + b"\n"
        except (OverflowError, TypeError, ValueError):
            return self._encode(_bounded(line)) + b"\n"

    def _write(self, data: bytes) -> None:
        """Append a whole line or nothing that could be read as one. Raises OSError."""
        if self._size >= self._rotate_at:
            self._rotate()
        if self._is_torn:
            data = _SPOIL + data
        self._dirty = True
        written = os.write(self._fd, data)
        if written == len(data):
            self._size += written
            self._is_torn = False
            return
        self._take_back()
        raise OSError(f"only {written} of {len(data)} bytes were written")

    def _take_back(self) -> None:
        """Remove half a line. The drainer has not read it: it reads whole lines."""
        try:
            os.ftruncate(self._fd, self._size)
        except OSError:
            self._is_torn = True
            self._size = os.fstat(self._fd).st_size

    def _rotate(self) -> None:
        try:
            fresh = self._create(self._part + 1)
        except OSError as problem:
            log.error("the journal cannot go on in a new file, stays in the old one: %s", problem)
            self._rotate_at += self._rotate_bytes
            return
        self._retired.append(self._fd)
        self._fd, self._part, self._size = fresh, self._part + 1, 0
        self._rotate_at, self._is_torn = self._rotate_bytes, False

    def _create(self, part: int) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        return os.open(part_path(self._directory, self._family, part), flags, 0o600)

    def _retry_unwritten(self) -> None:
        while self._unwritten:
            data, slot = self._unwritten[0]
            try:
                self._write(data)
            except OSError:
                return
            self._progress.free(slot)
            del self._unwritten[0]

    def _sync_files(self, current: int, retired: list[int]) -> None:
        try:
            for fd in retired:
                os.fdatasync(fd)
            os.fdatasync(current)
            if retired:
                self._sync_directory()
        except OSError as problem:
            log.error("the journal could not be synced to the disk, will retry: %s", problem)
            with self._lock:
                self._dirty = True
        for fd in retired:
            os.close(fd)

    def _sync_directory(self) -> None:
        fd = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


class Entry:
    """An accepted request, until it ends."""

    __slots__ = ("_cells", "_index", "_journal", "is_ended", "record", "slot")

    def __init__(self, journal: Journal, record: Accepted, slot: int, cells: memoryview, index: int) -> None:
        self.record = record
        self.slot = slot
        self.is_ended = False
        self._journal = journal
        self._cells = cells
        self._index = index

    def progress(self, completion_tokens: int) -> None:
        """Note what is to be charged should this process die now."""
        if not self.is_ended:
            self._cells[self._index] = completion_tokens

    def end(
        self,
        *,
        state: State,
        status: int,
        error_code: str = "",
        tokens: Tokens,
        first_token_ms: int | None,
        duration_ms: int,
    ) -> None:
        """Settle the request. The first call counts, later ones do nothing; never raises for a disk that is full."""
        line = EndLine(
            record=self.record,
            state=state,
            status=status,
            error_code=error_code,
            tokens=tokens,
            first_token_ms=first_token_ms,
            duration_ms=duration_ms,
            ended_at=time.time(),
        )
        self._journal.settle(self, line)


def sane_count(value: object, maximum: int = MAX_TOKENS) -> int:
    """Return what a number somebody else made up can be believed to be: 0 to `maximum`, 0 if it is no integer."""
    if isinstance(value, bool) or not isinstance(value, int):
        return 0
    return min(max(value, 0), maximum)


def _bounded(line: EndLine) -> EndLine:
    tokens = Tokens(
        prompt=sane_count(line.tokens.prompt),
        completion=sane_count(line.tokens.completion),
        cached=sane_count(line.tokens.cached),
        reasoning=sane_count(line.tokens.reasoning),
        is_estimated=bool(line.tokens.is_estimated),
        raw=line.tokens.raw,
    )
    first = None if line.first_token_ms is None else sane_count(line.first_token_ms)
    return msgspec.structs.replace(
        line,
        status=sane_count(line.status),
        error_code=line.error_code.encode("ascii", "replace").decode(),
        tokens=tokens,
        first_token_ms=first,
        duration_ms=sane_count(line.duration_ms),
    )


def _one_line(raw: msgspec.Raw) -> msgspec.Raw | None:
    """Return JSON without its line breaks, which stand only between values; None for what is huge or no JSON."""
    data = bytes(raw)
    if len(data) > MAX_RAW_BYTES:
        return None
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return None
    return msgspec.Raw(data.replace(b"\n", b" ").replace(b"\r", b" "))


def _cannot_write(problem: Exception) -> ServiceUnavailable:
    log.error("a request was refused because the usage journal cannot be written: %s", problem)
    return ServiceUnavailable("Usage cannot be recorded at the moment. Try again later.", code="journal_unavailable")

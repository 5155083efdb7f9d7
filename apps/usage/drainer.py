"""Moves the journals into the ledger, exactly once, and settles what dead processes left open."""

from __future__ import annotations

import datetime
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import connections, transaction

from apps.usage import ledger
from apps.usage.journal_files import Chunk, chunks, claimed, families, parts, progress_path, try_lock
from apps.usage.ledger import Moved
from apps.usage.models import JournalOffset
from apps.usage.progress import read_slot

log = logging.getLogger("jan.usage")

ROUND_SECONDS = 1.0


class _Family:
    """What a drainer knows of one process: how far it has read, and which requests have not ended."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.positions: dict[str, int] = {}
        self.open: dict[str, tuple[Moved, Path]] = {}

    def note(self, moved: list[Moved], path: Path) -> None:
        for each in moved:
            if each.slot is None:
                self.open.pop(each.row.public_id, None)
            else:
                self.open[each.row.public_id] = (each, path)


class Drainer:
    """
    The one that drains a directory. `damaged` counts what it could not read or the ledger would not take.

    Any number may exist; a lock in the directory lets one work at a time.
    """

    def __init__(self, directory: Path) -> None:
        self.damaged = 0
        self._directory = directory
        self._families: dict[str, _Family] = {}
        self._is_sole = False
        self._is_failing = False

    def run(self, stop: threading.Event) -> None:
        """Drain every second until `stop` is set, and once more then. Never raises: what fails is tried again."""
        while not stop.is_set():
            try:
                with self._sole() as is_sole:
                    while is_sole and not stop.is_set():
                        self._try_round()
                        stop.wait(ROUND_SECONDS)
                    if is_sole:
                        self._try_round()
            except OSError as problem:
                self._note_failure(problem)
            stop.wait(ROUND_SECONDS)

    def drain_once(self) -> int:
        """
        Move all complete lines there are; return how many. 0 if another drainer is at work.

        Raises what the database raises; whatever was moved before that stays moved.
        """
        with self._sole() as is_sole:
            return self._round() if is_sole else 0

    @contextmanager
    def _sole(self) -> Iterator[bool]:
        if self._is_sole:
            yield True
            return
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self._directory / "drainer.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._is_sole = try_lock(lock)
            yield self._is_sole
        finally:
            self._is_sole = False
            self._families.clear()  # another may read on before we are asked again
            os.close(lock)

    def _try_round(self) -> None:
        try:
            self._round()
            if self._is_failing:
                self._is_failing = False
                log.info("usage is being moved into the ledger again")
        except Exception as problem:  # a thread that dies would leave the ledger behind without a word
            self._note_failure(problem)
        finally:
            connections.close_all()

    def _note_failure(self, problem: Exception) -> None:
        if not self._is_failing:
            log.error("usage cannot be moved into the ledger, will go on trying", exc_info=problem)
        self._is_failing = True

    def _round(self) -> int:
        names = families(self._directory)
        for gone in self._families.keys() - set(names):
            del self._families[gone]
        return sum(self._drain_family(name) for name in names)

    def _drain_family(self, name: str) -> int:
        with claimed(self._directory, name) as is_dead:
            paths = parts(self._directory, name)
            family = self._families.pop(name, None) or self._recall(name, paths)
            moved = sum(self._drain_file(family, path) for path in paths)
            if is_dead:
                self._bury(family, paths)
            else:
                self._remove_done(family, paths[:-1])
                self._families[name] = family  # not before: after a failure it is read anew
            return moved

    def _recall(self, name: str, paths: list[Path]) -> _Family:
        """Learn what was moved before, by this drainer or another."""
        family = _Family(name)
        stored = JournalOffset.objects.filter(file__in=[path.name for path in paths])
        family.positions = dict(stored.values_list("file", "position"))
        for path in paths:
            for chunk in chunks(path, 0, family.positions.get(path.name, 0)):
                family.note(_readable(chunk), path)
        return family

    def _drain_file(self, family: _Family, path: Path) -> int:
        count = 0
        for chunk in chunks(path, family.positions.get(path.name, 0)):
            moved = _readable(chunk)
            with transaction.atomic():
                refused = ledger.write(moved)
                JournalOffset.objects.update_or_create(file=path.name, defaults={"position": chunk.end})
            family.positions[path.name] = chunk.end
            family.note(moved, path)
            self._note_damage(path, len(chunk.lines) - len(moved) + refused)
            count += len(moved)
        return count

    def _bury(self, family: _Family, paths: list[Path]) -> None:
        """Settle what a dead process left open, and remove its files."""
        progress = progress_path(self._directory, family.name)
        last_sign = max((path.stat().st_mtime for path in paths), default=0.0)
        ended_at = datetime.datetime.fromtimestamp(last_sign, datetime.UTC)
        interrupted = [
            Moved(ledger.interrupt(row, completion_tokens=read_slot(progress, slot or 0), ended_at=ended_at), None)
            for (row, slot), _ in family.open.values()
        ]
        with transaction.atomic():
            self.damaged += ledger.write(interrupted)
            JournalOffset.objects.filter(file__in=[path.name for path in paths]).delete()
        if interrupted:
            log.warning("%d requests of the dead process %s are interrupted", len(interrupted), family.name)
        for path in paths:
            self._note_torn_end(family, path)
            path.unlink()
        progress.unlink(missing_ok=True)

    def _remove_done(self, family: _Family, paths: list[Path]) -> None:
        """Remove files their living process has left behind, once everything accepted in them has ended."""
        needed = {path for _, path in family.open.values()}
        for path in paths:
            if path not in needed:
                self._note_torn_end(family, path)
                JournalOffset.objects.filter(file=path.name).delete()
                path.unlink()

    def _note_torn_end(self, family: _Family, path: Path) -> None:
        torn = path.stat().st_size > family.positions.get(path.name, 0)
        self._note_damage(path, int(torn))

    def _note_damage(self, path: Path, lines: int) -> None:
        if lines:
            self.damaged += lines
            log.error("%d lines of the journal %s are damaged and were left out", lines, path.name)


def _readable(chunk: Chunk) -> list[Moved]:
    return [moved for line in chunk.lines if (moved := ledger.read(line)) is not None]

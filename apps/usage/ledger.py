"""From a journal's lines to the ledger's rows."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
from django.db import DataError, IntegrityError, transaction

from apps.core.ids import ID_LENGTH
from apps.usage.journal import Accepted, AcceptLine, sane_count
from apps.usage.models import State, UsageRecord

log = logging.getLogger("jan.usage")

_BATCH_ROWS = 500
_MAX_USAGE_ID = len("usage_") + ID_LENGTH
_MAX_ID = 2**63 - 1
_MAX_MS = 2**31 - 1
_MAX_STATUS = 999
_WRITTEN_AT_END = [
    field.name for field in UsageRecord._meta.concrete_fields if field.name not in ("id", "public_id", "accepted_at")
]
# Anything else is the database's trouble (gone, read-only, not migrated) and will pass: no row is given up for it.
_ROW_IS_AT_FAULT = (DataError, IntegrityError, OverflowError, ValueError)


class _EndLine(msgspec.Struct, kw_only=True, tag_field="t", tag="end"):
    """An end as it may come: what a provider had a hand in is not trusted to be of any type."""

    record: Accepted
    state: State
    tokens: dict[str, Any]
    ended_at: float
    status: Any = 0
    error_code: Any = ""
    first_token_ms: Any = None
    duration_ms: Any = 0


_DECODE = msgspec.json.Decoder(AcceptLine | _EndLine).decode


class Moved(NamedTuple):
    """A journal's line as a row. `slot` is its progress slot, None if the line is an end."""

    row: UsageRecord
    slot: int | None


def read(line: bytes) -> Moved | None:
    """Return what a line says, or None if it says nothing that can be understood."""
    try:
        parsed = _DECODE(line)
        row = _accepted_row(parsed.record)
        if isinstance(parsed, AcceptLine):
            return Moved(row, parsed.slot)
        _finish(row, parsed)
        return Moved(row, None)
    except (msgspec.DecodeError, RecursionError, ValueError, OverflowError, OSError):
        return None


def interrupt(row: UsageRecord, *, completion_tokens: int, ended_at: datetime.datetime) -> UsageRecord:
    """Give a row the end of a request whose process died, charged for what is known to have arrived."""
    row.state = State.INTERRUPTED
    row.status = 500
    row.error_code = "interrupted"
    row.completion_tokens = sane_count(completion_tokens)
    row.is_estimated = True
    row.ended_at = max(ended_at, row.accepted_at)
    row.duration_ms = sane_count(int((row.ended_at - row.accepted_at).total_seconds() * 1000), _MAX_MS)
    return row


def write(moved: Iterable[Moved]) -> int:
    """
    Put rows into the ledger, inside the caller's transaction. Returns how many could not be put.

    A final row replaces an open one, never the other way round. Writing the same twice changes nothing.
    """
    opened: dict[str, UsageRecord] = {}
    ended: dict[str, UsageRecord] = {}
    for row, slot in moved:
        (ended if slot is None else opened).setdefault(row.public_id, row)
    for settled in ended:
        opened.pop(settled, None)
    return _put(list(opened.values()), final=False) + _put(list(ended.values()), final=True)


def _put(rows: list[UsageRecord], *, final: bool) -> int:
    refused = 0
    for start in range(0, len(rows), _BATCH_ROWS):
        batch = rows[start : start + _BATCH_ROWS]
        try:
            _upsert(batch, final=final)
        except _ROW_IS_AT_FAULT:
            refused += sum(not _put_alone(row, final=final) for row in batch)
    return refused


def _put_alone(row: UsageRecord, *, final: bool) -> bool:
    """Find out what a database does not take; the provider's own words are the likeliest and the least missed."""
    for raw_usage in (row.raw_usage, None):
        row.raw_usage = raw_usage
        try:
            _upsert([row], final=final)
        except _ROW_IS_AT_FAULT as problem:
            log.error("the ledger does not take %s: %s", row.public_id, problem)
        else:
            return True
    return False


def _upsert(rows: list[UsageRecord], *, final: bool) -> None:
    with transaction.atomic():
        if final:
            UsageRecord.objects.bulk_create(
                rows, update_conflicts=True, unique_fields=["public_id"], update_fields=_WRITTEN_AT_END
            )
        else:
            UsageRecord.objects.bulk_create(rows, ignore_conflicts=True)


def _accepted_row(record: Accepted) -> UsageRecord:
    if not 0 < len(record.usage_id) <= _MAX_USAGE_ID or "\x00" in record.usage_id:
        raise ValueError("not a usage id")
    return UsageRecord(
        public_id=record.usage_id,
        request_id=_text(record.request_id, 64),
        organization_id=_id(record.organization_id),
        project_id=_id(record.project_id),
        user_id=_text(record.user_id, 29),
        api_key_id=None if record.api_key_id is None else _id(record.api_key_id),
        provider_id=None if record.provider_id is None else _id(record.provider_id),
        endpoint=_text(record.endpoint, 32),
        model=_text(record.model, 255),
        is_stream=record.is_stream,
        state=State.OPEN,
        accepted_at=_moment(record.accepted_at),
    )


def _finish(row: UsageRecord, line: _EndLine) -> None:
    tokens = line.tokens
    row.state = line.state
    row.status = sane_count(line.status, _MAX_STATUS)
    row.error_code = _text(line.error_code, 64)
    row.prompt_tokens = sane_count(tokens.get("prompt"))
    row.completion_tokens = sane_count(tokens.get("completion"))
    row.cached_tokens = sane_count(tokens.get("cached"))
    row.reasoning_tokens = sane_count(tokens.get("reasoning"))
    row.is_estimated = tokens.get("is_estimated") is True
    row.first_token_ms = None if line.first_token_ms is None else sane_count(line.first_token_ms, _MAX_MS)
    row.duration_ms = sane_count(line.duration_ms, _MAX_MS)
    row.raw_usage = tokens.get("raw")
    row.ended_at = _moment(line.ended_at)


def _id(value: int) -> int:
    if not 0 <= value <= _MAX_ID:
        raise ValueError("not an id")
    return value


def _text(value: object, limit: int) -> str:
    return value.replace("\x00", "")[:limit] if isinstance(value, str) else ""


def _moment(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)

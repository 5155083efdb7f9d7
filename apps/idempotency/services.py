"""Claiming a key, and what becomes of the claim: finished, released, or given up."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from typing import NamedTuple

from django.conf import settings
from django.utils import timezone
from django.utils.crypto import salted_hmac

from apps.core.errors import BadRequest, Conflict, Unprocessable
from apps.idempotency.models import MAX_KEY, MAX_ROUTE, IdempotencyRecord, State

HEADER = "Idempotency-Key"
_KEY = re.compile(rf"[\x20-\x7e]{{1,{MAX_KEY}}}")
# Seconds a twin is asked to wait at most. As long again as it has been running already is a fair guess.
MAX_WAIT = 30.0
_BATCH = 1000


class StillRunning(Conflict):
    code = "idempotency_in_progress"
    should_retry = True


class Asked(NamedTuple):
    """A request as idempotency sees it: who asks, under which key, for what."""

    organization_id: int
    organization_public_id: str
    project_id: int
    credential: str
    route: str
    key: str
    query: bytes
    body: bytes

    @property
    def digest(self) -> str:
        """What two requests share that are the same. Keyed: a body may be a password and little else."""
        parts = (str(self.project_id).encode(), self.route.encode(), self.query, self.body)
        whole = b"".join(b"%d:%b" % (len(part), part) for part in parts)
        return salted_hmac("apps.idempotency", whole, algorithm="sha256").hexdigest()


def check_key(key: str) -> None:
    """Raise BadRequest unless it can be a key."""
    if not _KEY.fullmatch(key):
        raise BadRequest(
            f"'{HEADER}' must have 1 to {MAX_KEY} printable ASCII characters.",
            code="invalid_idempotency_key",
            param=HEADER,
        )


def claim(asked: Asked) -> IdempotencyRecord:
    """
    Return the record of a request's key: a running one is the caller's to end, a finished one to be replayed.

    Raises Unprocessable for a key of another request, StillRunning, and Conflict where the first request's
    answer will never be known or was not kept.
    """
    where = {
        "organization_id": asked.organization_id,
        "credential": asked.credential,
        "route": asked.route[:MAX_ROUTE],
        "key": asked.key,
    }
    mine = IdempotencyRecord(**where, digest=asked.digest, lease_until=_lease_end())
    IdempotencyRecord.objects.bulk_create([mine], ignore_conflicts=True)
    found = IdempotencyRecord.objects.filter(**where).first()
    if found is None:  # it was released between the two statements
        raise _still_running(1.0)
    if found.digest != mine.digest:
        raise Unprocessable(
            f"This '{HEADER}' was used for another request. Use a new key for each request that is not a repetition.",
            code="idempotency_key_reused",
            param=HEADER,
        )
    if found.public_id != mine.public_id:
        _refuse_unanswered(found)
    return found


def _refuse_unanswered(found: IdempotencyRecord) -> None:
    if found.is_interrupted:
        raise Conflict(
            "The first request with this key was interrupted, and what came of it is not known. It is not done again "
            "under this key. Look whether it had an effect; if not, send it with a new key.",
            code="idempotency_outcome_unknown",
            param=HEADER,
        )
    if found.state == State.RUNNING:
        raise _still_running((timezone.now() - found.created_at).total_seconds())
    if found.answer() is None:
        raise Conflict(
            f"The first request with this key ended with status {found.status}, and its answer was not kept: it was "
            "too large, or this project or request asks that nothing be stored. Look at what it did; to do it again, "
            "use a new key.",
            code="idempotency_not_replayable",
            param=HEADER,
            details={"status": found.status},
        )


def _still_running(seconds: float) -> StillRunning:
    return StillRunning(
        "The first request with this key is still running. Ask again for its answer.",
        param=HEADER,
        retry_after=min(max(1.0, seconds), MAX_WAIT),
    )


def finish(public_id: str, *, status: int, headers: dict[str, str], body: bytes | None) -> None:
    """Keep a claimed request's answer. The first one stays."""
    IdempotencyRecord.objects.running().filter(public_id=public_id).update(
        state=State.FINISHED, status=status, headers=headers, body=body, finished_at=timezone.now()
    )


def release(public_id: str) -> None:
    """Forget a claim: nothing was done, the next request with its key is the first."""
    IdempotencyRecord.objects.running().filter(public_id=public_id).delete()


def give_up(public_id: str) -> None:
    """Say that nobody works on a claimed request any more and nobody knows what it did."""
    IdempotencyRecord.objects.running().filter(public_id=public_id).update(lease_until=timezone.now())


def renew(public_ids: Iterable[str]) -> None:
    """Say that this process still works on these."""
    IdempotencyRecord.objects.running().filter(public_id__in=list(public_ids)).update(lease_until=_lease_end())


def _lease_end() -> datetime.datetime:
    return timezone.now() + datetime.timedelta(seconds=settings.IDEMPOTENCY_LEASE_SECONDS)


def purge() -> int:
    """Remove records older than IDEMPOTENCY_HOURS. Returns how many."""
    limit = timezone.now() - datetime.timedelta(hours=settings.IDEMPOTENCY_HOURS)
    purged = 0
    while ids := list(IdempotencyRecord.objects.filter(created_at__lt=limit).values_list("pk", flat=True)[:_BATCH]):
        purged += IdempotencyRecord.objects.filter(pk__in=ids).delete()[0]
    return purged

"""What can be done with the export of one's data. A task writes it; it is there for a day."""

from __future__ import annotations

import datetime
import logging
from functools import partial

from celery import current_app
from django.conf import settings
from django.core.files.base import File
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.services import Action, Actor, record
from apps.core.errors import Conflict, NotFound, Unauthenticated
from apps.personal_data.archives import delete_archive, open_archive, write_archive
from apps.personal_data.models import DataExport, DataExportQuerySet, State

log = logging.getLogger("jan.exports")

WRITE_EXPORT = "apps.personal_data.tasks.write_export"
# After so long without a sign of life somebody else goes on, so often at most.
SILENCE = datetime.timedelta(minutes=10)
MAX_ATTEMPTS = 3


class GivenUpError(Exception):
    """The export is not wanted any more, or somebody else writes it."""


@transaction.atomic
def begin_export(*, user_id: str, actor: Actor, anew: bool) -> DataExport:
    """
    Return a person's export: the one under way, or a new one that has been begun.

    One that is ready is returned too, unless `anew`: then it goes. Raises Unauthenticated for an account
    deleted a moment ago.
    """
    if not User.objects.get_queryset().select_for_update(no_key=True).filter(pk=user_id, is_active=True):
        raise Unauthenticated("The account behind this credential is gone.")
    found = DataExport.objects.of(user_id).first()
    if found is not None:
        if found.is_under_way or (found.shown_state == State.READY and not anew):
            return found
        _forget(found)
    export = DataExport.objects.create(user_id=user_id)
    record(Action.DATA_EXPORT_CREATED, actor=actor, target_kind="data_export", target_id=export.public_id, user=user_id)
    transaction.on_commit(partial(_queue, export.pk))
    return export


def _queue(pk: int) -> None:
    current_app.send_task(WRITE_EXPORT, [pk])


def _forget(export: DataExport) -> None:
    export.delete()
    transaction.on_commit(partial(delete_archive, export.file))


def find_export(user_id: str, public_id: str) -> DataExport:
    """Return a person's export by its id. Raises NotFound."""
    found = DataExport.objects.of(user_id).filter(public_id=public_id).first() if "\x00" not in public_id else None
    if found is None:
        raise NotFound("There is no such export.", code="export_not_found")
    return found


@transaction.atomic
def download(*, export: DataExport, actor: Actor) -> File[bytes]:
    """Open an export's file. Raises Conflict (`export_not_ready`), and NotFound (`export_expired`) once it is gone."""
    if export.shown_state == State.EXPIRED:
        raise NotFound("The export is gone. Ask for another one.", code="export_expired")
    if export.state != State.READY:
        raise Conflict(f"The export is {export.state}.", code="export_not_ready")
    try:
        file = open_archive(export.file)
    except FileNotFoundError:
        raise NotFound("The export is gone. Ask for another one.", code="export_expired") from None
    record(
        Action.DATA_EXPORT_DOWNLOADED,
        actor=actor,
        target_kind="data_export",
        target_id=export.public_id,
        user=export.user_id,
    )
    return file


def write_export(pk: int) -> None:
    """Write an export that waits for it. Harmless for one that somebody writes, or that is not wanted any more."""
    waiting = DataExport.objects.filter(pk=pk, state=State.QUEUED)
    if not waiting.update(state=State.RUNNING, touched_at=timezone.now(), attempts=F("attempts") + 1):
        return
    export = DataExport.objects.select_related("user").get(pk=pk)
    mine = DataExport.objects.filter(pk=pk, state=State.RUNNING, attempts=export.attempts)
    try:
        file, size = write_archive(export.user, export.public_id, partial(_touch, mine))
    except GivenUpError:
        return
    except Exception:  # storages raise errors of their own; whoever waits is told now, not when the writer seems dead
        log.exception("the export %s failed", export.public_id)
        mine.update(state=State.FAILED)
        return
    now = timezone.now()
    ready = {"state": State.READY, "file": file, "size": size, "ready_at": now}
    if not mine.update(**ready, expires_at=now + datetime.timedelta(hours=settings.EXPORT_HOURS)):
        delete_archive(file)


def _touch(mine: DataExportQuerySet) -> None:
    if not mine.update(touched_at=timezone.now()):
        raise GivenUpError


def tidy_exports() -> int:
    """Remove files whose time is up, and go on with exports whose writer died. Returns how many files went."""
    silent = DataExport.objects.silent_since(timezone.now() - SILENCE)
    silent.filter(attempts__gte=MAX_ATTEMPTS).update(state=State.FAILED)
    for export in silent:
        if DataExport.objects.filter(pk=export.pk, attempts=export.attempts, state=export.state).update(
            state=State.QUEUED, touched_at=timezone.now()
        ):
            _queue(export.pk)
    return sum(_expire(export) for export in DataExport.objects.overdue())


@transaction.atomic
def _expire(export: DataExport) -> bool:
    ready = DataExport.objects.filter(pk=export.pk, state=State.READY)
    if not ready.update(state=State.EXPIRED, file=""):
        return False
    transaction.on_commit(partial(delete_archive, export.file))
    return True

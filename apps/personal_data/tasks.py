from __future__ import annotations

import logging

from celery import shared_task

from apps.personal_data import deletion, exports

log = logging.getLogger("jan.personal_data")


@shared_task(name=exports.WRITE_EXPORT, ignore_result=True)  # type: ignore[untyped-decorator]  # no types
def write_export(pk: int) -> None:
    exports.write_export(pk)


@shared_task(name=deletion.FINISH_DELETION, ignore_result=True)  # type: ignore[untyped-decorator]  # no types
def finish_deletion(user_id: str) -> None:
    deletion.finish_deletion(user_id)


@shared_task(name="apps.personal_data.tasks.tidy", ignore_result=True)  # type: ignore[untyped-decorator]  # no types
def tidy() -> None:
    """Every ten minutes: remove exports whose time is up, and go on with what a task that died left behind."""
    if removed := exports.tidy_exports():
        log.info("%d exports were removed", removed)
    deletion.go_on()

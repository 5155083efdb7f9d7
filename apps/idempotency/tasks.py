from __future__ import annotations

import logging

from celery import shared_task

from apps.idempotency.services import purge

log = logging.getLogger("jan.idempotency")


@shared_task(name="apps.idempotency.tasks.purge_records", ignore_result=True)  # type: ignore[untyped-decorator]  # no types
def purge_records() -> None:
    """Every ten minutes: forget the keys whose time is up."""
    if purged := purge():
        log.info("%d idempotency records were removed", purged)

from __future__ import annotations

import logging

from celery import shared_task

from apps.organizations.services import purge_organizations

log = logging.getLogger("jan.organizations")


@shared_task(name="apps.organizations.tasks.purge", ignore_result=True)  # type: ignore[untyped-decorator]  # no types
def purge() -> None:
    """Every hour: remove organizations that were deleted long enough ago."""
    if purged := purge_organizations():
        log.info("%d deleted organizations were purged", purged)

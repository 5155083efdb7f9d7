from __future__ import annotations

import logging

from celery import shared_task

from apps.completions.services import expire_completions

log = logging.getLogger("jan.completions")


@shared_task(name="apps.completions.tasks.expire", ignore_result=True)  # type: ignore[untyped-decorator]  # no types
def expire() -> None:
    """Hourly: delete stored completions whose retention time is over."""
    if expired := expire_completions():
        log.info("%d stored completions were deleted after their retention time", expired)

from __future__ import annotations

import logging

from celery import shared_task

from apps.accounts.services import forget_unconfirmed
from apps.accounts.sessions import forget_ended_sessions
from apps.projects.services import purge_guests

log = logging.getLogger("jan.accounts")


@shared_task(name="apps.projects.tasks.tidy_accounts", ignore_result=True)  # type: ignore[untyped-decorator]  # no types
def tidy_accounts() -> None:
    """Every ten minutes: remove guests that fell silent, accounts nobody confirmed, and what ended sessions left."""
    forget_unconfirmed()
    purged = purge_guests()
    forget_ended_sessions()
    if purged:
        log.info("%d silent guests were removed", purged)

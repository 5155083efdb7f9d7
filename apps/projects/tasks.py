from __future__ import annotations

import logging

from celery import shared_task

from apps.accounts.services import forget_unconfirmed
from apps.accounts.sessions import forget_ended_sessions
from apps.projects.invites import expire_overdue
from apps.projects.project_services import purge_projects
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


@shared_task(name="apps.projects.tasks.purge_deleted_projects", ignore_result=True)  # type: ignore[untyped-decorator]  # no types
def purge_deleted_projects() -> None:
    """Hourly: remove the projects whose time after deletion is up."""
    if purged := purge_projects():
        log.info("%d deleted projects were purged", purged)


@shared_task(name="apps.projects.tasks.expire_invites", ignore_result=True)  # type: ignore[untyped-decorator]  # no types
def expire_invites() -> None:
    """Every five minutes: mark the invites whose time is up."""
    expired = expire_overdue()
    if expired:
        log.info("%d invites expired", expired)

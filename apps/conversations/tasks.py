from __future__ import annotations

import logging

from celery import shared_task

from apps.conversations import chat_project_services
from apps.conversations.retention import expire_conversations

log = logging.getLogger("jan.conversations")


@shared_task(name="apps.conversations.tasks.purge_chat_projects", ignore_result=True)  # type: ignore[untyped-decorator]  # no types
def purge_chat_projects() -> None:
    """Hourly: remove the chat projects whose time after deletion is up."""
    if purged := chat_project_services.purge_chat_projects():
        log.info("%d deleted chat projects were purged", purged)


@shared_task(name="apps.conversations.tasks.expire", ignore_result=True)  # type: ignore[untyped-decorator]  # no types
def expire() -> None:
    """Hourly: delete conversations whose retention time is over."""
    if expired := expire_conversations():
        log.info("%d conversations were deleted after their retention time", expired)

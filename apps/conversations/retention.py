"""How long conversations are kept: as long as their project or its organization says, the shorter time."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from django.db.models import Q
from django.utils import timezone

from apps.conversations.models import Conversation
from apps.conversations.services import delete_conversations
from apps.projects.models import Project


def retention_of(project: Project) -> datetime.timedelta | None:
    """Return how long a project keeps conversations that nothing happens in; None: for ever."""
    days = [each.settings.get("retention_days") for each in (project, project.organization)]
    return datetime.timedelta(days=min(filter(None, days))) if any(days) else None


def limits_of_projects(now: datetime.datetime) -> Iterator[tuple[Project, datetime.datetime]]:
    """Yield each project that does not keep things for ever, with the time before which they are too old."""
    limited = Q(settings__has_key="retention_days") | Q(organization__settings__has_key="retention_days")
    for project in Project.objects.filter(limited).select_related("organization"):
        kept = retention_of(project)
        if kept is not None:
            yield project, now - kept


def expire_conversations() -> int:
    """Delete conversations whose time is over, but none that a turn holds. Returns how many."""
    now = timezone.now()
    return sum(
        delete_conversations(Conversation.objects.in_project(project.pk).not_since(limit).free(now))
        for project, limit in limits_of_projects(now)
    )

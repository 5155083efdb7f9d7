"""What can be done with a chat project: made, changed, deleted."""

from __future__ import annotations

import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.conversations.models import ChatProject, Conversation
from apps.conversations.services import delete_conversations, one_conversation_only, project_for
from apps.core.errors import NotFound
from apps.organizations.principal import Principal

_PURGE_AT_ONCE = 500


def find_chat_project(principal: Principal, public_id: str) -> ChatProject:
    """Return a chat project of the caller's. Raises NotFound."""
    found: ChatProject | None = ChatProject.objects.visible_to(principal).present().with_public_id(public_id)
    if found is None:
        raise _not_found()
    return found


def create_chat_project(
    *, principal: Principal, name: str, instruction: str = "", is_favorite: bool = False, is_archived: bool = False
) -> ChatProject:
    """
    Make a chat project of the caller's. A name may be given again.

    Raises what `project_for` does, and Forbidden for a key that is for one conversation.
    """
    if principal.conversation_id is not None:
        raise one_conversation_only()
    return ChatProject.objects.create(
        organization_id=principal.organization_id,
        project=project_for(principal),
        user=User(pk=principal.owner_id) if principal.owner_id else None,
        name=name,
        instruction=instruction,
        is_favorite=is_favorite,
        archived_at=timezone.now() if is_archived else None,
    )


@transaction.atomic
def update_chat_project(*, chat_project: ChatProject, changes: dict[str, Any]) -> ChatProject:
    """
    Change what is given of `name`, `instruction`, `is_favorite` and `is_archived`.

    Archiving twice keeps the first date. Raises NotFound for one that was deleted a moment ago.
    """
    rows = ChatProject.objects.in_organization(chat_project.organization_id).present()
    found: ChatProject | None = rows.select_for_update(no_key=True).filter(pk=chat_project.pk).first()
    if found is None:
        raise _not_found()
    for name, value in changes.items():
        if name != "is_archived":
            setattr(found, name, value)
        elif value != (found.archived_at is not None):
            found.archived_at = timezone.now() if value else None
    if changes:
        found.updated_at = timezone.now()
        found.save()
    return found


def delete_chat_project(*, chat_project: ChatProject, with_conversations: bool = False) -> None:
    """
    Delete a chat project. Its conversations are in none from then on, or are deleted first: whoever
    is interrupted finds it with fewer of them and can go on.

    Raises NotFound for one that was deleted a moment ago.
    """
    if with_conversations:
        inside = Conversation.objects.in_organization(chat_project.organization_id).filter(chat_project=chat_project)
        delete_conversations(inside)
    rows = ChatProject.objects.in_organization(chat_project.organization_id).present()
    if not rows.filter(pk=chat_project.pk).update(deleted_at=timezone.now()):
        raise _not_found()


def purge_chat_projects() -> int:
    """Remove what was deleted PROJECT_PURGE_DAYS ago. Returns how many."""
    limit = timezone.now() - datetime.timedelta(days=settings.PROJECT_PURGE_DAYS)
    overdue = ChatProject.objects.filter(deleted_at__lt=limit)
    purged = 0
    while ids := list(overdue.values_list("pk", flat=True)[:_PURGE_AT_ONCE]):
        overdue.filter(pk__in=ids).delete()
        purged += len(ids)
    return purged


def _not_found() -> NotFound:
    return NotFound("There is no such project.", code="project_not_found", param="project_id")

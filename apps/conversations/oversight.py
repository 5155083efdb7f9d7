"""What operators do with conversations of others. All of it is in the organization's audit log."""

from __future__ import annotations

from django.db import transaction

from apps.audit.services import Action, Actor, record
from apps.conversations.chat_project_services import delete_chat_project, update_chat_project
from apps.conversations.models import ChatProject, Conversation
from apps.conversations.services import delete_conversations, lock_row, not_found, update_conversation

# How much an operator has to say about why content is opened.
SHORTEST_REASON, LONGEST_REASON = 10, 500


def note_opening(*, conversation: Conversation, reason: str, actor: Actor) -> None:
    """Record that somebody is about to read what was said, and why. Nothing is read that was not recorded."""
    _note(Action.CONVERSATION_OPENED, conversation, actor, reason=reason)


@transaction.atomic
def archive_conversation(*, conversation: Conversation, actor: Actor, is_archived: bool) -> None:
    """Make a conversation read-only, or writable again. Raises NotFound for one deleted a moment ago."""
    row = lock_row(conversation)
    if row.is_archived == is_archived:
        return
    update_conversation(conversation=row, changes={"is_archived": is_archived}, merges_metadata=False)
    action = Action.CONVERSATION_ARCHIVED if is_archived else Action.CONVERSATION_UNARCHIVED
    _note(action, conversation, actor)


@transaction.atomic
def remove_conversation(*, conversation: Conversation, actor: Actor) -> None:
    """Delete a conversation with all that is in it. Raises NotFound for one deleted a moment ago."""
    rows = Conversation.objects.in_organization(conversation.organization_id).filter(pk=conversation.pk)
    if not delete_conversations(rows):
        raise not_found()
    _note(Action.CONVERSATION_DELETED, conversation, actor)


@transaction.atomic
def archive_chat_project(*, chat_project: ChatProject, actor: Actor, is_archived: bool) -> None:
    """Archive a chat project, or take it out of the archive. Raises NotFound for a deleted one."""
    rows = ChatProject.objects.in_organization(chat_project.organization_id).filter(pk=chat_project.pk)
    found: ChatProject | None = rows.select_for_update(no_key=True).first()
    if found is not None and (found.archived_at is not None) == is_archived:
        return
    update_chat_project(chat_project=chat_project, changes={"is_archived": is_archived})
    action = Action.CHAT_PROJECT_ARCHIVED if is_archived else Action.CHAT_PROJECT_UNARCHIVED
    _note(action, chat_project, actor)


@transaction.atomic
def remove_chat_project(*, chat_project: ChatProject, actor: Actor) -> None:
    """Delete a chat project; its conversations stay, in none. Raises NotFound for one deleted already."""
    delete_chat_project(chat_project=chat_project)
    _note(Action.CHAT_PROJECT_DELETED, chat_project, actor)


def _note(action: Action, row: Conversation | ChatProject, actor: Actor, **details: str) -> None:
    record(
        action,
        actor=actor,
        organization=row.organization.public_id,
        project=row.project.public_id,
        target_kind="conversation" if isinstance(row, Conversation) else "chat_project",
        target_id=row.public_id,
        **details,
    )

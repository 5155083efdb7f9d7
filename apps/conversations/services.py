"""What can be done with a conversation: made, changed, written to, deleted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from apps.accounts.models import User
from apps.conversations.content import NewItem, text_of, tokens_of
from apps.conversations.happenings import Happening, tell, tell_deleted
from apps.conversations.item_types import without_text
from apps.conversations.models import Branch, ChatProject, Conversation, ConversationQuerySet, Item, Told, new_item_id
from apps.conversations.parsing import parse_metadata
from apps.conversations.paths import item_with, segments_of
from apps.conversations.titles import title_from
from apps.core.errors import Busy, Conflict, Forbidden, NotFound
from apps.organizations.organization_settings import Storage
from apps.organizations.principal import Principal
from apps.projects.models import Project

# Seconds a client is asked to wait while somebody else's turn runs.
RETRY_SECONDS = 1.0


def storage_of(project: Project) -> Storage:
    """Return what is kept of a project's conversations."""
    return Storage(project.settings.get("storage") or Storage.STORE)


def project_for(principal: Principal) -> Project:
    """
    Return where a caller's conversations are kept.

    Raises NotFound for a project deleted a moment ago, Forbidden (`storage_disabled`) for one that keeps none.
    """
    projects = Project.objects.in_organization(principal.organization_id).present()
    project: Project | None = projects.filter(pk=principal.project_id).first()
    if project is None:
        raise NotFound("The project is gone.", code="project_not_found")
    if storage_of(project) is Storage.NONE:
        raise _keeps_none()
    return project


def _keeps_none() -> Forbidden:
    return Forbidden("This project keeps no conversations.", code="storage_disabled")


@transaction.atomic
def create_conversation(
    *,
    principal: Principal,
    title: str = "",
    model: str = "",
    metadata: dict[str, Any] | None = None,
    description: str | None = None,
    referrer: str = "",
    is_archived: bool = False,
    chat_project: ChatProject | None = None,
    items: Sequence[NewItem] = (),
) -> Conversation:
    """
    Make a conversation of the caller's, with its first items.

    Without a title it gets one of the first message. Raises Conflict (`too_many_conversations`) when its
    project has as many as its settings allow, Forbidden for a key of one conversation, and what
    `project_for` does.
    """
    if principal.conversation_id is not None:
        raise one_conversation_only()
    project = project_for(principal)
    _check_room(project)
    conversation = Conversation.objects.create(
        organization_id=principal.organization_id,
        project=project,
        user=User(pk=principal.owner_id) if principal.owner_id else None,
        chat_project=chat_project,
        title=title if storage_of(project) is Storage.STORE else "",
        has_given_title=bool(title),
        model=model,
        metadata=_described(metadata or {}, description) if description else metadata or {},
        referrer=referrer,
        archived_at=timezone.now() if is_archived else None,
    )
    branch = Branch.objects.create(organization_id=principal.organization_id, conversation=conversation)
    conversation.active_branch = branch
    conversation.save(update_fields=["active_branch"])
    conversation.project = project
    if items:
        write_items(conversation, items)
    return conversation


def _check_room(project: Project) -> None:
    limit = project.settings.get("max_conversations")
    if limit is None:
        return
    # The lock makes two that are made at once take turns.
    Project.objects.in_organization(project.organization_id).select_for_update(no_key=True).get(pk=project.pk)
    if Conversation.objects.in_project(project.pk).count() >= limit:
        raise Conflict(
            f"The project may have {limit} conversations at most. Delete some.", code="too_many_conversations"
        )


def lock(conversation: Conversation) -> Conversation:
    """
    Return the conversation as it is now, locked until the transaction ends, to be written to.

    Raises NotFound if it was deleted a moment ago, Conflict (`conversation_locked`, worth another try)
    while a turn holds it.
    """
    found = lock_row(conversation)
    if found.is_taken(timezone.now()):
        raise locked()
    return found


def lock_row(conversation: Conversation) -> Conversation:
    """As `lock`, also while a turn holds it."""
    rows = Conversation.objects.in_organization(conversation.organization_id).filter(pk=conversation.pk)
    # In two steps: what is joined while the lock is waited for is as it was before whoever held it wrote.
    rows.select_for_update(no_key=True).values_list("pk").first()
    found: Conversation | None = rows.select_related("active_branch", "project").first()
    if found is None:
        raise not_found()
    return found


def one_conversation_only() -> Forbidden:
    """Return what is said to a key that is for one conversation and asks for something else."""
    return Forbidden(
        "This key is good in one conversation only.", code="conversation_not_allowed", param="conversation"
    )


def not_found() -> NotFound:
    """Return what is said of a conversation that is not there, or not for the caller."""
    return NotFound("There is no such conversation.", code="conversation_not_found", param="conversation")


def locked() -> Busy:
    """Return what is said while a turn holds a conversation."""
    return Busy(
        "An answer is being written to this conversation. Try again when it is done.",
        code="conversation_locked",
        retry_after=RETRY_SECONDS,
    )


@transaction.atomic
def update_conversation(*, conversation: Conversation, changes: dict[str, Any], merges_metadata: bool) -> Conversation:
    """
    Change what is given of `title`, `model`, `metadata`, `description`, `referrer`, `chat_project` and `is_archived`.

    Metadata is replaced, or merged: then a null takes a key away. A description is kept in it. Archiving
    twice keeps the first date. Raises NotFound for a conversation deleted a moment ago, BadRequest for
    more metadata than there may be.
    """
    row = lock_row(conversation)
    given = dict(changes)
    if "metadata" in given:
        given["metadata"] = _changed_metadata(row.metadata, given["metadata"], merges=merges_metadata)
    if "description" in given:
        given["metadata"] = _described(given.get("metadata", row.metadata), given.pop("description"))
    if "title" in given:
        row.has_given_title = bool(given["title"])
        if storage_of(row.project) is not Storage.STORE:
            given["title"] = ""
    if "is_archived" in given:
        row.archived_at = (row.archived_at or timezone.now()) if given.pop("is_archived") else None
    for name, value in given.items():
        setattr(row, name, value)
    if changes:
        row.updated_at = timezone.now()
        row.save(update_fields=[*given, "has_given_title", "archived_at", "updated_at"])
        tell(row.pk, Happening.UPDATED)
    return row


def _changed_metadata(before: dict[str, Any], given: dict[str, Any], *, merges: bool) -> dict[str, Any]:
    if not merges:
        return given
    return parse_metadata({name: value for name, value in {**before, **given}.items() if value is not None})


def _described(metadata: dict[str, Any], description: str | None) -> dict[str, Any]:
    """Return metadata with this description, or without one."""
    others = {name: value for name, value in metadata.items() if name != "description"}
    return parse_metadata({**others, "description": description}) if description else others


@transaction.atomic
def append_items(*, conversation: Conversation, items: Sequence[NewItem]) -> list[Item]:
    """
    Add items at the end of the active branch.

    Raises what `lock` does, Conflict (`conversation_archived`) for one that can only be read, and
    Forbidden (`storage_disabled`) for one of a project that keeps none any more.
    """
    row = lock(conversation)
    if storage_of(row.project) is Storage.NONE:
        raise _keeps_none()
    if row.is_archived:
        raise archived()
    written = write_items(row, items)
    conversation.branch.item_count = row.branch.item_count
    return written


def archived() -> Conflict:
    """Return what is said of a conversation that takes nothing more."""
    return Conflict("The conversation is archived. Take it out of the archive first.", code="conversation_archived")


@transaction.atomic
def delete_item(*, conversation: Conversation, public_id: str, kind: str | None = None) -> Conversation:
    """
    Delete an item of the active branch, of this type if one is named, and return the conversation as it is then.

    Raises what `lock` does, and NotFound.
    """
    row = lock(conversation)
    item = find_item(row, public_id, kind)
    remove_items(row, [item])
    row.active_branch = Branch.objects.in_organization(row.organization_id).get(pk=row.branch.pk)
    return row


def find_item(conversation: Conversation, public_id: str, kind: str | None = None) -> Item:
    """Return an item of the active branch, of this type if one is named. Raises NotFound."""
    item = item_with(conversation.branch, public_id)
    if item is None or kind not in (None, item.type):
        raise NotFound("There is no such item in the conversation.", code="item_not_found", param="item_id")
    return item


@transaction.atomic
def update_item(*, item: Item, changes: dict[str, Any], merges_metadata: bool) -> Item:
    """Change what is given of `rating` and `metadata`, as `update_conversation` does. Raises NotFound."""
    rows = Item.objects.in_organization(item.organization_id).filter(pk=item.pk)
    row: Item | None = rows.select_for_update(no_key=True).first()
    if row is None:
        raise NotFound("There is no such item in the conversation.", code="item_not_found", param="item_id")
    if "rating" in changes:
        row.rating = changes["rating"] or ""
    if "metadata" in changes:
        row.metadata = _changed_metadata(row.metadata, changes["metadata"], merges=merges_metadata)
    row.save(update_fields=["rating", "metadata"])
    tell(row.conversation_id, Happening.ITEM_UPDATED, [row])
    return row


def write_items(conversation: Conversation, items: Sequence[NewItem]) -> list[Item]:
    """Add items to a conversation that the transaction has locked or made. Its `project` should be read along."""
    branch = conversation.branch
    keeps_text = storage_of(conversation.project) is Storage.STORE
    rows = [
        _row(conversation, branch, branch.last_sequence + number, item, keeps_text=keeps_text)
        for number, item in enumerate(items, start=1)
    ]
    Item.objects.bulk_create(rows)
    count = len(rows)
    Branch.objects.in_organization(branch.organization_id).filter(pk=branch.pk).update(
        last_sequence=F("last_sequence") + count, item_count=F("item_count") + count
    )
    branch.last_sequence += count
    branch.item_count += count
    conversation.updated_at = timezone.now()
    tell(conversation.pk, Happening.ITEM_CREATED, rows)
    if not conversation.title and keeps_text:
        conversation.title = title_from(rows)
        tell(conversation.pk, Happening.UPDATED)
    conversation.save(update_fields=["updated_at", "title"])
    return rows


def remove_items(conversation: Conversation, items: Sequence[Item | Told]) -> None:
    """Delete items of a conversation that the transaction has locked. Numbers are not given again."""
    branches = list(Branch.objects.in_organization(conversation.organization_id).filter(conversation=conversation))
    for branch in branches:
        segments = segments_of(branch, among=branches)
        on_path = sum(1 for item in items if any(segment.holds(item) for segment in segments))
        own = sum(1 for item in items if item.branch_id == branch.pk)
        if on_path:
            branch.item_count -= on_path
            branch.deleted_count += own
            branch.save(update_fields=["item_count", "deleted_count"])
    Item.objects.in_organization(conversation.organization_id).filter(pk__in=[item.pk for item in items]).delete()
    tell(conversation.pk, Happening.ITEM_DELETED, items)
    conversation.updated_at = timezone.now()
    conversation.save(update_fields=["updated_at"])


def _row(conversation: Conversation, branch: Branch, sequence: int, item: NewItem, *, keeps_text: bool) -> Item:
    data = item.data if keeps_text else without_text(item.type, item.data)
    return Item(
        public_id=new_item_id(item.type),
        organization_id=conversation.organization_id,
        conversation=conversation,
        branch=branch,
        sequence=sequence,
        type=item.type,
        role=item.role,
        status=item.status,
        data=data,
        metadata=item.metadata,
        text=text_of(data),
        tokens=tokens_of(item.data),
        model=item.model,
        usage=item.usage,
        request_id=item.request_id,
    )


def delete_conversations(rows: ConversationQuerySet) -> int:
    """Delete conversations with all that is in them and return how many. Turns that run meanwhile store nothing."""
    deleted = 0
    while ids := list(rows.order_by("pk").values_list("pk", flat=True)[:_DELETE_AT_ONCE]):
        # Asked again under the lock: one that does not fit any more is not deleted.
        deleted += _delete(rows.filter(pk__in=ids))
    return deleted


_DELETE_AT_ONCE = 100


@transaction.atomic
def _delete(rows: ConversationQuerySet) -> int:
    # Locked before their items, as those who write do.
    ids = list(rows.order_by("pk").select_for_update(of=("self",)).values_list("pk", flat=True))
    Item.objects.filter(conversation_id__in=ids)._raw_delete(using=rows.db)
    count, by_model = rows.model.objects.filter(pk__in=ids).delete()
    tell_deleted(ids)
    return by_model.get(Conversation._meta.label, 0) if count else 0

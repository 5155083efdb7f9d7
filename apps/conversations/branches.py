"""
Branches of a conversation: other ways in which it goes on after one of its items.

A branch copies nothing. What came before its fork is its parent's and is read there, so that a fork costs the same
anywhere in a conversation of any length.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from django.db import transaction
from django.db.models import OuterRef, Subquery
from django.utils import timezone

from apps.conversations.content import NewItem
from apps.conversations.happenings import Happening, tell
from apps.conversations.models import Branch, ContentQuerySet, Conversation, Item, Told
from apps.conversations.paths import newest, page_of, segments_of
from apps.conversations.services import archived, lock, write_items
from apps.core.errors import BadRequest, Conflict, NotFound
from apps.core.ids import new_id

MAX_BRANCHES = 100
NAME = r"[A-Za-z0-9_-]{1,64}"
# What `turn_to` changes of a conversation.
TURNED = ["active_branch", "summary", "summary_sequence", "updated_at"]


def branches_of(conversation: Conversation) -> ContentQuerySet:
    """Return its branches with what their documents say: `forked_after` is the id of the item before the fork."""
    items = Item.objects.in_organization(conversation.organization_id)
    before = items.filter(branch=OuterRef("parent"), sequence__lte=OuterRef("fork_sequence")).order_by("-sequence")
    rows: ContentQuerySet = _rows(conversation).select_related("conversation", "parent")
    found: ContentQuerySet = rows.annotate(forked_after=Subquery(before.values("public_id")[:1]))
    return found


def find_branch(conversation: Conversation, name: str) -> Branch:
    """Return one of its branches, as `branches_of` does. Raises NotFound."""
    found = branches_of(conversation).filter(name=name).first() if re.fullmatch(NAME, name) else None
    if found is None:
        raise NotFound("There is no such branch in the conversation.", code="branch_not_found", param="branch")
    branch: Branch = found
    return branch


@transaction.atomic
def create_branch(*, conversation: Conversation, name: str = "", from_item: str | None = None) -> Branch:
    """
    Fork a conversation after an item, or after the last one it reads. It goes on reading the branch it reads.

    Without a name one is made up. Raises what `lock` and `fork_after` do, NotFound for an unknown item and Conflict
    (`conversation_archived`, `branch_exists`).
    """
    row = _writable(conversation)
    if from_item is not None:
        item: Item | None = _item(row, from_item)
    else:
        item = next(iter(page_of(row.branch, limit=1, descending=True)), None)
    fork = fork_after(row, item)
    if name:
        if _rows(row).filter(name=name).exists():
            raise Conflict(f"The conversation has a branch '{name}' already.", code="branch_exists", param="name")
        fork.name = name
    store(fork)
    return find_branch(row, fork.name)


@transaction.atomic
def activate_branch(*, conversation: Conversation, name: str) -> Branch:
    """
    Make a branch the one that is read and written.

    Raises what `lock` and `find_branch` do, and Conflict (`conversation_archived`).
    """
    row = _writable(conversation)
    turn_to(row, find_branch(row, name))
    row.save(update_fields=TURNED)
    tell(row.pk, Happening.UPDATED)
    return find_branch(row, name)


@transaction.atomic
def delete_branch(*, conversation: Conversation, name: str) -> None:
    """
    Delete a branch with the items that are its own.

    Raises what `lock` and `find_branch` do, and Conflict for the first branch, the one that is read and written, and
    one that others begin on (`branch_is_main`, `branch_is_active`, `branch_has_branches`).
    """
    row = lock(conversation)
    branch = find_branch(row, name)
    if branch.parent_id is None:
        raise Conflict(f"'{name}' is where the conversation begins. Delete the conversation.", code="branch_is_main")
    if branch.pk == row.active_branch_id:
        raise Conflict(f"'{name}' is the active branch. Activate another one first.", code="branch_is_active")
    others = list(_rows(row).filter(parent=branch).values_list("name", flat=True))
    if others:
        raise Conflict(
            f"Other branches begin on '{name}': {', '.join(others)}. Delete them first.", code="branch_has_branches"
        )
    Item.objects.in_organization(row.organization_id).filter(branch=branch).delete()
    branch.delete()


@transaction.atomic
def edit_message(*, conversation: Conversation, item_id: str, items: Sequence[NewItem]) -> Branch:
    """
    Say something else in the place of a message, on a branch of its own, which is read and written from then on.

    Raises what `lock` and `fork_to_edit` do, and Conflict (`conversation_archived`).
    """
    row = _writable(conversation)
    fork = fork_to_edit(row, item_id)
    begin(row, fork)
    write_items(row, items)
    return find_branch(row, fork.name)


def fork_to_edit(conversation: Conversation, item_id: str) -> Branch:
    """
    Return the branch, not stored yet, on which something else is said than a message.

    Raises NotFound, BadRequest for what nobody said, and what `fork_after` does.
    """
    item = _item(conversation, item_id)
    if item.type != "message" or is_answer(item):
        raise BadRequest("Only what somebody said to the model can be edited.", code="not_editable", param="item_id")
    return fork_after(
        conversation, next(iter(page_of(item.branch, limit=1, descending=True, below=item.sequence)), None)
    )


def fork_to_regenerate(conversation: Conversation, item_id: str) -> Branch:
    """
    Return the branch, not stored yet, on which an answer is given again. The item is of the answer, or before it.

    Raises NotFound, BadRequest for an answer to nothing, and what `fork_after` does.
    """
    item = _item(conversation, item_id)
    question: Item | None = item
    if is_answer(item):
        before = next((each for each in newest(item.branch, below=item.sequence) if not is_answer(each)), None)
        question = None if before is None else _item(conversation, before.public_id)
    if question is None:
        raise BadRequest(
            "There is nothing before this that could be answered.", code="nothing_to_answer", param="item_id"
        )
    return fork_after(conversation, question)


def is_answer(item: Item | Told) -> bool:
    """Say whether a model wrote the item: all but what people say and what tools and people give back."""
    if item.type == "message":
        return item.role == "assistant"
    return not item.type.endswith(("_output", "_response"))


def fork_after(conversation: Conversation, item: Item | None) -> Branch:
    """
    Return a branch with a name made up, not stored yet, that goes on after an item of any branch, or begins anew.

    Raises Conflict (`too_many_branches`).
    """
    rows = _rows(conversation)
    if rows.count() >= MAX_BRANCHES:
        raise Conflict(
            f"A conversation may have {MAX_BRANCHES} branches at most. Delete some.", code="too_many_branches"
        )
    parent_id, sequence = (item.branch_id, item.sequence) if item else (rows.get(parent=None).pk, 0)
    return Branch(
        organization_id=conversation.organization_id,
        conversation=conversation,
        name=new_id("branch"),
        parent_id=parent_id,
        fork_sequence=sequence,
        last_sequence=sequence,
    )


def store(fork: Branch) -> None:
    """
    Store a fork in a conversation that the transaction has locked.

    Raises NotFound if what it begins on was deleted, which can only be after a turn has lost its hold.
    """
    parent = _rows(fork.conversation).filter(pk=fork.parent_id).first()
    if parent is None:
        raise NotFound("The branch was deleted.", code="branch_not_found", param="branch")
    items = Item.objects.in_organization(fork.organization_id)
    fork.item_count = parent.item_count - items.filter(branch=parent, sequence__gt=fork.fork_sequence).count()
    fork.save()


def begin(conversation: Conversation, fork: Branch) -> None:
    """Store a fork and make it the branch that is read and written. Raises what `store` does."""
    store(fork)
    turn_to(conversation, fork)
    conversation.save(update_fields=TURNED)
    tell(conversation.pk, Happening.UPDATED)


def turn_to(conversation: Conversation, branch: Branch) -> None:
    """
    Make a branch the one that is read and written, not stored yet.

    The summary goes unless all it tells of is on that branch too: it must not say what was said elsewhere.
    """
    if conversation.summary_sequence and conversation.summary_sequence > _shared(conversation.branch, branch):
        conversation.summary, conversation.summary_sequence = "", 0
    conversation.active_branch = branch
    conversation.updated_at = timezone.now()


def _shared(one: Branch, other: Branch) -> int:
    """Return up to which number two branches read the same items."""
    theirs = {segment.branch_id: segment.last for segment in segments_of(other)}
    return max(
        (min(each.last, theirs[each.branch_id]) for each in segments_of(one) if each.branch_id in theirs), default=0
    )


def _writable(conversation: Conversation) -> Conversation:
    row = lock(conversation)
    if row.is_archived:
        raise archived()
    return row


def _rows(conversation: Conversation) -> ContentQuerySet:
    return Branch.objects.in_organization(conversation.organization_id).filter(conversation=conversation)


def _item(conversation: Conversation, public_id: str) -> Item:
    """Return an item of any branch. Raises NotFound."""
    rows = Item.objects.in_organization(conversation.organization_id).filter(conversation=conversation)
    found: Item | None = rows.select_related("branch").with_public_id(public_id)
    if found is None:
        raise NotFound("There is no such item in the conversation.", code="item_not_found", param="item_id")
    return found

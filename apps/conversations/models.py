"""What people and models said to each other, in order, and the folders people keep it in."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from apps.core.ids import PublicIdField, new_id
from apps.organizations.models import Organization
from apps.organizations.principal import Principal
from apps.projects.models import Project

MAIN = "MAIN"
MAX_TITLE = 512


class ContentQuerySet(models.QuerySet[Any]):
    """Rows that hold what people said. No process caches them, so they move no epoch."""

    def in_organization(self, organization_id: int) -> Self:
        return self.filter(organization_id=organization_id)

    def with_public_id(self, public_id: str) -> Any:
        """Return the row of this id among these, or None."""
        return self.filter(public_id=public_id).first() if "\x00" not in public_id else None


class OwnedQuerySet(ContentQuerySet):
    """Rows that are a person's, or a project's."""

    def in_project(self, project_id: int) -> Self:
        return self.filter(project_id=project_id)

    def of_owner(self, user_id: str | None) -> Self:
        """A person's own, or for None those that belong to no person."""
        return self.filter(user_id=user_id)

    def visible_to(self, principal: Principal) -> Self:
        """
        What a caller may see, in the project it acts in: a person its own; a key of the project, the
        project's. Nobody's rights reach into what somebody else said.
        """
        here = self.in_organization(principal.organization_id).in_project(principal.project_id)
        mine = here.of_owner(principal.owner_id)
        return mine if principal.conversation_id is None else mine.of_conversation(principal.conversation_id)

    def of_conversation(self, public_id: str) -> Self:
        """What a key may see that is for one conversation: nothing else."""
        return self.none()


class OwnedModel(models.Model):
    """Something of a person in a project, or of the project itself: then `user` is empty."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+", db_index=False)
    project = models.ForeignKey(Project, models.CASCADE, related_name="+", db_index=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="+", help_text="Its owner."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    objects: ClassVar[OwnedQuerySet] = OwnedQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        abstract = True


class ChatProjectQuerySet(OwnedQuerySet):
    def present(self) -> Self:
        """Those that were not deleted."""
        return self.filter(deleted_at=None)

    def archived(self, is_archived: bool) -> Self:
        return self.filter(archived_at__isnull=not is_archived)


class ChatProject(OwnedModel):
    """
    A person's folder of conversations, with an instruction for the model in all of them.

    Clients know it as a project (`/v1/projects`); it has nothing to do with the projects of an organization.
    """

    public_id = PublicIdField("cproj")
    name = models.CharField(max_length=120)
    instruction = models.TextField(blank=True)
    is_favorite = models.BooleanField("favorite", default=False)
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects: ClassVar[ChatProjectQuerySet] = ChatProjectQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["project", "user", "-created_at", "-id"], name="chat_project_owner_idx"),
            models.Index(fields=["organization", "-created_at"], name="chat_project_org_idx"),
            models.Index(fields=["deleted_at"], name="chat_project_deleted_idx", condition=Q(deleted_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.public_id


class ConversationQuerySet(OwnedQuerySet):
    def of_conversation(self, public_id: str) -> Self:
        return self.filter(public_id=public_id)

    def with_branch(self) -> Self:
        """With what says where its items are."""
        return self.select_related("active_branch", "chat_project")

    def archived(self, is_archived: bool) -> Self:
        return self.filter(archived_at__isnull=not is_archived)

    def not_since(self, limit: datetime.datetime) -> Self:
        """Those in which nothing has happened since then."""
        return self.filter(updated_at__lt=limit)

    def free(self, now: datetime.datetime) -> Self:
        """Those that no turn holds."""
        return self.filter(Q(turn_expires_at=None) | Q(turn_expires_at__lte=now))

    def named(self, public_id: str) -> Self:
        """The one of this id, if it is among these."""
        return self.filter(public_id=public_id) if "\x00" not in public_id else self.none()

    def in_chat_project(self, chat_project: ChatProject) -> Self:
        return self.filter(chat_project=chat_project)


class Conversation(OwnedModel):
    """
    A sequence of items. One turn at a time writes to it: `turn_id` holds it until `turn_expires_at`.

    `summary` tells what was said up to and with item number `summary_sequence` of the active branch,
    for models that cannot take it all.
    """

    public_id = PublicIdField("conv")
    chat_project = models.ForeignKey(
        ChatProject, models.SET_NULL, null=True, blank=True, related_name="conversations", db_index=False
    )
    title = models.CharField(max_length=MAX_TITLE, blank=True)
    has_given_title = models.BooleanField(default=False, help_text="Somebody chose the title.")
    model = models.CharField(max_length=255, blank=True)
    metadata: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict, blank=True)
    referrer = models.CharField(max_length=64, blank=True)
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)
    active_branch = models.ForeignKey("Branch", models.SET_NULL, null=True, editable=False, related_name="+")
    turn_id = models.CharField(max_length=64, blank=True, editable=False)
    turn_expires_at = models.DateTimeField(null=True, editable=False)
    summary = models.TextField(blank=True, editable=False)
    summary_sequence = models.BigIntegerField(default=0, editable=False)

    objects: ClassVar[ConversationQuerySet] = ConversationQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["project", "user", "-created_at", "-id"], name="conversation_owner_idx"),
            # What is listed when nothing else is asked for, and counted without a look at the rows.
            models.Index(
                fields=["project", "user", "-created_at", "-id"],
                include=["organization"],
                condition=Q(archived_at=None),
                name="conversation_listed_idx",
            ),
            models.Index(fields=["chat_project", "-created_at", "-id"], name="conversation_chat_project_idx"),
            models.Index(fields=["organization", "-created_at"], name="conversation_org_idx"),
            models.Index(fields=["-created_at", "-id"], name="conversation_created_idx"),
            models.Index(
                fields=["-created_at", "-id"],
                name="conversation_archived_idx",
                condition=Q(archived_at__isnull=False),
            ),
            # What a retention time is up for.
            models.Index(fields=["project", "updated_at"], name="conversation_updated_idx"),
        ]
        # For staff who may read what was said by others, with a reason.
        permissions = [("open_content", "Can open the content of conversations")]

    def __str__(self) -> str:
        return self.public_id

    @property
    def is_archived(self) -> bool:
        return self.archived_at is not None

    @property
    def folder(self) -> ChatProject | None:
        """The chat project it is in, none from the moment that one is deleted. Read along by `with_branch`."""
        return self.chat_project if self.chat_project and self.chat_project.deleted_at is None else None

    @property
    def branch(self) -> Branch:
        """The branch that is read and written. Read along by `with_branch`."""
        assert self.active_branch is not None  # made with the conversation, never deleted before it
        return self.active_branch

    @property
    def instruction(self) -> str:
        """What its folder tells the model. Read along by `with_branch`."""
        folder = self.chat_project
        return folder.instruction if folder is not None and folder.deleted_at is None else ""

    def is_taken(self, now: datetime.datetime) -> bool:
        """Say whether a turn holds it."""
        return self.turn_expires_at is not None and self.turn_expires_at > now


class Segment(NamedTuple):
    """Items of one branch that are on a path: those with a number above `first` and up to `last`."""

    branch_id: int
    first: int
    last: int

    def holds(self, item: Item | Told) -> bool:
        return item.branch_id == self.branch_id and self.first < item.sequence <= self.last


class Branch(models.Model):
    """
    One line of a conversation. It begins after item number `fork_sequence` of `parent`, or with number 1.

    Numbers go on from there without a gap: `last_sequence` is the newest, `deleted_count` how many were
    deleted since the fork. What came before the fork is the parent's and is read there; `item_count` counts
    all that is read.
    """

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+", db_index=False)
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="branches")
    name = models.CharField(max_length=64, default=MAIN)
    parent = models.ForeignKey("self", models.CASCADE, null=True, related_name="children")
    fork_sequence = models.BigIntegerField(default=0)
    last_sequence = models.BigIntegerField(default=0)
    item_count = models.BigIntegerField(default=0)
    deleted_count = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    # The id of the item before the fork, where `branches_of` has read it.
    forked_after: str | None

    objects: ClassVar[ContentQuerySet] = ContentQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["conversation", "name"], name="branch_name_once")]

    def __str__(self) -> str:
        return self.name


class Status(StrEnum):
    """How far an item came."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    INCOMPLETE = "incomplete"


class Rating(StrEnum):
    LIKE = "like"
    UNLIKE = "unlike"


# What the id of an item begins with, as OpenAI's do.
_PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "reasoning": "rs",
    "web_search_call": "ws",
    "file_search_call": "fs",
    "mcp_call": "mcp",
    "mcp_list_tools": "mcpl",
    "mcp_approval_request": "mcpr",
    "image_generation_call": "ig",
    "code_interpreter_call": "ci",
}


def new_item_id(kind: str) -> str:
    """Return a fresh id for an item of this type."""
    return new_id(_PREFIXES.get(kind, "item"))


class ItemQuerySet(ContentQuerySet):
    def on(self, segment: Segment) -> Self:
        """The items of a part of a path."""
        return self.filter(branch_id=segment.branch_id, sequence__gt=segment.first, sequence__lte=segment.last)

    def of_type(self, kind: str) -> Self:
        return self.filter(type=kind)

    def among(self, conversation: Conversation, public_ids: Sequence[str]) -> Self:
        """Those of a conversation that have one of these ids, in order."""
        return self.filter(conversation=conversation, public_id__in=public_ids).order_by("sequence")


class Item(models.Model):
    """
    A message, a call of a tool, its output, or another of OpenAI's types.

    `data` is what OpenAI's object of that type has beside `id`, `type`, `role` and `status`, in OpenAI's
    spelling, content always a list of parts. `text` is what of it can be searched, `tokens` about
    how many a model reads in it. `usage`, `model` and `request_id` say which call wrote it.
    """

    public_id = models.CharField(max_length=40, unique=True, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+", db_index=False)
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="items")
    branch = models.ForeignKey(Branch, models.CASCADE, related_name="items", db_index=False)
    sequence = models.BigIntegerField()
    type = models.CharField(max_length=40)
    role = models.CharField(max_length=16, blank=True)
    status = models.CharField(max_length=16, choices=[(status.value, status.value) for status in Status])
    data: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    metadata: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    text = models.TextField(blank=True)
    tokens = models.PositiveIntegerField(default=0)
    rating = models.CharField(max_length=8, blank=True, choices=[(rating.value, rating.value) for rating in Rating])
    model = models.CharField(max_length=255, blank=True)
    usage: models.JSONField[dict[str, Any] | None, dict[str, Any] | None] = models.JSONField(null=True)
    request_id = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects: ClassVar[ItemQuerySet] = ItemQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["branch", "sequence"]
        constraints = [models.UniqueConstraint(fields=["branch", "sequence"], name="item_sequence_once")]

    def __str__(self) -> str:
        return self.public_id


class Told(NamedTuple):
    """What of an item a model is told, without the cost of a row: a turn reads hundreds of them."""

    pk: int
    public_id: str
    branch_id: int
    sequence: int
    type: str
    role: str
    status: str
    data: dict[str, Any]
    tokens: int

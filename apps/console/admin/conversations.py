"""Conversations and their folders: that they are there, and how long. What they say is opened for a reason."""

from __future__ import annotations

import json
from typing import Any, ClassVar, NamedTuple

from django import forms
from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextareaWidget

from apps.accounts.reauthentication import ask_again
from apps.audit.services import Actor
from apps.console.admin.panels import page_url
from apps.console.admin.places import RemovableAdmin
from apps.console.openings import LIMIT, open_until, remember
from apps.conversations import oversight
from apps.conversations.content import text_of
from apps.conversations.models import Branch, ChatProject, Conversation, Item
from apps.conversations.paths import page_of
from apps.core.admin import CappedCount, ChosenFilter, DayRangeFilter
from apps.core.tables import Column, Kind

PER_PAGE = 50
MANY = 1000
# Of a longer conversation, the tokens of so many items are added up for its page.
MOST_ADDED = 10_000
MOST_BRANCHES = 100
TIMES = (Column("created_at"), Column("updated_at"), Column("archived_at"))
ARCHIVAL = "It can only be read from now on, until it is taken out of the archive."


class ReasonForm(forms.Form):
    reason = forms.CharField(
        min_length=oversight.SHORTEST_REASON,
        max_length=oversight.LONGEST_REASON,
        help_text="It goes into the organization's audit log, with your name.",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
    )


class ArchivedFilter(admin.SimpleListFilter):
    title = "archived"
    parameter_name = "archived"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Archived"), ("no", "Not archived")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.archived(self.value() == "yes") if self.value() in ("yes", "no") else queryset


class OwnedAdmin(RemovableAdmin):
    """Rows of people, whose words are on none of these pages: `words` names the columns they are in."""

    list_filter = (
        ("organization", ChosenFilter),
        ("project", ChosenFilter),
        ArchivedFilter,
        ("created_at", DayRangeFilter),
    )
    list_filter_submit = True
    list_select_related: ClassVar[tuple[str, ...]] = ("organization", "project", "user")
    actions = ("archive", "unarchive", "remove")
    actions_detail: ClassVar[tuple[str, ...]] = ("archive_one", "unarchive_one", "remove_one")

    words: ClassVar[tuple[str, ...]] = ()
    columns: ClassVar[tuple[Column, ...]] = (
        Column("id", path="public_id"),
        Column("user", path="user_id"),
        Column("email", path="user.email"),
        Column("organization", path="organization.public_id"),
        Column("project", path="project.public_id"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.defer(*self.words)

    @display(description="Owner")
    def owner(self, row: Any) -> str:
        return str(row.user or "its project")

    @display(description="Project")
    def project_name(self, row: Any) -> str:
        return str(row.project.name)

    def archive_row(self, row: Any, *, actor: Actor, is_archived: bool = True) -> None:
        """Call the service."""
        raise Http404

    def unarchive_row(self, row: Any, *, actor: Actor) -> None:
        self.archive_row(row, actor=actor, is_archived=False)

    @action(description="Archive", permissions=["touch"])
    def archive(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        self.to_each(request, rows, self.archive_row, "archived.")

    @action(description="Unarchive", permissions=["touch"])
    def unarchive(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        self.to_each(request, rows, self.unarchive_row, "out of the archive.")

    @action(description="Archive", permissions=["archive_one"], url_path="archive", icon="archive")
    def archive_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.do(request, object_id, "change", self.archive_row, "Archive", ARCHIVAL)

    @action(description="Unarchive", permissions=["unarchive_one"], url_path="unarchive", icon="unarchive")
    def unarchive_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        question = "It can be written to again."
        return self.do(request, object_id, "change", self.unarchive_row, "Unarchive", question)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # its owner changes it; the actions here are what others do

    def has_touch_permission(self, request: HttpRequest) -> bool:
        return self.allows(request, "change")

    def has_archive_one_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.allows(request, "change") and self.is_now(request, object_id, archived_at=None)

    def has_unarchive_one_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.allows(request, "change") and self.is_now(request, object_id, archived_at__isnull=False)


class Shown(NamedTuple):
    """An item as its page shows it."""

    item: Item
    text: str
    document: str


@admin.register(Conversation)
class ConversationAdmin(OwnedAdmin):
    """Whose they are, and how long. No title and no text: for that one is opened, see `open_content`."""

    list_display = (
        "public_id", "owner", "organization", "project_name", "item_count", "model", "state", "created_at",
    )  # fmt: skip
    columns = (
        *OwnedAdmin.columns,
        Column("chat_project", path="chat_project.public_id"),
        Column("model"),
        Column("items", Kind.NUMBER, "active_branch.item_count"),
        *TIMES,
    )
    search_by = {
        "conv_": ("public_id__startswith",),
        "cproj_": ("chat_project__public_id",),
        "org_": ("organization__public_id",),
        "proj_": ("project__public_id",),
        "user_": ("user_id",),
        "": ("user__email__startswith",),
    }
    search_help_text = (
        "The beginning of its owner's e-mail address or of a conv_ id, or a whole user_, proj_, cproj_ or org_ id."
    )
    list_select_related = (*OwnedAdmin.list_select_related, "active_branch", "chat_project")
    ordering = ("-created_at", "-id")
    fields = (
        "public_id", "owner", "organization", "project", "chat_project", "state", "model", "item_count", "token_count",
        "branch_count", "created_at", "updated_at", "archived_at",
    )  # fmt: skip
    readonly_fields = fields
    words = ("title", "metadata", "summary", "chat_project__name", "chat_project__instruction")
    removal = "They are gone for their owners, with all that was said in them."
    actions_detail = ("open_content", *OwnedAdmin.actions_detail)

    @display(description="Items")
    def item_count(self, conversation: Conversation) -> int:
        return conversation.active_branch.item_count if conversation.active_branch else 0

    @display(description="State", label={"active": "success", "archived": "warning"})
    def state(self, conversation: Conversation) -> str:
        return "archived" if conversation.is_archived else "active"

    @display(description="Tokens")
    def token_count(self, conversation: Conversation) -> str:
        items = Item.objects.in_organization(conversation.organization_id).filter(branch=conversation.active_branch)
        added = items.order_by("sequence")[:MOST_ADDED].aggregate(tokens=Sum("tokens"))["tokens"] or 0
        return f"{'more than ' if self.item_count(conversation) > MOST_ADDED else ''}{added}"

    @display(description="Branches")
    def branch_count(self, conversation: Conversation) -> int:
        branches = Branch.objects.in_organization(conversation.organization_id).filter(conversation=conversation)
        return branches.count()

    def archive_row(self, row: Any, *, actor: Actor, is_archived: bool = True) -> None:
        oversight.archive_conversation(conversation=row, actor=actor, is_archived=is_archived)

    def remove_row(self, request: HttpRequest, row: Any, actor: Actor) -> None:
        oversight.remove_conversation(conversation=row, actor=actor)

    @action(description="Open the content", permissions=["open_content"], url_path="content", icon="visibility")
    def open_content(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Break the glass: say why, and read for a while."""
        conversation = self.one(request, object_id, may="view")
        if open_until(request, conversation) is not None:
            return self._content(request, conversation)
        if (asked := ask_again(request)) is not None:
            return asked
        form = ReasonForm(request.POST or None)
        if form.is_valid():
            reason = form.cleaned_data["reason"]
            oversight.note_opening(conversation=conversation, reason=reason, actor=self.actor(request))
            remember(request, conversation)
            return redirect(request.path)
        question = (
            f"You are about to read what was said in {conversation}. Your reason and your name go into the audit log "
            f"of {conversation.organization}, whose owners see them. It stays open to you for "
            f"{LIMIT.seconds // 60} minutes, in this session."
        )
        return self.form_page(
            request, form, title=f"Open the content of {conversation}", button="Open the content", question=question
        )

    def has_open_content_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.allows(request, "view") and bool(request.user.has_perm("conversations.open_content"))

    def _content(self, request: HttpRequest, conversation: Conversation) -> HttpResponse:
        branches = list(conversation.branches.order_by("pk")[:MOST_BRANCHES])
        wanted = _number(request, "branch", conversation.active_branch_id or 0)
        branch = next((each for each in branches if each.pk == wanted), conversation.branch)
        before, after = _number(request, "before"), _number(request, "after")
        # One more than is shown says whether there are any.
        found = page_of(branch, limit=PER_PAGE + 1, descending=bool(before), above=after, below=before or None)
        has_more, shown = len(found) > PER_PAGE, found[:PER_PAGE]
        shown.sort(key=lambda item: item.sequence)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"What was said in {conversation}",
            "conversation": conversation,
            "url": page_url(self, self.model, "change", conversation.pk),
            "branches": branches,
            "branch": branch,
            "items": [_shown(item) for item in shown],
            "earlier": shown[0].sequence if shown and (after or (before and has_more)) else None,
            "later": shown[-1].sequence if shown and (before or has_more) else None,
            "until": open_until(request, conversation),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "console/conversation/content.html", context)


def _shown(item: Item) -> Shown:
    return Shown(item, text_of(item.data), json.dumps(item.data, ensure_ascii=False, indent=1))


def _number(request: HttpRequest, name: str, default: int = 0) -> int:
    """Return a number of an address; one that is none, or is too long for a column, is as good as not given."""
    given = request.GET.get(name, "")
    return int(given) if given.isascii() and given.isdecimal() and len(given) < 19 else default


@admin.register(ChatProject)
class ChatProjectAdmin(OwnedAdmin):
    """People's folders of conversations: neither their names nor their instructions."""

    list_display = (
        "public_id", "owner", "organization", "project_name", "conversation_count", "state", "created_at",
    )  # fmt: skip
    columns = (
        *OwnedAdmin.columns,
        Column("conversations", Kind.NUMBER, "inside"),
        Column("is_favorite", Kind.BOOLEAN),
        *TIMES,
        Column("deleted_at"),
    )
    search_by = {
        "cproj_": ("public_id__startswith",),
        "org_": ("organization__public_id",),
        "proj_": ("project__public_id",),
        "user_": ("user_id",),
        "": ("user__email__startswith",),
    }
    search_help_text = (
        "The beginning of its owner's e-mail address or of a cproj_ id, or a whole user_, proj_ or org_ id."
    )
    ordering = ("-id",)
    fields = (
        "public_id", "owner", "organization", "project", "conversation_count", "state", "is_favorite", "created_at",
        "updated_at", "archived_at", "deleted_at",
    )  # fmt: skip
    readonly_fields = fields
    words = ("name", "instruction")
    removal = "Their conversations stay, in no project, and are no longer told its instruction."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        inside = Conversation.objects.filter(chat_project=OuterRef("pk")).order_by().values("pk")[:MANY]
        rows: QuerySet[Any] = super().get_queryset(request).annotate(inside=CappedCount(inside))
        return rows

    @display(description="Conversations")
    def conversation_count(self, chat_project: Any) -> str:
        return f"{MANY} or more" if chat_project.inside == MANY else str(chat_project.inside)

    @display(description="State", label={"active": "success", "archived": "warning", "deleted": "danger"})
    def state(self, chat_project: ChatProject) -> str:
        if chat_project.deleted_at:
            return "deleted"
        return "archived" if chat_project.archived_at else "active"

    def is_now(self, request: HttpRequest, object_id: Any, **state: Any) -> bool:
        return super().is_now(request, object_id, deleted_at=None, **state)

    def has_remove_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return super().has_remove_permission(request) and self.is_now(request, object_id)

    def archive_row(self, row: Any, *, actor: Actor, is_archived: bool = True) -> None:
        oversight.archive_chat_project(chat_project=row, actor=actor, is_archived=is_archived)

    def remove_row(self, request: HttpRequest, row: Any, actor: Actor) -> None:
        oversight.remove_chat_project(chat_project=row, actor=actor)

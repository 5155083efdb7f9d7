"""What left a conversation: shares and stored completions. That they are there, and none of their words."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.decorators import display

from apps.audit.services import Actor
from apps.completions.models import StoredCompletion
from apps.console.admin.places import RemovableAdmin
from apps.core.admin import ChosenFilter, DayRangeFilter, OperatorAdmin
from apps.core.tables import Column, Kind
from apps.shares.models import Share
from apps.shares.services import revoke_share

_OWNER = (
    Column("id", path="public_id"),
    Column("user", path="user_id"),
    Column("email", path="user.email"),
    Column("organization", path="organization.public_id"),
    Column("project", path="project.public_id"),
)
_WHOSE = {
    "org_": ("organization__public_id",),
    "proj_": ("project__public_id",),
    "user_": ("user_id",),
    "": ("user__email__startswith",),
}
_PLACES = (("organization", ChosenFilter), ("project", ChosenFilter), ("created_at", DayRangeFilter))


@admin.register(Share)
class ShareAdmin(RemovableAdmin):
    """Which conversations anybody with a link may read. Neither the link nor the words; removing one revokes it."""

    list_display = (
        "public_id", "owner", "organization", "conversation", "state", "view_count", "created_at", "expires_at",
    )  # fmt: skip
    columns = (
        *_OWNER,
        Column("conversation", path="conversation.public_id"),
        Column("view_count", Kind.NUMBER),
        Column("created_at"),
        Column("expires_at"),
        Column("revoked_at"),
    )
    list_select_related = ("organization", "project", "user", "conversation")
    list_filter = _PLACES
    list_filter_submit = True
    search_by = {"share_": ("public_id__startswith",), "conv_": ("conversation__public_id",), **_WHOSE}
    search_help_text = (
        "The beginning of its owner's e-mail address or of a share_ id, or a whole user_, conv_, proj_ or org_ id."
    )
    ordering = ("-created_at", "-id")
    fields = (
        "public_id", "owner", "organization", "project", "conversation", "state", "view_count", "created_at",
        "expires_at", "revoked_at",
    )  # fmt: skip
    readonly_fields = fields
    removal = "Their links lead nowhere from then on."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.defer("title", "snapshot", "sealed_slug", "slug_digest")

    @display(description="Owner")
    def owner(self, share: Share) -> str:
        return str(share.user or "its project")

    @display(description="State", label={"open": "success", "expired": "warning", "revoked": "danger"})
    def state(self, share: Share) -> str:
        if share.revoked_at:
            return "revoked"
        return "expired" if share.expires_at and share.expires_at <= timezone.now() else "open"

    def remove_row(self, request: HttpRequest, row: Any, actor: Actor) -> None:
        revoke_share(share=row, actor=actor)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # it is a copy, and its owner's

    def has_remove_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return super().has_remove_permission(request) and self.is_now(request, object_id, revoked_at=None)


@admin.register(StoredCompletion)
class StoredCompletionAdmin(OperatorAdmin):
    """Calls that were kept because their caller asked for it: of which model, and when."""

    list_display = ("public_id", "owner", "organization", "model", "created_at")
    columns = (*_OWNER, Column("model"), Column("request", path="request_id"), Column("created_at"))
    list_select_related = ("organization", "project", "user")
    list_filter = _PLACES
    list_filter_submit = True
    search_by = {"chatcmpl-": ("public_id__startswith",), **_WHOSE}
    search_help_text = (
        "The beginning of its owner's e-mail address or of a chatcmpl- id, or a whole user_, proj_ or org_ id."
    )
    ordering = ("-created_at", "-id")
    fields = (
        "public_id", "owner", "organization", "project", "model", "request_id", "created_at", "updated_at",
    )  # fmt: skip
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.defer("messages", "parameters", "answer", "metadata")

    @display(description="Owner")
    def owner(self, completion: StoredCompletion) -> str:
        return str(completion.user or "its project")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

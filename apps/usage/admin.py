"""The ledger in the operator's admin. Only the drainer writes it, so here it can only be read."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import RangeDateTimeFilter
from unfold.decorators import display

from apps.usage.models import State, UsageRecord


class EndpointFilter(admin.SimpleListFilter):
    """Endpoints of the last thousand requests: a DISTINCT over the whole ledger would read all of it."""

    title = "endpoint"
    parameter_name = "endpoint"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        recent = UsageRecord.objects.values_list("endpoint", flat=True)[:1000]
        return [(endpoint, endpoint) for endpoint in sorted(set(recent))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(endpoint=self.value()) if self.value() else queryset


@admin.register(UsageRecord)
class UsageRecordAdmin(ModelAdmin):  # type: ignore[misc]
    list_display = (
        "accepted_at",
        "shown_state",
        "status",
        "model",
        "endpoint",
        "is_stream",
        "organization",
        "user",
        "prompt_tokens",
        "completion_tokens",
        "first_token_ms",
        "duration_ms",
        "request_id",
    )
    list_display_links = ("accepted_at", "request_id")
    list_filter = ("state", EndpointFilter, "is_stream", ("accepted_at", RangeDateTimeFilter))
    list_filter_submit = True
    list_select_related = ("organization", "user")
    list_per_page = 50
    show_full_result_count = False
    search_fields = ("public_id__exact", "request_id__exact")
    search_help_text = "A whole usage id or request id."

    @display(
        description="state",
        ordering="state",
        label={
            State.OPEN.value: "info",
            State.COMPLETED.value: "success",
            State.CLIENT_GONE.value: "warning",
            State.CANCELLED.value: "warning",
            State.UPSTREAM_ERROR.value: "danger",
            State.INTERRUPTED.value: "danger",
        },
    )
    def shown_state(self, record: UsageRecord) -> str:
        return record.state

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

"""Idempotency records in the operator's admin: that there was a request and how it ended, never what was said."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.decorators import display

from apps.core.admin import MomentRangeFilter, OperatorAdmin
from apps.idempotency.models import IdempotencyRecord, State

_INTERRUPTED = "interrupted"


@admin.register(IdempotencyRecord)
class IdempotencyRecordAdmin(OperatorAdmin):
    list_display = ("created_at", "shown_state", "status", "route", "credential", "organization", "finished_at")
    list_select_related = ("organization",)
    list_filter = ("state", ("created_at", MomentRangeFilter))
    list_filter_submit = True
    search_by = {"": ("credential",)}
    search_help_text = "A whole key_, user_ or sa_ id."
    fields = (
        "public_id", "organization", "credential", "route", "key", "shown_state", "status",
        "created_at", "finished_at", "lease_until",
    )  # fmt: skip

    @display(
        description="state",
        label={State.RUNNING.value: "info", State.FINISHED.value: "success", _INTERRUPTED: "danger"},
    )
    def shown_state(self, record: IdempotencyRecord) -> str:
        return _INTERRUPTED if record.is_interrupted else record.state

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

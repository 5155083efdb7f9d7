"""The audit log in the operator's admin: to be read, never written."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from apps.audit.models import AuditEvent
from apps.audit.services import Action
from apps.core.admin import MomentRangeFilter, OperatorAdmin


class ActionFilter(admin.SimpleListFilter):
    title = "action"
    parameter_name = "action"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(action.value, action.value) for action in Action]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(action=self.value()) if self.value() else queryset


@admin.register(AuditEvent)
class AuditEventAdmin(OperatorAdmin):
    """What happened, newest first."""

    list_display = ("created_at", "action", "actor_label", "actor_id", "target_id", "organization", "address")
    list_filter = (ActionFilter, ("created_at", MomentRangeFilter))
    list_filter_submit = True
    search_by = {
        "audit_": ("public_id",),
        "org_": ("organization",),
        "": ("actor_id", "target_id"),
    }
    search_help_text = "A whole audit_, org_, user_ or key_ id."

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

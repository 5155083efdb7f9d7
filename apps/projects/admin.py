from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from apps.projects.models import Project


@admin.register(Project)
class ProjectAdmin(ModelAdmin):
    """Where keys live and usage is counted."""

    list_display = ("name", "public_id", "organization", "is_default", "created_at")
    list_filter = ("is_default", "created_at")
    search_fields = ("=public_id", "=organization__public_id")
    search_help_text = "An exact proj_ or org_ id."
    list_select_related = ("organization",)
    autocomplete_fields = ("organization",)
    readonly_fields = ("public_id", "is_default", "created_at", "updated_at")
    fields = ("name", "organization", "public_id", "is_default", "created_at", "updated_at")
    ordering = ("-id",)
    show_full_result_count = False
    list_per_page = 50

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # A project never moves to another tenant.
        return (*self.readonly_fields, "organization") if obj else self.readonly_fields

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

"""What people set for themselves, in the operator's admin: which settings, but not the words they wrote."""

from __future__ import annotations

import msgspec
from django.contrib import admin
from django.http import HttpRequest
from unfold.decorators import display

from apps.accounts.admin.sign_in import OfUserAdmin
from apps.core.admin import DayRangeFilter
from apps.user_settings.models import UserSettings


@admin.register(UserSettings)
class UserSettingsAdmin(OfUserAdmin):
    """Nobody changes them but their user. Texts are shown by their length, preferences by their names."""

    list_display = ("user", "style", "tools", "trace", "memory", "updated_at")
    list_filter = (("updated_at", DayRangeFilter),)
    list_filter_submit = True
    ordering = ("-updated_at",)
    fields = (
        "user", "style", "tools", "trace", "memory", "memory_limits", "web_search", "code", "written", "preferences",
        "created_at", "updated_at",
    )  # fmt: skip

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    @display(description="Style")
    def style(self, row: UserSettings) -> str:
        chosen: str = row.saved.get("profile_settings", {}).get("base_style", "not chosen")
        return chosen

    @display(description="Tools", boolean=True)
    def tools(self, row: UserSettings) -> bool:
        return row.settings.enable_tools

    @display(description="Traces", boolean=True)
    def trace(self, row: UserSettings) -> bool:
        return row.settings.enable_trace

    @display(description="Memory", boolean=True)
    def memory(self, row: UserSettings) -> bool:
        return row.settings.memory_config.enabled

    @display(description="Memory, in full")
    def memory_limits(self, row: UserSettings) -> str:
        memory = msgspec.to_builtins(row.settings.memory_config)
        return ", ".join(f"{name} {str(value).lower()}" for name, value in memory.items())

    @display(description="Web search", boolean=True)
    def web_search(self, row: UserSettings) -> bool:
        return row.settings.advanced_settings.web_search

    @display(description="Running code", boolean=True)
    def code(self, row: UserSettings) -> bool:
        return row.settings.advanced_settings.code_enabled

    @display(description="Texts")
    def written(self, row: UserSettings) -> str:
        """Return how long each text is: what they say is their user's."""
        profile = msgspec.to_builtins(row.settings.profile_settings)
        del profile["base_style"]
        return ", ".join(f"{name}: {len(text)} characters" for name, text in profile.items() if text) or "none"

    @display(description="Preferences")
    def preferences(self, row: UserSettings) -> str:
        return ", ".join(sorted(row.settings.preferences)) or "none"

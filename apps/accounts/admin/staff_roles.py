"""What operators who are no superusers may see and do: Django's groups, as staff roles."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group
from django.http import HttpRequest

from apps.audit.history import AuditedAdmin


@admin.register(Group)
class StaffRoleAdmin(AuditedAdmin):
    """Superusers' own: who could change roles could give itself every right. An organization's are something else."""

    audited_as = "staff_role"
    list_display = ("name",)
    search_by = {"": ("name__startswith",)}
    search_help_text = "The beginning of a name, in the right case."
    ordering = ("name",)
    filter_horizontal = ("permissions",)

    def allows(self, request: HttpRequest, verb: str, model: Any = None) -> bool:
        return bool(request.user.is_superuser)

    def history_id(self, obj: Group) -> str:
        return f"staff_role_{obj.pk}"

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        before = _named(form.instance) if change else []
        super().save_related(request, form, formsets, change)
        after = _named(form.instance)
        if before != after:
            self.note(request, form.instance, "updated", permissions=[before, after])


def _named(role: Group) -> list[str]:
    rights = role.permissions.order_by("pk").values_list("content_type__app_label", "codename")
    return [f"{app}.{name}" for app, name in rights]

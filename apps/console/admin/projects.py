"""Projects: made, set up, archived, deleted."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.decorators import action, display
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from apps.accounts.models import User
from apps.console.admin.panels import PROJECT_PANELS
from apps.console.admin.places import PlaceAdmin
from apps.console.admin.settings_form import STORAGE, ModelNames, SettingsForm
from apps.core.importing import ImportMixin
from apps.core.tables import Column, Kind
from apps.projects import project_services
from apps.projects.models import Project
from apps.projects.project_settings import changed_settings, checked_settings
from apps.usage.models import UsageRecord


class ProjectForm(SettingsForm):
    """Each setting is a field of its own; an empty one is not set."""

    default_model = forms.CharField(
        max_length=255, required=False, widget=UnfoldAdminTextInputWidget, help_text="For calls that name none."
    )
    allowed_models = ModelNames(required=False, help_text="One a line. Empty: all that the organization has.")
    denied_models = ModelNames(required=False, help_text="One a line, instead of a list of allowed ones.")
    max_conversations = forms.IntegerField(required=False, min_value=0, widget=UnfoldAdminIntegerFieldWidget)
    retention_days = forms.IntegerField(
        required=False, min_value=1, widget=UnfoldAdminIntegerFieldWidget, help_text="Empty: kept until deleted."
    )
    storage = forms.ChoiceField(
        required=False, choices=STORAGE, widget=UnfoldAdminSelectWidget, help_text="What is kept of conversations."
    )
    settings_fields = (
        "default_model",
        "allowed_models",
        "denied_models",
        "max_conversations",
        "retention_days",
        "storage",
    )

    class Meta:
        model = Project
        fields = ("name", "organization", "description")
        widgets = {"description": UnfoldAdminTextareaWidget(attrs={"rows": 2})}

    @staticmethod
    def checked(wanted: dict[str, Any]) -> dict[str, Any]:
        return changed_settings({}, checked_settings(wanted))


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("active", "active"), ("archived", "archived"), ("deleted", "deleted")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() == "active":
            return queryset.filter(archived_at=None, deleted_at=None)
        if self.value() == "archived":
            return queryset.filter(archived_at__isnull=False, deleted_at=None)
        return queryset.filter(deleted_at__isnull=False) if self.value() == "deleted" else queryset


@admin.register(Project)
class ProjectAdmin(ImportMixin, PlaceAdmin):
    """Where keys live and usage is counted."""

    form = ProjectForm
    panels = PROJECT_PANELS
    list_display = ("name", "public_id", "organization", "state", "is_default", "created_at")
    list_filter = (StateFilter,)
    search_by = {
        "proj_": ("public_id__startswith",),
        "org_": ("organization__public_id",),
        "@": ("organization__memberships__user__email",),
        "": ("name__startswith",),
    }
    search_help_text = "The beginning of a name or a proj_ id, a whole org_ id, or a member's e-mail address."
    list_select_related = ("organization",)
    autocomplete_fields = ("organization",)
    ordering = ("-id",)
    readonly_fields = ("public_id", "state", "is_default", "created_by", "created_at", "updated_at")
    fieldsets = (
        (None, {"fields": ("name", "organization", "description", "state")}),
        ("Models", {"fields": ("default_model", "allowed_models", "denied_models")}),
        ("Conversations", {"fields": ("max_conversations", "retention_days", "storage")}),
        (
            "Facts",
            {"fields": ("public_id", "is_default", "created_by", "created_at", "updated_at"), "classes": ("collapse",)},
        ),
    )
    add_fieldsets = (
        (None, {"fields": ("name", "organization", "description")}),
        ("Models", {"fields": ("default_model", "allowed_models", "denied_models")}),
        ("Conversations", {"fields": ("max_conversations", "retention_days", "storage")}),
    )
    columns = (
        Column("id", path="public_id"),
        Column("name"),
        Column("organization", path="organization.public_id"),
        Column("description"),
        Column("default_model", path="settings.default_model"),
        Column("allowed_models", Kind.LIST, "settings.allowed_models"),
        Column("denied_models", Kind.LIST, "settings.denied_models"),
        Column("max_conversations", Kind.NUMBER, "settings.max_conversations"),
        Column("retention_days", Kind.NUMBER, "settings.retention_days"),
        Column("storage", path="settings.storage"),
        Column("status"),
        Column("is_default", Kind.BOOLEAN),
        Column("created_at"),
        Column("deleted_at"),
    )
    actions = ("archive", "unarchive", "remove")
    actions_detail = ("archive_one", "unarchive_one", "remove_one")

    @display(description="State", label={"active": "success", "archived": "warning", "deleted": "danger"})
    def state(self, project: Project) -> str:
        return "deleted" if project.deleted_at else project.status

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # A project never moves to another tenant.
        return (*self.readonly_fields, "organization") if obj else self.readonly_fields

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Archived and deleted ones are read-only; an id instead of a row is unfold's way of asking for an action.
        is_closed = isinstance(obj, Project) and (obj.is_archived or obj.deleted_at is not None)
        return not is_closed and bool(super().has_change_permission(request))

    def save_model(self, request: HttpRequest, obj: Project, form: Any, change: bool) -> None:
        given = {"name": obj.name, "description": obj.description, "settings": form.cleaned_data["settings"]}
        if change:
            saved = project_services.update_project(project=obj, actor=self.actor(request), replace=True, **given)
        else:
            saved = project_services.create_project(
                organization=obj.organization,
                creator=cast(User, request.user),
                giver=self.grants_in(request, obj.organization)(None),
                actor=self.actor(request),
                **given,
            )
        obj.__dict__.update(saved.__dict__)

    def usage_of(self, place: Project) -> QuerySet[UsageRecord]:
        return UsageRecord.objects.in_organization(place.organization_id).in_project(place.pk)

    @action(description="Archive: read-only from now on", permissions=["change"])
    def archive(self, request: HttpRequest, projects: QuerySet[Project]) -> None:
        self.to_each(request, projects, _archive, "projects can only be read within two seconds.")

    @action(description="Unarchive", permissions=["change"])
    def unarchive(self, request: HttpRequest, projects: QuerySet[Project]) -> None:
        self.to_each(request, projects, _unarchive, "projects are open again.")

    @action(description="Delete: gone with its keys", permissions=["remove"])
    def remove(self, request: HttpRequest, projects: QuerySet[Project]) -> HttpResponse | None:
        question = "These projects are gone for everybody, and their keys stop working, within two seconds."
        if page := self.asks(request, projects, action="remove", question=question, button="Delete"):
            return page
        self.to_each(request, projects, _delete, "projects are deleted.")
        return None

    @action(description="Archive", permissions=["archive_one"], url_path="archive", icon="archive")
    def archive_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        question = "It can only be read from now on: nothing in it changes, and its keys call no models."
        return self.do(request, object_id, "change", _archive, "Archive", question)

    @action(description="Unarchive", permissions=["unarchive_one"], url_path="unarchive", icon="unarchive")
    def unarchive_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.do(request, object_id, "change", _unarchive, "Unarchive", "Its keys work again.")

    @action(description="Delete", permissions=["remove_one"], url_path="remove", icon="delete")
    def remove_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        question = "It is gone for everybody, and its keys stop working, within two seconds."
        return self.do(request, object_id, "delete", _delete, "Delete", question)

    # What can be done to one, by what it is now. Unfold asks with an id.

    def has_archive_one_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.allows(request, "change") and self.is_now(
            request, object_id, archived_at=None, deleted_at=None, is_default=False
        )

    def has_unarchive_one_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.allows(request, "change") and self.is_now(
            request, object_id, archived_at__isnull=False, deleted_at=None
        )

    def has_remove_permission(self, request: HttpRequest) -> bool:
        return self.allows(request, "delete")

    def has_remove_one_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.allows(request, "delete") and self.is_now(request, object_id, deleted_at=None, is_default=False)


def _archive(project: Project, **by: Any) -> None:
    project_services.archive_project(project=project, **by)


def _unarchive(project: Project, **by: Any) -> None:
    project_services.unarchive_project(project=project, **by)


def _delete(project: Project, **by: Any) -> None:
    project_services.delete_project(project=project, **by)

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelect
from django.http import HttpRequest
from unfold.admin import TabularInline

from apps.accounts.models import User
from apps.core.admin import OperatorAdmin
from apps.organizations.admin import MembershipInline, OrganizationAdmin
from apps.organizations.models import Membership, Organization
from apps.projects.models import Project
from apps.projects.services import create_organization


class ProjectInline(TabularInline):
    model = Project
    extra = 0
    tab = True
    per_page = 20
    hide_title = True
    fields = ("name", "public_id", "is_default", "created_at")
    readonly_fields = ("public_id", "is_default", "created_at")
    show_change_link = True
    can_delete = False


class NewOrganizationForm(forms.ModelForm):
    owner = forms.ModelChoiceField(
        queryset=User.objects.get_queryset(),
        widget=AutocompleteSelect(Membership._meta.get_field("user"), admin.site),
        help_text="Its first member. Others are added afterwards.",
    )

    class Meta:
        model = Organization
        fields = ("name",)


@admin.register(Organization)
class TenantAdmin(OrganizationAdmin):
    """Organizations with their members and projects."""

    inlines = (MembershipInline, ProjectInline)

    def get_form(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        return super().get_form(request, obj, **(kwargs if obj else {**kwargs, "form": NewOrganizationForm}))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.fields if obj else ("name", "owner")

    def get_inlines(self, request: HttpRequest, obj: Any) -> tuple[Any, ...]:
        return self.inlines if obj else ()

    def save_model(self, request: HttpRequest, obj: Organization, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        made = create_organization(name=obj.name, owner=form.cleaned_data["owner"])
        obj.__dict__.update(made.__dict__)


@admin.register(Project)
class ProjectAdmin(OperatorAdmin):
    """Where keys live and usage is counted."""

    list_display = ("name", "public_id", "organization", "is_default", "created_at")
    list_filter = ("is_default", "created_at")
    search_by = {
        "proj_": ("public_id__startswith",),
        "org_": ("organization__public_id",),
        "@": ("organization__memberships__user__email",),
        "": ("name__startswith",),
    }
    search_help_text = "The beginning of a name or a proj_ id, a whole org_ id, or a member's e-mail address."
    list_select_related = ("organization",)
    autocomplete_fields = ("organization",)
    readonly_fields = ("public_id", "is_default", "created_at", "updated_at")
    fields = ("name", "organization", "public_id", "is_default", "created_at", "updated_at")
    ordering = ("-id",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # A project never moves to another tenant.
        return (*self.readonly_fields, "organization") if obj else self.readonly_fields

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

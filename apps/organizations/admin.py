from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display

from apps.organizations.models import Membership, Organization


class MembershipInline(TabularInline):
    model = Membership
    extra = 0
    tab = True
    autocomplete_fields = ("user",)


@admin.register(Organization)
class OrganizationAdmin(ModelAdmin):
    """Tenants."""

    list_display = ("name", "public_id", "is_personal", "member_count", "created_at")
    list_filter = ("is_personal", "created_at")
    search_fields = ("=public_id", "^name")
    search_help_text = "An exact org_ id, or the beginning of a name."
    ordering = ("-created_at",)
    show_full_result_count = False
    list_per_page = 50
    readonly_fields = ("public_id", "is_personal", "created_at", "updated_at")
    fields = ("name", "public_id", "is_personal", "created_at", "updated_at")
    inlines = (MembershipInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Organization]:
        found: QuerySet[Organization] = super().get_queryset(request)
        return found.annotate(member_count=Count("memberships"))

    @display(description="Members")
    def member_count(self, organization: Any) -> int:
        return int(organization.member_count)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # with everything a tenant owns; comes with its own service


@admin.register(Membership)
class MembershipAdmin(ModelAdmin):
    """Who belongs where."""

    list_display = ("user", "organization", "role", "created_at")
    list_filter = ("role",)
    search_fields = ("=user__email", "=organization__public_id")
    search_help_text = "An exact e-mail address or org_ id."
    list_select_related = ("user", "organization")
    autocomplete_fields = ("user", "organization")
    ordering = ("-id",)
    show_full_result_count = False
    list_per_page = 50

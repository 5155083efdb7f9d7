from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from unfold.admin import TabularInline
from unfold.decorators import display

from apps.core.admin import OperatorAdmin
from apps.organizations.models import Membership, Organization


class MembershipInline(TabularInline):
    model = Membership
    extra = 0
    tab = True
    per_page = 20
    hide_title = True
    autocomplete_fields = ("user",)


class OrganizationAdmin(OperatorAdmin):
    """Tenants. Registered by `apps.projects.admin`, which knows the projects in them."""

    list_display = ("name", "public_id", "is_personal", "member_count", "created_at")
    list_filter = ("is_personal", "created_at")
    search_by = {"org_": ("public_id__startswith",), "": ("name__startswith",)}
    search_help_text = "The beginning of a name or an org_ id, in the right case."
    ordering = ("-created_at",)
    readonly_fields = ("public_id", "is_personal", "created_at", "updated_at")
    fields = ("name", "public_id", "is_personal", "created_at", "updated_at")
    inlines: tuple[type[TabularInline], ...] = (MembershipInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Organization]:
        found: QuerySet[Organization] = super().get_queryset(request)
        # Not a join: that would count the members of every organization to show fifty.
        members = Membership.objects.filter(organization=OuterRef("pk")).order_by().values("organization")
        return found.annotate(member_count=Coalesce(Subquery(members.annotate(n=Count("pk")).values("n")), 0))

    @display(description="Members")
    def member_count(self, organization: Any) -> int:
        return int(organization.member_count)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # with everything a tenant owns; comes with its own service


@admin.register(Membership)
class MembershipAdmin(OperatorAdmin):
    """Who belongs where, and as what."""

    list_display = ("user", "organization", "role", "created_at")
    list_filter = ("role",)
    search_by = {
        "org_": ("organization__public_id",),
        "user_": ("user_id",),
        "": ("user__email__startswith",),
    }
    search_help_text = "The beginning of an e-mail address, or a whole org_ or user_ id."
    list_select_related = ("user", "organization")
    autocomplete_fields = ("user", "organization")
    ordering = ("-id",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("user", "organization") if obj else ()  # another place is another membership

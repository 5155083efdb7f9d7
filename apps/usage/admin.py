"""The ledger in the operator's admin. Only the drainer writes it, so here it can only be read."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from unfold.decorators import display

from apps.accounts.models import User
from apps.core.admin import MomentRangeFilter, OperatorAdmin
from apps.organizations.models import Organization
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
class UsageRecordAdmin(OperatorAdmin):
    list_display = (
        "accepted_at",
        "shown_state",
        "status",
        "model",
        "endpoint",
        "is_stream",
        "shown_organization",
        "shown_user",
        "prompt_tokens",
        "completion_tokens",
        "first_token_ms",
        "duration_ms",
        "request_id",
    )
    list_display_links = ("accepted_at", "request_id")
    list_filter = ("state", EndpointFilter, "is_stream", ("accepted_at", MomentRangeFilter))
    list_filter_submit = True
    search_by = {
        "usage_": ("public_id",),
        "org_": ("organization__public_id",),
        "": ("request_id",),
    }
    search_help_text = "A whole usage_, org_ or request id."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        # Subqueries, not joins: a record must not vanish from the list because its organization was deleted.
        organization = Organization.objects.filter(pk=OuterRef("organization_id")).values("name")[:1]
        user = User.objects.filter(pk=OuterRef("user_id")).values("email")[:1]
        names = {"organization_name": Subquery(organization), "user_email": Subquery(user)}
        rows: QuerySet[Any] = super().get_queryset(request).annotate(**names)
        return rows

    @admin.display(description="organization")
    def shown_organization(self, record: Any) -> str:
        return str(record.organization_name or "deleted")

    @admin.display(description="user")
    def shown_user(self, record: Any) -> str:
        return str(record.user_email or record.user_id)

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

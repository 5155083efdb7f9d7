"""Operators' invitations to make an account: looked at, sent again, revoked."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from unfold.contrib.filters.admin import RadioFilter
from unfold.decorators import action, display

from apps.accounts.invitations import resend_invitation, revoke_invitation
from apps.accounts.models import Invitation, InvitationQuerySet
from apps.accounts.sessions import actor_of
from apps.audit.history import AuditedAdmin
from apps.core.admin import DayRangeFilter
from apps.core.errors import AppError


class StateFilter(RadioFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state, state.title()) for state in ("pending", "expired", "accepted", "revoked")]

    def queryset(self, request: HttpRequest, queryset: InvitationQuerySet) -> InvitationQuerySet:
        match self.value():
            case "pending":
                return queryset.open()
            case "expired":
                return queryset.unended().filter(expires_at__lte=timezone.now())
            case "accepted":
                return queryset.exclude(accepted_at=None)
            case "revoked":
                return queryset.exclude(revoked_at=None)
        return queryset


@admin.register(Invitation)
class InvitationAdmin(AuditedAdmin):
    """Who was mailed a link to make an account with. The link itself is nowhere but in the mail."""

    list_display = ("email", "shown_state", "invited_by", "sent_at", "expires_at")
    list_filter = (StateFilter, ("created_at", DayRangeFilter))
    list_filter_submit = True
    list_select_related = ("invited_by",)
    search_by = {"inv_": ("public_id__startswith",), "": ("email__startswith",)}
    search_help_text = "The beginning of an e-mail address or an inv_ id."
    ordering = ("-created_at", "-id")
    fields = (
        "public_id", "email", "shown_state", "invited_by", "created_at", "sent_at", "expires_at", "accepted_at",
        "revoked_at",
    )  # fmt: skip
    readonly_fields = fields
    actions = ("resend", "revoke")
    actions_list = ("invite",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # it is the users' list that invites

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is None and bool(super().has_change_permission(request))  # actions in the list; no fact changes

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # revoking keeps who was invited by whom

    @display(
        description="State", label={"pending": "info", "accepted": "success", "expired": "warning", "revoked": "danger"}
    )
    def shown_state(self, invitation: Invitation) -> str:
        return invitation.state

    @action(description="Invite a person", permissions=["change"], url_path="invite", icon="mail")
    def invite(self, request: HttpRequest) -> HttpResponse:
        return redirect("admin:accounts_user_invite")

    @action(description="Send again", permissions=["change"])
    def resend(self, request: HttpRequest, invitations: QuerySet[Invitation]) -> None:
        sent = 0
        for invitation in invitations:
            try:
                resend_invitation(invitation=invitation, actor=actor_of(request.user))  # type: ignore[arg-type]
            except AppError as refusal:
                self.message_user(request, f"{invitation}: {refusal.message}", messages.ERROR)
            else:
                sent += 1
        self.message_user(request, f"{sent} invitations were mailed again. The links before are dead.")

    @action(description="Revoke", permissions=["change"])
    def revoke(self, request: HttpRequest, invitations: QuerySet[Invitation]) -> None:
        actor = actor_of(request.user)  # type: ignore[arg-type]
        revoked = sum(revoke_invitation(invitation=invitation, actor=actor) for invitation in invitations)
        self.message_user(request, f"{revoked} invitations open nothing any more.")

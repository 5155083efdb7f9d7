"""How people sign in: their sessions, addresses, accounts elsewhere and second factors. Facts, not secrets."""

from __future__ import annotations

from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import action, display

from apps.accounts import people
from apps.accounts.models import RefreshTokenFamily
from apps.accounts.reauthentication import ask_again
from apps.accounts.sessions import actor_of
from apps.audit.history import AuditedAdmin
from apps.core.admin import DayRangeFilter
from apps.core.errors import AppError


class OfUserAdmin(AuditedAdmin):
    """Rows that belong to a user and are found by it. They are not written here but by their actions."""

    search_by = {"user_": ("user_id",), "": ("user__email__startswith",)}
    search_help_text = "The beginning of the user's e-mail address, or a whole user_ id."
    list_select_related = ("user",)
    ordering = ("-id",)

    def history_id(self, obj: Any) -> str:
        return str(obj.user_id)  # the log knows whose it is

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return tuple(self.fields or ())

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is None and bool(super().has_change_permission(request))  # actions in the list; no fact changes

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        # How operators sign in is for superusers: who could change it could sign in as one.
        return rows if request.user.is_superuser else rows.exclude(user__is_staff=True)


@admin.register(UserSession)
class UserSessionAdmin(OfUserAdmin):
    """Where people are signed in, in browsers and over the API."""

    list_display = ("user", "address", "user_agent", "created_at", "last_seen_at")
    list_filter = (("last_seen_at", DayRangeFilter), ("created_at", DayRangeFilter))
    list_filter_submit = True
    fields = ("user", "address", "user_agent", "created_at", "last_seen_at", "refreshable_until")
    actions = ("end",)

    @display(description="Address")
    def address(self, session: UserSession) -> str:
        return str(session.ip)

    @display(description="Tokens can be refreshed until")
    def refreshable_until(self, session: UserSession) -> Any:
        family = RefreshTokenFamily.objects.filter(session_key=session.session_key).first()
        return family.expires_at if family else None

    @action(description="End", permissions=["change"])
    def end(self, request: HttpRequest, sessions: QuerySet[UserSession]) -> None:
        ended = list(sessions)
        for session in ended:
            people.end_session(session=session, actor=actor_of(request.user))  # type: ignore[arg-type]
        self.message_user(request, f"{len(ended)} sessions end everywhere within two seconds.")


@admin.register(EmailAddress)
class EmailAddressAdmin(OfUserAdmin):
    """Addresses that users say are theirs, and which of them have shown it."""

    list_display = ("email", "user", "verified", "primary")
    list_filter = ("verified", "primary")
    search_by = {"user_": ("user_id",), "": ("email__startswith",)}
    search_help_text = "The beginning of an e-mail address, or a whole user_ id."
    fields = ("email", "user", "verified", "primary")
    actions = ("mark_verified", "send_confirmation")

    @action(description="Mark verified", permissions=["change"])
    def mark_verified(self, request: HttpRequest, addresses: QuerySet[EmailAddress]) -> None:
        changed = 0
        for address in addresses.select_related("user"):
            try:
                changed += people.verify_address(address=address, actor=actor_of(request.user))  # type: ignore[arg-type]
            except AppError as refusal:
                self.message_user(request, f"{address}: {refusal.message}", messages.ERROR)
        self.message_user(request, f"{changed} addresses count as verified.")

    @action(description="Send the confirmation again", permissions=["change"])
    def send_confirmation(self, request: HttpRequest, addresses: QuerySet[EmailAddress]) -> None:
        waiting = list(addresses.filter(verified=False).select_related("user"))
        for address in waiting:
            address.send_confirmation(request)
        self.message_user(request, f"{len(waiting)} mails sent. Verified addresses are left alone.")


@admin.register(SocialAccount)
class SocialAccountAdmin(OfUserAdmin):
    """Accounts at other providers that sign somebody in here."""

    list_display = ("user", "provider", "uid", "last_login", "date_joined")
    list_filter = ("provider",)
    fields = ("user", "provider", "uid", "last_login", "date_joined")
    actions = ("disconnect",)

    @action(description="Disconnect", permissions=["change"])
    def disconnect(self, request: HttpRequest, accounts: QuerySet[SocialAccount]) -> Any:
        question = "These accounts elsewhere no longer sign anybody in here. Sessions go on."
        if page := self.asks(request, accounts, action="disconnect", question=question, button="Disconnect"):
            return page
        gone = list(accounts)
        for account in gone:
            people.disconnect(account=account, actor=actor_of(request.user))  # type: ignore[arg-type]
        self.message_user(request, f"{len(gone)} accounts disconnected.")
        return None


@admin.register(Authenticator)
class AuthenticatorAdmin(OfUserAdmin):
    """Second factors: that there are some, never what is in them."""

    list_display = ("user", "type", "created_at", "last_used_at")
    list_filter = ("type",)
    fields = ("user", "type", "created_at", "last_used_at")
    actions = ("reset",)

    @action(description="Reset", permissions=["change"])
    def reset(self, request: HttpRequest, factors: QuerySet[Authenticator]) -> Any:
        question = "These second factors are forgotten. Be sure who asked for it. Their users are told by mail."
        page = self.asks(request, factors, action="reset", question=question, button="Reset second factors")
        if page := page or ask_again(request):
            return page
        changed = 0
        for factor in factors:
            try:
                changed += people.reset_second_factor(factor=factor, actor=actor_of(request.user))  # type: ignore[arg-type]
            except AppError as refusal:
                self.message_user(request, f"{factor.user}: {refusal.message}", messages.ERROR)
        self.message_user(request, f"{changed} second factors forgotten.")
        return None

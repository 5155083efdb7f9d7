"""Invites: sent, sent again, revoked."""

from __future__ import annotations

import datetime
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminTextareaWidget

from apps.console.admin.places import TenancyAdmin
from apps.core.importing import ImportMixin, Later
from apps.core.tables import Column, Kind
from apps.organizations.models import Invite, InviteState
from apps.organizations.roles import Role
from apps.projects import invites


class InviteForm(forms.ModelForm):
    days = forms.IntegerField(
        label="Good for days",
        min_value=1,
        max_value=invites.MAX_DAYS,
        initial=invites.LIFE.days,
        widget=UnfoldAdminIntegerFieldWidget,
    )

    class Meta:
        model = Invite
        fields = ("organization", "email", "role", "message")
        widgets = {"message": UnfoldAdminTextareaWidget(attrs={"rows": 3})}

    def validate_constraints(self) -> None:
        """The service says better than a constraint that somebody is invited already."""


@admin.register(Invite)
class InviteAdmin(ImportMixin, TenancyAdmin):
    """Offers of a place in an organization, and what became of them."""

    list_display = ("email", "organization", "role", "shown_state", "inviter", "sent_at", "expires_at")
    list_filter = ("state",)
    search_by = {
        "inv_": ("public_id__startswith",),
        "org_": ("organization__public_id",),
        "": ("email__startswith",),
    }
    search_help_text = "The beginning of an e-mail address or an inv_ id, or a whole org_ id."
    list_select_related = ("organization",)
    autocomplete_fields = ("organization",)
    ordering = ("-id",)
    _asked = ("organization", "email", "role", "message", "days")
    _facts = (
        "public_id",
        "organization",
        "email",
        "role",
        "message",
        "shown_state",
        "inviter",
        "projects",
        "created_at",
        "sent_at",
        "expires_at",
        "accepted_at",
    )
    columns = (
        Column("id", path="public_id"),
        Column("email"),
        Column("organization", path="organization.public_id"),
        Column("role"),
        Column("message"),
        Column("days", Kind.NUMBER, "life.days"),
        Column("state", path="status_detail"),
        Column("inviter"),
        Column("created_at"),
        Column("sent_at"),
        Column("expires_at"),
        Column("accepted_at"),
    )
    actions = ("resend", "revoke")
    actions_detail = ("resend_one", "revoke_one")

    @display(
        description="State",
        label={
            "pending": "info",
            "accepted": "success",
            "declined": "warning",
            "expired": "warning",
            "revoked": "danger",
        },
    )
    def shown_state(self, invite: Invite) -> str:
        return invite.status_detail

    @display(description="Projects")
    def projects(self, invite: Any) -> str:
        places = invite.projects.select_related("project")
        return ", ".join(f"{place.project.name} as {place.role}" for place in places) or "the default one only"

    def get_form(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        return super().get_form(request, obj, **(kwargs if obj else {**kwargs, "form": InviteForm}))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self._facts if obj else self._asked

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self._facts if obj else ()

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not isinstance(obj, Invite) and bool(super().has_change_permission(request))  # no fact of it changes

    def save_model(self, request: HttpRequest, obj: Invite, form: Any, change: bool) -> None:
        draft = self._draft(request, obj, form)
        invites.send_draft(draft=draft, actor=self.actor(request))

    def save_imported(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> Later | None:
        # No mail, and none counted, before all rows are good.
        return partial(invites.send_draft, draft=self._draft(request, obj, form), actor=self.actor(request))

    def _draft(self, request: HttpRequest, obj: Invite, form: Any) -> invites.Draft:
        draft = invites.draft_invite(
            organization=obj.organization,
            email=obj.email,
            role=Role(obj.role),
            message=obj.message,
            life=datetime.timedelta(days=form.cleaned_data["days"]),
            inviter=request.user,  # type: ignore[arg-type]
            rights=self.rights_in(request, obj.organization),
        )
        obj.__dict__.update(draft.invite.__dict__)
        return draft

    @action(description="Send again", permissions=["change"])
    def resend(self, request: HttpRequest, queryset: QuerySet[Invite]) -> None:
        done = "invites were mailed again. The links before are dead."
        self.to_each(request, queryset.select_related("organization"), partial(self._resend, request), done)

    @action(description="Revoke", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[Invite]) -> None:
        self.to_each(request, queryset.select_related("organization"), _revoke, "invites open nothing any more.")

    @action(description="Send again", permissions=["resend_one"], url_path="resend", icon="forward_to_inbox")
    def resend_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        question = "It is mailed once more with another link. The link before is dead."
        return self.do(request, object_id, "change", partial(self._resend, request), "Send again", question)

    @action(description="Revoke", permissions=["revoke_one"], url_path="revoke", icon="block")
    def revoke_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.do(request, object_id, "change", _revoke, "Revoke", "Its link opens nothing any more.")

    def has_resend_one_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        states = (InviteState.PENDING, InviteState.EXPIRED)
        return self.allows(request, "change") and self.is_now(request, object_id, state__in=states)

    def has_revoke_one_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.has_resend_one_permission(request, object_id)

    def _resend(self, request: HttpRequest, invite: Invite, **by: Any) -> None:
        rights = self.rights_in(request, invite.organization)
        invites.resend_invite(invite=invite, inviter=request.user, rights=rights, **by)  # type: ignore[arg-type]


def _revoke(invite: Invite, **by: Any) -> None:
    invites.revoke_invite(invite=invite, **by)

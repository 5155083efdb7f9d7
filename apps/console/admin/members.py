"""Who belongs where, and as what."""

from __future__ import annotations

from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.decorators import action
from unfold.widgets import UnfoldAdminSelectWidget

from apps.audit.services import Actor
from apps.console.admin.places import RemovableAdmin
from apps.organizations import members
from apps.organizations.models import Membership
from apps.organizations.roles import Role

REMOVAL = "They leave the organization: their places in its projects and groups, their roles and their keys there end."


class RoleForm(forms.Form):
    role = forms.TypedChoiceField(
        choices=[(role.value, role.value) for role in Role], coerce=Role, widget=UnfoldAdminSelectWidget
    )


class NewMemberForm(forms.ModelForm):
    class Meta:
        model = Membership
        fields = ("organization", "user", "role")

    def validate_unique(self) -> None:
        """The service says better than a constraint that somebody is a member already."""

    def validate_constraints(self) -> None:
        """As `validate_unique`."""


@admin.register(Membership)
class MembershipAdmin(RemovableAdmin):
    """People in organizations. The last owner of one stays, whatever is tried."""

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
    actions = ("change_roles", "remove")
    removal = REMOVAL
    _asked = ("organization", "user", "role")

    def get_form(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        return super().get_form(request, obj, **(kwargs if obj else {**kwargs, "form": NewMemberForm}))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return (*self._asked, "created_at") if obj else self._asked

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("user", "organization", "created_at") if obj else ()  # another place is another membership

    def history_id(self, obj: Membership) -> str:
        return str(obj.user_id)

    def events_of(self, request: HttpRequest, obj: Membership) -> Any:
        return super().events_of(request, obj).filter(organization=obj.organization.public_id)

    def save_model(self, request: HttpRequest, obj: Membership, form: Any, change: bool) -> None:
        giver, actor, role = self.giver_at(request, obj.organization), self.actor(request), Role(obj.role)
        if change:
            saved = members.change_role(membership=obj, role=role, giver=giver, actor=actor)
        else:
            place, user = obj.organization, obj.user
            saved = members.add_member(organization=place, user=user, role=role, giver=giver, actor=actor)
        obj.__dict__.update(saved.__dict__)

    @action(description="Change the role", permissions=["change"])
    def change_roles(self, request: HttpRequest, rows: QuerySet[Membership]) -> HttpResponse | None:
        form = RoleForm(request.POST if "role" in request.POST else None)
        if not form.is_valid():
            question = "Who has more rights than you, or is an organization's last owner, keeps the role."
            return self.asks(
                request, rows, action="change_roles", question=question, button="Change the role", form=form
            )
        change = partial(self._change_role, request, role=form.cleaned_data["role"])
        self.to_each(request, rows.select_related("organization", "user"), change, "members have another role now.")
        return None

    def _change_role(self, request: HttpRequest, membership: Membership, *, role: Role, **by: Any) -> None:
        giver = self.giver_at(request, membership.organization)
        members.change_role(membership=membership, role=role, giver=giver, **by)

    def remove_row(self, request: HttpRequest, row: Membership, actor: Actor) -> None:
        members.remove_member(membership=row, giver=self.giver_at(request, row.organization), actor=actor)

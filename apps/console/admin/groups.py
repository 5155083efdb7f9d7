"""Groups, and who is in them."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.decorators import display

from apps.audit.services import Actor
from apps.console.admin.places import RemovableAdmin
from apps.organizations import groups
from apps.organizations.models import Group, GroupMembership
from apps.projects import group_services


class UncheckedForm(forms.ModelForm):
    """The service says better than a constraint what is there already."""

    def validate_unique(self) -> None:
        """Asked by the service."""

    def validate_constraints(self) -> None:
        """Asked by the service."""


@admin.register(Group)
class GroupAdmin(RemovableAdmin):
    """People who get roles together."""

    form = UncheckedForm
    list_display = ("name", "public_id", "organization", "created_at")
    search_by = {
        "group_": ("public_id__startswith",),
        "org_": ("organization__public_id",),
        "": ("name__startswith",),
    }
    search_help_text = "The beginning of a name or a group_ id, or a whole org_ id."
    list_select_related = ("organization",)
    autocomplete_fields = ("organization",)
    ordering = ("-id",)
    removal = "The group is gone, and the roles it gave to its people."
    _facts = ("public_id", "created_at", "updated_at")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("name", "organization", *self._facts) if obj else ("name", "organization")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("organization", *self._facts) if obj else ()

    def save_model(self, request: HttpRequest, obj: Group, form: Any, change: bool) -> None:
        actor = self.actor(request)
        if change:
            saved = groups.rename_group(group=obj, name=obj.name, actor=actor)
        else:
            saved = groups.create_group(organization=obj.organization, name=obj.name, actor=actor)
        obj.__dict__.update(saved.__dict__)

    def remove_row(self, request: HttpRequest, row: Group, actor: Actor) -> None:
        group_services.delete_group(group=row, grants=self.grants_in(request, row.organization), actor=actor)


class NewGroupMemberForm(UncheckedForm):
    class Meta:
        model = GroupMembership
        fields = ("group", "membership")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        group, membership = cleaned.get("group"), cleaned.get("membership")
        if group and membership and group.organization_id != membership.organization_id:
            raise forms.ValidationError({"membership": "Of another organization than the group."})
        return cleaned


@admin.register(GroupMembership)
class GroupMembershipAdmin(RemovableAdmin):
    """Members of organizations in groups."""

    form = NewGroupMemberForm
    list_display = ("person", "group", "organization", "created_at")
    search_by = {
        "group_": ("group__public_id",),
        "org_": ("organization__public_id",),
        "user_": ("membership__user_id",),
        "": ("membership__user__email__startswith",),
    }
    search_help_text = "The beginning of an e-mail address, or a whole group_, org_ or user_ id."
    list_select_related = ("group", "organization", "membership__user", "membership__organization")
    autocomplete_fields = ("group", "membership")
    ordering = ("-id",)
    removal = "They lose the roles that the group gave them. In the organization they stay."

    @display(description="Person")
    def person(self, row: GroupMembership) -> str:
        return str(row.membership.user)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("group", "membership", "created_at") if obj else ()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("group", "membership", "created_at") if obj else ("group", "membership")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # another place in a group is another row

    def history_id(self, obj: GroupMembership) -> str:
        return str(obj.group.public_id)

    def save_model(self, request: HttpRequest, obj: GroupMembership, form: Any, change: bool) -> None:
        group, membership = obj.group, obj.membership
        grants = self.grants_in(request, group.organization)
        group_services.put_in_group(group=group, membership=membership, grants=grants, actor=self.actor(request))
        obj.__dict__.update(GroupMembership.objects.get(group=group, membership=membership).__dict__)

    def remove_row(self, request: HttpRequest, row: GroupMembership, actor: Actor) -> None:
        group, grants = row.group, self.grants_in(request, row.organization)
        group_services.take_out_of_group(group=group, membership=row.membership, grants=grants, actor=actor)

"""Roles that organizations put together themselves, and who was given which role where."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.decorators import display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminSelectWidget

from apps.audit.services import Actor
from apps.console.admin.groups import UncheckedForm
from apps.console.admin.places import RemovableAdmin
from apps.organizations.models import CustomRole, Organization, OrganizationRoleAssignment, ResourceType
from apps.organizations.role_catalog import PREDEFINED, RoleEntry, entry_of, given_entry
from apps.organizations.roles import Role, Scope
from apps.projects import role_assignments, role_services
from apps.projects.models import Project, ProjectRoleAssignment


class RoleForm(UncheckedForm):
    permissions = forms.MultipleChoiceField(
        choices=[(scope.value, scope.value) for scope in Scope], widget=UnfoldAdminCheckboxSelectMultipleWidget
    )

    class Meta:
        model = CustomRole
        fields = ("name", "organization", "resource_type", "description", "permissions")


@admin.register(CustomRole)
class CustomRoleAdmin(RemovableAdmin):
    """Rights under a name, for an organization or its projects."""

    form = RoleForm
    list_display = ("name", "public_id", "organization", "resource_type", "rights", "created_at")
    list_filter = ("resource_type",)
    search_by = {
        "role_": ("public_id__startswith",),
        "org_": ("organization__public_id",),
        "": ("name__startswith",),
    }
    search_help_text = "The beginning of a name or a role_ id, or a whole org_ id."
    list_select_related = ("organization",)
    autocomplete_fields = ("organization",)
    ordering = ("-id",)
    removal = "The role is gone, for all who have it."
    _facts = ("public_id", "created_at", "updated_at")

    @display(description="May")
    def rights(self, role: CustomRole) -> str:
        return ", ".join(role.permissions)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return (*RoleForm.Meta.fields, *self._facts) if obj else RoleForm.Meta.fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("organization", "resource_type", *self._facts) if obj else ()

    def save_model(self, request: HttpRequest, obj: CustomRole, form: Any, change: bool) -> None:
        grants, actor = self.grants_in(request, obj.organization), self.actor(request)
        wanted = frozenset(Scope(scope) for scope in form.cleaned_data["permissions"])
        if change:
            saved = role_services.update_role(
                role=obj, grants=grants, actor=actor, name=obj.name, description=obj.description, permissions=wanted
            )
        else:
            saved = role_services.create_role(
                organization=obj.organization,
                resource_type=ResourceType(obj.resource_type),
                name=obj.name,
                description=obj.description,
                permissions=wanted,
                grants=grants,
                actor=actor,
            )
        obj.__dict__.update(saved.__dict__)

    def remove_row(self, request: HttpRequest, row: CustomRole, actor: Actor) -> None:
        role_services.delete_role(role=row, grants=self.grants_in(request, row.organization), actor=actor)


class AssignmentForm(UncheckedForm):
    """One role, of the organization's own or a predefined one, to one member or one group."""

    kind: ClassVar[ResourceType]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if bool(cleaned.get("role")) == bool(cleaned.get("predefined")):
            raise forms.ValidationError("Choose a role of the organization's own, or a predefined one.")
        if bool(cleaned.get("membership")) == bool(cleaned.get("group")):
            raise forms.ValidationError("Choose a member or a group.")
        parts = [cleaned.get(name) for name in ("role", "membership", "group", "project")]
        if len({part.organization_id for part in parts if part is not None}) > 1:
            raise forms.ValidationError("These belong to different organizations.")
        if cleaned.get("role") and cleaned["role"].resource_type != self.kind:
            raise forms.ValidationError({"role": f"This role is none for {self.kind}s."})
        return cleaned

    @property
    def entry(self) -> RoleEntry:
        role, predefined = self.cleaned_data.get("role"), self.cleaned_data.get("predefined")
        return entry_of(role) if role else next(each for each in PREDEFINED[self.kind] if each.predefined == predefined)


def _predefined(kind: ResourceType) -> Any:
    names = [each.predefined for each in PREDEFINED[kind] if each.predefined != Role.OWNER or kind == "project"]
    choices = [("", "None"), *((name, name) for name in names)]
    return forms.ChoiceField(choices=choices, required=False, widget=UnfoldAdminSelectWidget)


class OrganizationAssignmentForm(AssignmentForm):
    kind = ResourceType.ORGANIZATION
    predefined = _predefined(ResourceType.ORGANIZATION)

    class Meta:
        model = OrganizationRoleAssignment
        fields = ("role", "predefined", "membership", "group")


class ProjectAssignmentForm(AssignmentForm):
    kind = ResourceType.PROJECT
    predefined = _predefined(ResourceType.PROJECT)

    class Meta:
        model = ProjectRoleAssignment
        fields = ("project", "role", "predefined", "membership", "group")


class AssignmentAdmin(RemovableAdmin):
    """Roles that were given beside the one every member has."""

    list_display = ("what", "to", "where", "created_at")
    search_by = {
        "role_": ("role__public_id",),
        "group_": ("group__public_id",),
        "org_": ("organization__public_id",),
        "user_": ("membership__user_id",),
        "": ("membership__user__email__startswith",),
    }
    search_help_text = "The beginning of an e-mail address, or a whole role_, group_, org_ or user_ id."
    list_select_related: ClassVar[tuple[str, ...]] = (
        "organization",
        "role",
        "group",
        "membership__user",
        "membership__organization",
    )
    autocomplete_fields: ClassVar[tuple[str, ...]] = ("role", "membership", "group")
    ordering = ("-id",)
    removal = "These roles are taken away."

    @display(description="Role")
    def what(self, row: Any) -> str:
        return str(row.role or row.predefined)

    @display(description="Given to")
    def to(self, row: Any) -> str:
        return str(row.membership.user if row.membership else row.group)

    @display(description="At")
    def where(self, row: Any) -> str:
        return str(self.place(row))

    def place(self, row: Any) -> Organization | Project:
        """Return where the role was given."""
        found: Organization | Project = getattr(row, "project", None) or row.organization
        return found

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # another role is another row

    def get_form(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        return super().get_form(request, obj, **(kwargs if obj else {**kwargs, "form": self.form}))

    def history_id(self, obj: Any) -> str:
        return given_entry(obj, self.form.kind).id

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        to = obj.membership or obj.group
        place = obj.project if isinstance(obj, ProjectRoleAssignment) else to.organization
        grants, actor = self.grants_in(request, to.organization), self.actor(request)
        role_assignments.give_role(place=place, to=to, entry=form.entry, grants=grants, actor=actor)
        where = {"project": place} if isinstance(place, Project) else {}
        given = {"role": obj.role, "predefined": obj.predefined, "membership": obj.membership, "group": obj.group}
        obj.__dict__.update(self.model._default_manager.get(**where, **given).__dict__)

    def remove_row(self, request: HttpRequest, row: Any, actor: Actor) -> None:
        role_assignments.take_role(
            place=self.place(row),
            of=row.membership or row.group,
            entry=given_entry(row, self.form.kind),
            grants=self.grants_in(request, row.organization),
            actor=actor,
        )


@admin.register(OrganizationRoleAssignment)
class OrganizationAssignmentAdmin(AssignmentAdmin):
    """Roles in whole organizations."""

    form = OrganizationAssignmentForm


@admin.register(ProjectRoleAssignment)
class ProjectAssignmentAdmin(AssignmentAdmin):
    """Roles in single projects."""

    form = ProjectAssignmentForm
    search_by = {**AssignmentAdmin.search_by, "proj_": ("project__public_id",)}
    list_select_related = (*AssignmentAdmin.list_select_related, "project__organization")
    autocomplete_fields = ("project", *AssignmentAdmin.autocomplete_fields)

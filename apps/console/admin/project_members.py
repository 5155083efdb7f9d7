"""Who has a place in which project."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.decorators import display

from apps.audit.services import Actor
from apps.console.admin.places import RemovableAdmin
from apps.organizations.roles import ALL, ProjectRole, Scope
from apps.projects import members
from apps.projects.models import Project, ProjectMembership


class NewPlaceForm(forms.ModelForm):
    class Meta:
        model = ProjectMembership
        fields = ("project", "membership", "role")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        project, membership = cleaned.get("project"), cleaned.get("membership")
        if project and membership and project.organization_id != membership.organization_id:
            raise forms.ValidationError({"membership": "Of another organization than the project."})
        return cleaned

    def validate_unique(self) -> None:
        """The service says better than a constraint that somebody has a place already."""

    def validate_constraints(self) -> None:
        """As `validate_unique`."""


@admin.register(ProjectMembership)
class ProjectMembershipAdmin(RemovableAdmin):
    """Members of organizations in projects. Everybody is in the default one without a row here."""

    list_display = ("person", "project", "role", "created_at")
    search_by = {
        "proj_": ("project__public_id",),
        "org_": ("organization__public_id",),
        "user_": ("membership__user_id",),
        "": ("membership__user__email__startswith",),
    }
    search_help_text = "The beginning of an e-mail address, or a whole proj_, org_ or user_ id."
    list_select_related = ("project__organization", "membership__user", "membership__organization")
    autocomplete_fields = ("project", "membership")
    ordering = ("-id",)
    removal = "They lose their place in the project. In the organization they stay."
    _asked = ("project", "membership", "role")

    @display(description="Person")
    def person(self, place: ProjectMembership) -> str:
        return str(place.membership.user)

    def get_form(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        return super().get_form(request, obj, **(kwargs if obj else {**kwargs, "form": NewPlaceForm}))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return (*self._asked, "created_at") if obj else self._asked

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("project", "membership", "created_at") if obj else ()

    def history_id(self, obj: ProjectMembership) -> str:
        return str(obj.membership.user_id)

    def events_of(self, request: HttpRequest, obj: ProjectMembership) -> Any:
        return super().events_of(request, obj).filter(project=obj.project.public_id)

    def giver_in(self, request: HttpRequest, project: Project) -> frozenset[Scope]:
        rights = self.rights_in(request, project.organization)
        return ALL if rights is None else rights(project)

    def save_model(self, request: HttpRequest, obj: ProjectMembership, form: Any, change: bool) -> None:
        giver, actor, role = self.giver_in(request, obj.project), self.actor(request), ProjectRole(obj.role)
        if change:
            saved = members.change_member(place=obj, role=role, giver=giver, actor=actor)
        else:
            who = obj.membership
            saved = members.add_member(project=obj.project, membership=who, role=role, giver=giver, actor=actor)
        obj.__dict__.update(saved.__dict__)

    def remove_row(self, request: HttpRequest, row: ProjectMembership, actor: Actor) -> None:
        members.remove_member(place=row, giver=self.giver_in(request, row.project), actor=actor)

"""Limits of model calls that are set for organizations, projects and keys."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.decorators import display

from apps.audit.services import Actor
from apps.console.admin.groups import UncheckedForm
from apps.console.admin.places import RemovableAdmin
from apps.core.importing import ImportMixin
from apps.core.tables import Column, Kind
from apps.quotas import services
from apps.quotas.models import Amounts, RateLimit


class LimitForm(UncheckedForm):
    """Whose limits they are: the key's, or else the project's, or else the organization's."""

    class Meta:
        model = RateLimit
        fields = ("organization", "project", "api_key", "model", *Amounts._fields)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        project, key = cleaned.get("project"), cleaned.get("api_key")
        if project and key:
            raise forms.ValidationError("Limits are a project's or a key's, not both.")
        places = [cleaned.get("organization"), project and project.organization, key and key.organization]
        if len({place.pk for place in places if place}) > 1:
            raise forms.ValidationError("These belong to different organizations.")
        if all(cleaned.get(name) is None for name in Amounts._fields):
            raise forms.ValidationError("Set at least one of the limits.")
        return cleaned


@admin.register(RateLimit)
class RateLimitAdmin(ImportMixin, RemovableAdmin):
    """What is set beside the table in the settings, which says what holds where nothing is set."""

    form = LimitForm
    list_display = ("whose", "shown_model", *Amounts._fields, "updated_at")
    search_by = {
        "rl_": ("public_id__startswith",),
        "org_": ("organization__public_id",),
        "proj_": ("project__public_id",),
        "key_": ("api_key__public_id",),
        "": ("model__startswith",),
    }
    search_help_text = "The beginning of a model's id, or a whole org_, proj_ or key_ id."
    list_select_related = ("organization", "project__organization", "api_key")
    autocomplete_fields: ClassVar[tuple[str, ...]] = ("organization", "project", "api_key")
    ordering = ("-id",)
    removal = "What holds without them holds again."
    columns = (
        Column("id", path="public_id"),
        Column("organization", path="organization.public_id"),
        Column("project", path="project.public_id"),
        Column("api_key", path="api_key.public_id"),
        Column("model"),
        *(Column(name, Kind.NUMBER) for name in Amounts._fields),
        Column("created_at"),
    )
    _where: ClassVar[tuple[str, ...]] = ("organization", "project", "api_key", "model")

    @display(description="Whose")
    def whose(self, limits: RateLimit) -> str:
        return str(limits.api_key or limits.project or limits.organization)

    @display(description="Model")
    def shown_model(self, limits: RateLimit) -> str:
        return limits.model or "all together"

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return (*self._where, "public_id", "created_at", "updated_at") if obj else ()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        asked = (*self._where, *Amounts._fields)
        return (*asked, "public_id", "created_at", "updated_at") if obj else asked

    def save_model(self, request: HttpRequest, obj: RateLimit, form: Any, change: bool) -> None:
        amounts = {name: getattr(obj, name) for name in Amounts._fields}
        owner = obj.api_key or obj.project or obj.organization
        saved = services.set_limits(owner=owner, model=obj.model, amounts=amounts, actor=self.actor(request))
        obj.__dict__.update(saved.__dict__)

    def same_row(self, request: HttpRequest, cells: dict[str, Any]) -> RateLimit | None:
        """Limits are found by what they are for: there are no two."""
        place = {name: cells.get(name) for name in ("organization", "project", "api_key")}
        named = {f"{name}__public_id": public_id for name, public_id in place.items() if public_id}
        absent = {name: None for name in ("project", "api_key") if not place[name]}
        found: RateLimit | None = None
        if named:  # otherwise it is nobody's
            found = self.get_queryset(request).filter(**named, **absent, model=cells.get("model", "")).first()
        return found

    def remove_row(self, request: HttpRequest, row: RateLimit, actor: Actor) -> None:
        services.delete_limits(limits=row, actor=actor)

"""Limits on the owners' site: for projects only, and no more than the organization was given."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest

from apps.console.admin.limits import LimitForm, RateLimitAdmin
from apps.console.tenant.scoped import ScopedMixin
from apps.quotas import services
from apps.quotas.models import Amounts, RateLimit


class ProjectLimitForm(LimitForm):
    """What an organization itself may use is for operators to say."""

    class Meta:
        model = RateLimit
        fields = ("project", "model", *Amounts._fields)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if self.instance.pk is None and not cleaned.get("project"):
            raise forms.ValidationError({"project": "Choose the project."})
        return cleaned


class TenantRateLimitAdmin(ScopedMixin, RateLimitAdmin):
    """Limits of projects; the organization's own and its keys' can be read."""

    form = ProjectLimitForm
    autocomplete_fields = ("project",)
    search_by = {mark: lookups for mark, lookups in RateLimitAdmin.search_by.items() if mark != "org_"}
    _where = ("project", "model")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_wide = isinstance(obj, RateLimit) and obj.project is None
        return not is_wide and bool(super().has_change_permission(request))

    def save_model(self, request: HttpRequest, obj: RateLimit, form: Any, change: bool) -> None:
        amounts = {name: getattr(obj, name) for name in Amounts._fields}
        assert obj.project is not None
        project, actor = obj.project, self.actor(request)
        saved = services.set_project_limits(project=project, model=obj.model, amounts=amounts, actor=actor)
        obj.__dict__.update(saved.__dict__)

    def remove_row(self, request: HttpRequest, row: RateLimit, actor: Any) -> None:
        self.require(row.project is not None)
        super().remove_row(request, row, actor)

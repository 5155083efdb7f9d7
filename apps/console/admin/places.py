"""Pages of organizations and projects: their own fields first, what they have in tabs."""

from __future__ import annotations

import datetime
from functools import partial
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.contrib.admin.utils import quote, unquote
from django.db.models import Count, QuerySet, Sum
from django.db.models.functions import TruncDay
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from unfold.decorators import action

from apps.accounts.sessions import actor_of
from apps.audit.history import AuditedAdmin
from apps.audit.services import Actor
from apps.console.admin.panels import Panel, Tab, page_url, table_of, tabs_of
from apps.core.errors import AppError
from apps.organizations.members import EVERYTHING, Giver
from apps.organizations.models import Organization
from apps.organizations.roles import Role
from apps.projects.giving import Grants, everything
from apps.projects.invites import Rights
from apps.usage.models import UsageRecord

USAGE_DAYS = 30


class TenancyAdmin(AuditedAdmin):
    """Rows of tenants: written by services only, whose refusals are shown on the form that asked."""

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        given: dict[str, Any] = super().get_changeform_initial_data(request)
        words = {field.name for field in self.opts.concrete_fields if not field.is_relation}
        # The first choice of a role would be owner.
        return {"role": Role.MEMBER.value, **given} if "role" in words else given

    def actor(self, request: HttpRequest) -> Actor:
        return actor_of(request.user)  # type: ignore[arg-type]

    def choices(self, request: HttpRequest, model: Any) -> QuerySet[Any]:
        """Return the rows of a model that the user can choose from: those its list on this site shows."""
        rows: QuerySet[Any] = self.admin_site.get_model_admin(model).get_queryset(request)
        return rows

    def rights_in(self, request: HttpRequest, organization: Organization) -> Rights | None:
        """Return what the user can hand on in an organization; None is everything, which operators can."""
        return None

    def grants_in(self, request: HttpRequest, organization: Organization) -> Grants:
        """As `rights_in`, where everything is spelled out."""
        return self.rights_in(request, organization) or everything

    def giver_at(self, request: HttpRequest, organization: Organization) -> Giver:
        """Return what the user can hand on at an organization itself."""
        return EVERYTHING

    def is_now(self, request: HttpRequest, object_id: Any, **state: Any) -> bool:
        """Say whether the row that an address names is like that. Unfold asks for buttons with an id."""
        if not str(object_id).isdecimal():
            return True  # asked about the action, not about a row
        return bool(self.get_queryset(request).filter(pk=object_id, **state).exists())

    def to_each(self, request: HttpRequest, rows: QuerySet[Any], service: Any, done: str, **with_: Any) -> int:
        """Call a service for each row, say what was refused and how often it was done."""
        changed = 0
        for row in rows:
            try:
                service(row, actor=self.actor(request), **with_)
                changed += 1
            except AppError as refusal:
                self.message_user(request, f"{row}: {refusal.message}", messages.ERROR)
        if changed:
            self.message_user(request, f"{changed} {done}")
        return changed

    def one(self, request: HttpRequest, object_id: str, *, may: str) -> Any:
        """Return the row that an address names. Raises Http404, or PermissionDenied."""
        self.require(self.allows(request, may))
        found = self.get_object(request, unquote(object_id))
        if found is None:
            raise Http404
        return found

    def back(self, row: Any, *, to_list: bool = False) -> HttpResponse:
        url = (
            page_url(self, self.model, "changelist") if to_list else page_url(self, self.model, "change", quote(row.pk))
        )
        return redirect(url)

    def do(
        self, request: HttpRequest, object_id: str, may: str, service: Any, button: str, question: str
    ) -> HttpResponse:
        """Ask, and do something to the one row that an address names."""
        row = self.one(request, object_id, may=may)
        if request.method != "POST":
            return self.form_page(request, forms.Form(), title=f"{button} {row}", button=button, question=question)
        try:
            service(row, actor=self.actor(request))
        except AppError as refusal:
            self.message_user(request, refusal.message, messages.ERROR)
        else:
            self.message_user(request, f"{button}: {row}. Done.", messages.SUCCESS)
        is_gone = not self.get_queryset(request).filter(pk=row.pk).exists()
        return self.back(row, to_list=is_gone)

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except AppError as refusal:
            self.message_user(request, refusal.message, messages.ERROR)
            return redirect(request.get_full_path())

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # Django's way of deleting asks no service; the actions here do


class RemovableAdmin(TenancyAdmin):
    """Rows that a service takes away: several of a list, or the one on its page. Asked first."""

    removal: ClassVar[str] = "They are gone within two seconds."
    actions: ClassVar[tuple[str, ...]] = ("remove",)
    actions_detail: ClassVar[tuple[str, ...]] = ("remove_one",)

    def remove_row(self, request: HttpRequest, row: Any, actor: Actor) -> None:
        """Call the service."""
        raise Http404

    @action(description="Remove", permissions=["remove"])
    def remove(self, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse | None:
        if page := self.asks(request, rows, action="remove", question=self.removal, button="Remove"):
            return page
        self.to_each(request, rows, partial(self.remove_row, request), "removed.")
        return None

    @action(description="Remove", permissions=["remove"], url_path="remove", icon="delete")
    def remove_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.do(request, object_id, "delete", partial(self.remove_row, request), "Remove", self.removal)

    def has_remove_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.allows(request, "delete")


class PlaceAdmin(TenancyAdmin):
    """An organization or a project, with tabs for what is in it."""

    panels: ClassVar[tuple[Panel, ...]] = ()
    change_form_outer_before_template = "console/organization/tabs.html"

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}"
        view = self.admin_site.admin_view
        return [
            path("<path:object_id>/usage/", view(self.usage_view), name=f"{name}_usage"),
            path("<path:object_id>/in/<slug:name>/", view(self.panel_view), name=f"{name}_panel"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        place = self.get_object(request, unquote(object_id))
        tabs = {"place_tabs": self._tabs(request, place, "")} if place else {}
        answer: HttpResponse = super().change_view(request, object_id, form_url, {**(extra_context or {}), **tabs})
        return answer

    def panel_view(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        place = self.one(request, object_id, may="view")
        panel = next((panel for panel in self.panels if panel.name == name), None)
        if panel is None:
            raise Http404
        self.require(self.allows(request, "view", panel.model))
        table = table_of(request, self, panel, place)
        return self._page(request, place, name, "console/organization/panel.html", table, panel.title)

    def usage_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        place = self.one(request, object_id, may="view")
        self.require(self.allows(request, "view", UsageRecord))
        rows = self.usage_of(place)
        return self._page(request, place, "usage", "console/organization/usage.html", usage_shown(rows), "Usage")

    def usage_of(self, place: Any) -> QuerySet[UsageRecord]:
        """Return the ledger's rows of a place."""
        return UsageRecord.objects.in_organization(place.pk)

    def _tabs(self, request: HttpRequest, place: Any, now: str) -> list[Tab]:
        tabs = tabs_of(request, self, self.panels, place, now)
        if self.allows(request, "view", UsageRecord):
            usage = Tab("Usage", page_url(self, self.model, "usage", quote(place.pk)), now == "usage")
            tabs.insert(-1 if tabs[-1].title == "Audit" else len(tabs), usage)
        return tabs

    def _page(
        self, request: HttpRequest, place: Any, now: str, template: str, content: dict[str, Any], title: str
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            **content,
            "opts": self.opts,
            "original": place,
            "place": place,
            "place_tabs": self._tabs(request, place, now),
            "title": f"{place} | {title}",
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, template, context)


def usage_shown(rows: QuerySet[UsageRecord]) -> dict[str, Any]:
    """Return the last thirty days: all in all, by model and by day. One query, bounded by an index."""
    first = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0) - datetime.timedelta(days=USAGE_DAYS - 1)
    found: list[Any] = list(
        rows.filter(accepted_at__gte=first)
        .order_by()
        .annotate(day=TruncDay("accepted_at"))
        .values("day", "model")
        .annotate(requests=Count("pk"), tokens_in=Sum("prompt_tokens"), tokens_out=Sum("completion_tokens"))
    )
    counted = ("requests", "tokens_in", "tokens_out")
    models: dict[str, dict[str, int]] = {}
    days = {(first + datetime.timedelta(days=number)).date(): 0 for number in range(USAGE_DAYS)}
    for row in found:
        model = models.setdefault(row["model"], dict.fromkeys(counted, 0))
        for name in counted:
            model[name] += row[name]
        days[row["day"].date()] += row["requests"]
    most = max(days.values(), default=0)
    return {
        "figures": [
            ("Requests", sum(model["requests"] for model in models.values())),
            ("Tokens in", sum(model["tokens_in"] for model in models.values())),
            ("Tokens out", sum(model["tokens_out"] for model in models.values())),
            ("Models", len(models)),
        ],
        "models": sorted(models.items(), key=lambda item: -item[1]["requests"])[:20],
        "days": [(day, count, round(100 * count / most) if most else 0) for day, count in days.items()],
        "usage_days": USAGE_DAYS,
    }

"""What the audit log knows of a row, as its history in the admin; and the admin's own changes in the log."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.core.paginator import InvalidPage
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from apps.audit.models import AuditEvent
from apps.audit.services import Action, Actor, record
from apps.core.admin import InfinitePaginator, OperatorAdmin

_PER_PAGE = 50
# No row's page says what these columns hold, so no event does.
_SECRET = ("sealed_", "digest", "password", "token")
# Columns an event has itself.
_OWN = ("organization", "project")


class Change(NamedTuple):
    """A line of an event: what a field was and what it became, or a fact (`before` is None)."""

    field: str
    before: Any
    after: Any
    is_change: bool


def changes_of(event: AuditEvent) -> list[Change]:
    """Return what an event says, line by line."""
    lines = []
    for field, value in event.details.items():
        is_change = event.action.endswith("updated") and isinstance(value, list) and len(value) == 2
        before, after = value if is_change else (None, value)
        lines.append(Change(field, _shown(before), _shown(after), is_change))
    return lines


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "nothing"
    return "nothing" if value in (None, "", {}) else str(value)


def plain(value: Any) -> Any:
    """Return a field's value as the log keeps it: JSON, and a row by its public id."""
    if isinstance(value, Model):
        return getattr(value, "public_id", str(value.pk))
    return value if value is None or isinstance(value, bool | int | float | str | list | dict) else str(value)


class AuditedAdmin(OperatorAdmin):
    """
    A list whose rows' histories are the audit log's.

    With `audited_as` (`model`) what is saved and deleted on its forms is recorded as `model.created`
    and so on; without, that is the work of the services it calls.
    """

    audited_as: ClassVar[str] = ""

    def history_id(self, obj: Any) -> str:
        """Return what the log calls this row."""
        return str(getattr(obj, "public_id", obj.pk))

    def events_of(self, request: HttpRequest, obj: Any) -> QuerySet[AuditEvent]:
        return AuditEvent.objects.filter(target_id=self.history_id(obj)).order_by("-created_at", "-id")

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        self.require(self.has_view_permission(request))  # who may not look is not told whether there is one
        obj = self.get_object(request, unquote(object_id))
        if obj is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[no-any-return]
        if not self.has_view_permission(request, obj):
            raise PermissionDenied
        pages = InfinitePaginator(self.events_of(request, obj), _PER_PAGE)
        try:
            page = pages.page(request.GET.get("p", 1))
        except InvalidPage:
            page = pages.page(1)
        name = f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_change"
        events = list(page.object_list)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"History of {obj}",
            "object": obj,
            "object_url": reverse(name, args=[quote(obj.pk)]),
            "events": [(event, changes_of(event)) for event in events],
            "page": page,
            "is_last": len(events) < _PER_PAGE,
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/history.html", context)

    # Django's own log of the admin would say the same twice, and less of it.

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> None:
        return None

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> None:
        return None

    def log_deletions(self, request: HttpRequest, queryset: Any) -> None:
        return None

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        before = self.model._default_manager.filter(pk=obj.pk).first() if change and self.audited_as else None
        super().save_model(request, obj, form, change)
        if self.audited_as:
            self._note_saved(request, obj, before)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        if self.audited_as:
            self.note(request, obj, "deleted", name=str(obj))
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for obj in queryset:
            self.delete_model(request, obj)

    def switch(self, request: HttpRequest, rows: QuerySet[Any], **fields: Any) -> int:
        """Set fields of all rows that have another value, with an event for each. Returns how many."""
        changed = 0
        for row in rows.order_by("pk"):
            before = {name: getattr(row, name) for name in fields}
            if before != fields and self.model._default_manager.filter(pk=row.pk, **before).update(**fields):
                details = {name: [plain(before[name]), plain(value)] for name, value in fields.items()}
                self.note(request, row, "updated", **details)
                changed += 1
        return changed

    def _note_saved(self, request: HttpRequest, obj: Any, before: Any) -> None:
        fields = [field for field in self.opts.concrete_fields if field.editable and not field.primary_key]
        after = {field.name: plain(getattr(obj, field.name)) for field in fields if not self._is_left_out(field.name)}
        if before is None:
            self.note(request, obj, "created", **after)
            return
        was = {name: plain(getattr(before, name)) for name in after}
        changed: dict[str, Any] = {name: [was[name], value] for name, value in after.items() if was[name] != value}
        # That a secret is another one now is an event, what it is is not.
        changed |= {
            field.name: "replaced"
            for field in self.opts.concrete_fields
            if field.name.startswith("sealed_") and getattr(before, field.name) != getattr(obj, field.name)
        }
        if changed:
            self.note(request, obj, "updated", **changed)

    @staticmethod
    def _is_left_out(name: str) -> bool:
        return name in _OWN or any(word in name for word in _SECRET)

    def note(self, request: HttpRequest, obj: Any, what: str, **details: Any) -> None:
        """Record that something happened to a row here."""
        organization = getattr(obj, "organization", None)
        record(
            Action(f"{self.audited_as}.{what}"),
            actor=Actor("user", str(request.user.pk), str(request.user)),
            organization=organization.public_id if organization else "",
            target_kind=self.audited_as,
            target_id=self.history_id(obj),
            **details,
        )

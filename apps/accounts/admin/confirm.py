"""The page that asks before something happens that cannot be undone."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from apps.core.admin import OperatorAdmin

_CONFIRMED = "confirmed"


class ConfirmingAdmin(OperatorAdmin):
    """A list with actions that ask first. Whoever answers posts the same action again, with the answer."""

    def asks(
        self, request: HttpRequest, rows: QuerySet[Any], *, action: str, question: str, button: str
    ) -> HttpResponse | None:
        """Return the page that asks, or None if the answer was given."""
        if _CONFIRMED in request.POST:
            return None
        name = f"{self.opts.app_label}_{self.opts.model_name}"
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": button,
            "question": question,
            "button": button,
            "rows": rows,
            "action": action,
            "checkbox": ACTION_CHECKBOX_NAME,
            "list_url": reverse(f"{self.admin_site.name}:{name}_changelist"),
        }
        return TemplateResponse(request, "admin/accounts/confirm.html", context)

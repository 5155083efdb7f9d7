"""The page on which people see what they used."""

from __future__ import annotations

import datetime
import time
from collections import Counter
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from apps.accounts.signed_in import person_of
from apps.usage.queries import WIDTHS, Span, usage_of_person

DAYS = 30
_SUMMED = ("num_model_requests", "input_tokens", "output_tokens")
_DAY = WIDTHS["1d"]


@require_safe
@never_cache
@login_required
def own_usage(request: HttpRequest) -> HttpResponse:
    """Show what one used in the last thirty days, today among them, by model and by day (UTC)."""
    end = (int(time.time()) // _DAY + 1) * _DAY
    rows = usage_of_person(person_of(request).pk, Span(end - DAYS * _DAY, end, _DAY))
    for row in rows:
        row["day"] = datetime.datetime.fromtimestamp(row["bucket"], datetime.UTC).date()
    models = _sums_by_model(rows)
    total = {name: sum(row[name] for row in models) for name in _SUMMED}
    return render(request, "usage/own_usage.html", {"rows": rows, "models": models, "total": total, "days": DAYS})


def _sums_by_model(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the sums of each model, the one with the most requests first."""
    found: dict[str, Counter[str]] = {}
    for row in rows:
        found.setdefault(row["model"], Counter()).update({name: row[name] for name in _SUMMED})
    ordered = sorted(found.items(), key=lambda item: (-item[1]["num_model_requests"], item[0]))
    return [{"model": model, **dict(sums)} for model, sums in ordered]

"""The admin's first page: how much there is, and what happened today."""

from __future__ import annotations

import datetime
import json
from typing import Any

from django.db.models import Count, Model, Q, QuerySet, Sum
from django.db.models.functions import TruncHour
from django.http import HttpRequest
from django.utils import timezone

from apps.accounts.models import User
from apps.api_keys.models import ApiKey
from apps.catalog.models import Model as CatalogModel
from apps.catalog.models import Provider
from apps.organizations.models import Organization
from apps.usage.models import State, UsageRecord

HOURS = 24
LATEST = 10
# Counting a million rows for each look at a page would be a waste.
MOST_COUNTED = 100_000
# Whole numbers on the left, and an empty day does not look like a broken chart.
CHART_OPTIONS = json.dumps(
    {
        "maintainAspectRatio": False,
        "barPercentage": 1,
        "base": 0,
        "grouped": False,
        "maxBarThickness": 24,
        "responsive": True,
        "plugins": {"legend": {"display": False}, "tooltip": {"enabled": True}},
        "scales": {
            "x": {"grid": {"display": False}, "border": {"display": False}, "ticks": {"color": "#9ca3af"}},
            "y": {
                "beginAtZero": True,
                "suggestedMax": 5,
                "border": {"display": False},
                "grid": {"color": "rgba(148, 163, 184, .2)"},
                "ticks": {"precision": 0, "color": "#9ca3af"},
            },
        },
    }
)


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's dashboard callback: add the figures to the page's context."""
    now = timezone.now()
    first = now.replace(minute=0, second=0, microsecond=0) - datetime.timedelta(hours=HOURS - 1)
    sees_usage = _may_see(request, UsageRecord)
    hours = _hours(first) if sees_usage else []
    requests = [
        {"title": title, "value": sum(row[name] for row in hours)}
        for title, name in (("Requests, 24 h", "requests"), ("Tokens, 24 h", "tokens"), ("Failed, 24 h", "failed"))
        if sees_usage
    ]
    context.update(
        figures=[*requests, *_counted(request)],
        sees_usage=sees_usage,
        chart_options=CHART_OPTIONS,
        chart=json.dumps(
            {
                "labels": [row["hour"].strftime("%H:00") for row in hours],
                "datasets": [
                    {"label": "Requests", "data": [row["requests"] for row in hours], "backgroundColor": "#9333ea"}
                ],
            }
        ),
        latest=UsageRecord.objects.order_by("-accepted_at", "-id")[:LATEST] if sees_usage else [],
    )
    return context


def _may_see(request: HttpRequest, model: type[Model]) -> bool:
    return bool(request.user.has_perm(f"{model._meta.app_label}.view_{model._meta.model_name}"))


def _counted(request: HttpRequest) -> list[dict[str, Any]]:
    """How many there are of what the user may see, counted up to a limit."""
    counted: tuple[tuple[str, QuerySet[Any]], ...] = (
        ("People", User.objects.get_queryset().filter(is_guest=False)),
        ("Organizations", Organization.objects.present()),
        ("Active keys", ApiKey.objects.unended()),
        ("Active providers", Provider.objects.filter(is_active=True)),
        ("Active models", CatalogModel.objects.filter(is_active=True)),
    )
    return [
        {"title": title, "value": rows.order_by()[: MOST_COUNTED + 1].count()}
        for title, rows in counted
        if _may_see(request, rows.model)
    ]


def _hours(first: datetime.datetime) -> list[dict[str, Any]]:
    """Requests, tokens and failures of each hour since `first`, empty hours too. One query, bounded by an index."""
    rows = (
        UsageRecord.objects.filter(accepted_at__gte=first)
        .order_by()
        .annotate(hour=TruncHour("accepted_at"))
        .values("hour")
        .annotate(
            requests=Count("id"),
            tokens=Sum("prompt_tokens") + Sum("completion_tokens"),
            failed=Count("id", filter=Q(state__in=[State.UPSTREAM_ERROR, State.INTERRUPTED])),
        )
    )
    found: dict[datetime.datetime, dict[str, Any]] = {row["hour"]: dict(row) for row in rows}
    empty = {"requests": 0, "tokens": 0, "failed": 0}
    each = (first + datetime.timedelta(hours=number) for number in range(HOURS))
    return [found.get(hour, {"hour": hour, **empty}) for hour in each]

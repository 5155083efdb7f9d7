"""The admin's first page: how much there is, and what happened today."""

from __future__ import annotations

import datetime
import json
from typing import Any

from django.db.models import Count, Q, Sum
from django.db.models.functions import TruncHour
from django.http import HttpRequest
from django.utils import timezone

from apps.accounts.models import User
from apps.api_keys.models import ApiKey
from apps.catalog.models import Model, Provider
from apps.organizations.models import Organization
from apps.usage.models import State, UsageRecord

HOURS = 24
LATEST = 10
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
    hours = _hours(first)
    context.update(
        figures=[
            {"title": "Requests, 24 h", "value": sum(row["requests"] for row in hours)},
            {"title": "Tokens, 24 h", "value": sum(row["tokens"] for row in hours)},
            {"title": "Failed, 24 h", "value": sum(row["failed"] for row in hours)},
            {"title": "People", "value": User.objects.get_queryset().filter(is_guest=False).count()},
            {"title": "Organizations", "value": Organization.objects.count()},
            {"title": "Active keys", "value": ApiKey.objects.usable().count()},
            {"title": "Active providers", "value": Provider.objects.filter(is_active=True).count()},
            {"title": "Active models", "value": Model.objects.filter(is_active=True).count()},
        ],
        chart_options=CHART_OPTIONS,
        chart=json.dumps(
            {
                "labels": [row["hour"].strftime("%H:00") for row in hours],
                "datasets": [
                    {"label": "Requests", "data": [row["requests"] for row in hours], "backgroundColor": "#9333ea"}
                ],
            }
        ),
        latest=UsageRecord.objects.order_by("-accepted_at", "-id")[:LATEST],
    )
    return context


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

"""Figures for Prometheus, read from the ledger when asked: the truth, not a process's share of it."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from django.db.models import Count, Sum
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from apps.accounts.models import User
from apps.api_keys.tokens import KeyKind
from apps.core.errors import Forbidden
from apps.organizations.principal import CALLING, Principal
from apps.usage.models import State, UsageRecord

WINDOW_SECONDS = 3600


class UsageCollector(Collector):
    """
    The last hour of the whole platform. Raises Forbidden for anybody but an operator.

    A key given less than every right it could have was meant for less than this, and a machine's key
    is not the operator's.
    """

    def __init__(self, principal: Principal) -> None:
        is_whole = principal.key_kind in (None, KeyKind.USER) and principal.scopes >= CALLING
        if not is_whole or not User.objects.filter(pk=principal.user_id, is_staff=True, is_active=True).exists():
            raise Forbidden("Only operators read metrics, with a personal key of all rights.", code="operator_required")

    def collect(self) -> Iterator[GaugeMetricFamily]:
        requests = GaugeMetricFamily(
            "jan_requests_last_hour", "Accepted requests of the last hour.", labels=["model", "state"]
        )
        tokens = GaugeMetricFamily("jan_tokens_last_hour", "Tokens of the last hour.", labels=["model", "kind"])
        since = timezone.now() - datetime.timedelta(seconds=WINDOW_SECONDS)
        recent = UsageRecord.objects.filter(accepted_at__gte=since).order_by()
        totals: dict[str, list[int]] = {}
        for model, state, count, prompt, completion in recent.values_list("model", "state").annotate(
            Count("id"), Sum("prompt_tokens"), Sum("completion_tokens")
        ):
            requests.add_metric([model, state], count)
            total = totals.setdefault(model, [0, 0])
            total[0] += prompt
            total[1] += completion
        for model, (prompt, completion) in totals.items():
            tokens.add_metric([model, "prompt"], prompt)
            tokens.add_metric([model, "completion"], completion)
        running = GaugeMetricFamily("jan_requests_open", "Requests without an end yet.")
        running.add_metric([], UsageRecord.objects.filter(state=State.OPEN).count())
        yield from (requests, tokens, running)

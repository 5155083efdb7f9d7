"""What every project has while nothing is set for it: rows of the table of limits."""

from __future__ import annotations

from apps.quotas.models import Amounts
from apps.ratelimit.policy import amount_of


def defaults() -> Amounts:
    """Return the table's amounts as they are written there, unscaled."""
    return Amounts(
        max_requests_per_1_minute=amount_of("project_requests", "minute"),
        max_requests_per_1_day=amount_of("project_requests", "day"),
        max_tokens_per_1_minute=amount_of("project_tokens", "minute"),
    )

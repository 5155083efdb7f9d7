"""Limits whose owner only the domain knows, such as a session: counted where all processes see it."""

from __future__ import annotations

import math
import time

from django.core.cache import cache

from apps.core.errors import RateLimited
from apps.ratelimit.limiter import Decision, refusal_of
from apps.ratelimit.policy import Window, rules


def admit(name: str, owner: str) -> None:
    """Count one use of a limit of the table for its owner. Raises RateLimited."""
    if refusal := refused(name, owner):
        raise refusal


def refused(name: str, owner: str) -> RateLimited | None:
    """
    Count one use of a limit, and return the refusal if that is one too many.

    Windows are those of the clock, so that adding one to a counter is all there is to do.
    """
    now = time.time()
    for rule in rules(name):
        number = math.floor(now / rule.seconds)
        window = Window(rule.name, rule.per, f"limit:{name}:{owner}:{number}", rule.amount, rule.seconds, rule.unit)
        if _count(window.key, rule.seconds) > rule.amount:
            return refusal_of(Decision(window, 0, (number + 1) * rule.seconds - now, None, window))
    return None


def _count(key: str, seconds: int) -> int:
    cache.add(key, 0, seconds)
    try:
        return int(cache.incr(key))
    except ValueError:  # forgotten between the two: Redis went away, and this process's memory begins anew
        cache.set(key, 1, seconds)
        return 1

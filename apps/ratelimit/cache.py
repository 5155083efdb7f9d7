"""The cache all processes share, which is where allauth counts failed sign-ins."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache
from redis.exceptions import RedisError

log = logging.getLogger("jan.ratelimit")

AWAY_SECONDS = 5.0


def _either(name: str) -> Callable[..., Any]:
    in_redis, in_memory = getattr(RedisCache, name), getattr(LocMemCache, name)

    def ask(self: SharedCache, *args: Any, **kwargs: Any) -> Any:
        if time.monotonic() >= SharedCache.away_until:
            try:
                return in_redis(self, *args, **kwargs)
            except (RedisError, OSError) as problem:
                SharedCache.away_until = time.monotonic() + AWAY_SECONDS
                log.warning("Redis does not answer the cache; this process remembers by itself: %r", problem)
        return in_memory(self.own, *args, **kwargs)

    return ask


class SharedCache(RedisCache):
    """Redis, and this process's memory while Redis is away: people sign in all the same, and are limited."""

    away_until = 0.0

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self.own = LocMemCache("without-redis", {"max_entries": 100_000})

    add = _either("add")
    get = _either("get")
    set = _either("set")
    delete = _either("delete")
    incr = _either("incr")
    clear = _either("clear")

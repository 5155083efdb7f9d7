"""
Counting requests: every limit of a request checked and counted in one atomic operation.

A refused request counts nowhere. Windows begin with their first request. Windows of tokens admit
while the tokens counted are below the limit; what a call used is added when it has ended, so calls
that run together can use more, by what they use. In memory it is one
step of the event loop; in Redis one script. When Redis is gone or slow, this process counts by
itself at half of each limit until it is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Coroutine, Sequence
from typing import Any, NamedTuple

from redis.exceptions import RedisError

from apps.core.errors import RateLimited
from apps.ratelimit.backends import Backend, MemoryBackend, RedisBackend, StreamSlot, stream_windows
from apps.ratelimit.policy import Window

log = logging.getLogger("jan.ratelimit")

BREAKER_FAILURES = 5
BREAKER_SECONDS = 5.0
# What a process allows by itself while Redis is gone.
DEGRADED_SHARE = 0.5


# A window, what remains in it, and the seconds until its reset.
_Left = tuple[Window, int, float]


class Decision(NamedTuple):
    """
    What was found. `tightest` is the window with the smallest share left, `remaining` and
    `resets_in` (seconds) belong to it; `minute` is the tightest window of a minute with its
    remaining. These are windows of requests; `tokens` is the tightest of tokens, with its remaining
    and its reset. `exceeded` is the window that refused, if one did, and then the tightest.
    """

    tightest: Window | None
    remaining: int
    resets_in: float
    minute: tuple[Window, int] | None
    exceeded: Window | None = None
    is_degraded: bool = False
    tokens: _Left | None = None

    @property
    def allowed(self) -> bool:
        return self.exceeded is None


class Limiter:
    """`admit` before serving, `release` a stream's slot after it, `charge` what it used."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._fallback = MemoryBackend(share=DEGRADED_SHARE)
        self._closed_until = 0.0
        self._following: set[asyncio.Task[None]] = set()

    async def admit(self, windows: Sequence[Window], slot: StreamSlot | None = None) -> Decision:
        """Check and count a request, and take its stream slot. Never raises for a store that is away."""
        if time.monotonic() >= self._closed_until:
            try:
                found, refused_by = await self._backend.admit(windows, slot)
                return _decide(windows, found, refused_by, slot, is_degraded=False)
            except (RedisError, OSError) as problem:  # TimeoutError is an OSError
                self._failed(problem)
            except asyncio.CancelledError:
                self._release_later(slot)
                raise
        found, refused_by = await self._fallback.admit(windows, slot)
        return _decide(windows, found, refused_by, slot, is_degraded=True)

    def _failed(self, problem: Exception) -> None:
        if self._backend.failures >= BREAKER_FAILURES and time.monotonic() >= self._closed_until:
            self._closed_until = time.monotonic() + BREAKER_SECONDS
            log.warning("Redis does not count limits in time; this process counts by itself: %r", problem)

    def _release_later(self, slot: StreamSlot | None) -> None:
        """A caller that is cancelled while it waits may have been given a slot all the same."""
        if slot is not None:
            self._follow(self.release(slot))

    def _follow(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._following.add(task)
        task.add_done_callback(self._following.discard)

    def charge(self, windows: Sequence[Window], tokens: int) -> None:
        """Count the tokens of a call that was admitted to these windows. Nobody waits for it."""
        counting = [window for window in windows if window.counts == "tokens"]
        if counting and tokens:
            self._follow(self._charge(counting, tokens))

    async def _charge(self, windows: Sequence[Window], tokens: int) -> None:
        if time.monotonic() >= self._closed_until:
            try:
                await self._backend.charge(windows, tokens)
                return
            except (RedisError, OSError) as problem:
                self._failed(problem)
        await self._fallback.charge(windows, tokens)

    async def release(self, slot: StreamSlot) -> None:
        """Give a stream's slot back. One that cannot be given back expires."""
        await self._fallback.release(slot)
        with contextlib.suppress(RedisError, OSError):
            await self._backend.release(slot)

    async def close(self) -> None:
        """Count what is still to be counted, and let go."""
        await asyncio.gather(*self._following, return_exceptions=True)
        await self._backend.close()


def make_limiter(redis_url: str) -> Limiter:
    """Return a limiter that counts in Redis, or in this process when `redis_url` is empty."""
    return Limiter(RedisBackend(redis_url) if redis_url else MemoryBackend())


def _decide(
    windows: Sequence[Window],
    found: Sequence[tuple[int, float]],
    refused_by: int,
    slot: StreamSlot | None,
    *,
    is_degraded: bool,
) -> Decision:
    if refused_by >= len(windows) and slot is not None:
        return Decision(stream_windows(slot)[0], 0, 1.0, None, stream_windows(slot)[0], is_degraded)
    if refused_by >= 0:
        window, resets_in = windows[refused_by], found[refused_by][1]
        minute = (window, 0) if window.unit == "minute" and window.counts == "requests" else None
        tokens = (window, 0, resets_in) if window.counts == "tokens" else None
        return Decision(window, 0, resets_in, minute, window, is_degraded, tokens)
    tightest, remaining, resets_in, minute, tokens = None, 0, 0.0, None, None
    for window, (count, left) in zip(windows, found, strict=True):
        if window.counts == "tokens":
            tokens = _tighter(tokens, (window, window.amount - count, left))
            continue
        rest = window.amount - count - 1
        if tightest is None or rest * tightest.amount < remaining * window.amount:
            tightest, remaining, resets_in = window, rest, left
        if window.unit == "minute" and (minute is None or rest < minute[1]):
            minute = (window, rest)
    return Decision(tightest, remaining, resets_in, minute, None, is_degraded, tokens)


def _tighter(first: _Left | None, second: _Left) -> _Left:
    """Return which has the smaller share left; of two untouched ones the smaller amount."""
    if first is None:
        return second
    shares = first[1] * second[0].amount, second[1] * first[0].amount
    return second if (shares[1], second[0].amount) < (shares[0], first[0].amount) else first


def headers_of(decision: Decision) -> list[tuple[bytes, bytes]]:
    """Return the header families of the contract: the seeds' and OpenAI's."""
    window = decision.tightest
    if window is None:
        return []
    headers = [
        (b"x-ratelimit-limit", b"%d" % window.amount),
        (b"x-ratelimit-remaining", b"%d" % decision.remaining),
        (b"x-ratelimit-reset", b"%d" % math.ceil(time.time() + max(0.0, decision.resets_in))),
    ]
    if window.counts == "requests":
        headers += _family(b"requests", window, decision.remaining, decision.resets_in)
    if decision.tokens is not None:
        headers += _family(b"tokens", *decision.tokens)
    if decision.minute is not None:
        minute, remaining = decision.minute
        headers += [
            (b"x-ratelimit-limit-minute", b"%d" % minute.amount),
            (b"x-ratelimit-remaining-minute", b"%d" % remaining),
        ]
    if decision.is_degraded:
        headers.append((b"x-ratelimit-policy", b"degraded"))
    return headers


def _family(name: bytes, window: Window, remaining: int, resets_in: float) -> list[tuple[bytes, bytes]]:
    return [
        (b"x-ratelimit-limit-" + name, b"%d" % window.amount),
        (b"x-ratelimit-remaining-" + name, b"%d" % remaining),
        (b"x-ratelimit-reset-" + name, duration(max(0.0, resets_in)).encode()),
    ]


def duration(seconds: float) -> str:
    """Write seconds as OpenAI's headers do: `12ms`, `1s`, `6m0s`."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def refusal_of(decision: Decision) -> RateLimited:
    """Return the error of a refused request; it names limit, scope, window and reset."""
    window = decision.exceeded
    if window is None:
        raise ValueError("the request was not refused")
    seconds = max(1, math.ceil(decision.resets_in))
    if window.unit == "streams":
        message = (
            f"At most {window.amount} streams may run at once for each {window.scope}. Try again when one has ended."
        )
    else:
        amount = f"{window.amount} {window.counts} a {window.unit}"
        message = f"Rate limit '{window.name}' reached: {amount} for each {window.scope}. Try again in {seconds} s."
    return RateLimited(
        message,
        details={
            "limit": window.amount,
            "name": window.name,
            "scope": window.scope,
            "window": window.unit,
            "reset": math.ceil(time.time() + decision.resets_in),
        },
        retry_after=seconds,
    )

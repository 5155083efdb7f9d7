"""Where requests are counted: in this process, or in Redis."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from django.conf import settings
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from apps.ratelimit.policy import Window, scaled

REDIS_BUDGET_SECONDS = 0.1
SWEEP_EVERY = 60.0


class StreamSlot(NamedTuple):
    """One running stream: whose, and under which unique name."""

    organization: str
    key: str
    member: str
    is_guest: bool = False


class Backend(Protocol):
    """
    Counts. `admit` returns, for each window, what was counted before and the seconds until its
    reset, and the index of the window that refused (-1: none). It counts a request in each window
    of requests; windows of tokens are begun by it and counted in by `charge`.
    """

    # Round trips that failed, one after the other.
    failures: int

    async def admit(
        self, windows: Sequence[Window], slot: StreamSlot | None
    ) -> tuple[list[tuple[int, float]], int]: ...

    async def charge(self, windows: Sequence[Window], amount: int) -> None: ...

    async def release(self, slot: StreamSlot) -> None: ...

    async def close(self) -> None: ...


def stream_windows(slot: StreamSlot) -> list[Window]:
    """Return the limits of concurrent streams, in the form of windows: they reset when a stream ends."""
    seconds = int(settings.UPSTREAM_TOTAL_TIMEOUT)
    amounts, owner = settings.CONCURRENT_STREAMS, "guest" if slot.is_guest else "key"
    return [
        Window("concurrent_streams", owner, f"streams:{slot.key}", scaled(amounts[owner]), seconds, "streams"),
        Window(
            "concurrent_streams",
            "organization",
            f"streams:{slot.organization}",
            scaled(amounts["organization"]),
            seconds,
            "streams",
        ),
    ]


class MemoryBackend:
    """Counts in this process. No await between check and count, so a loop's step is atomic."""

    def __init__(self, *, share: float = 1.0) -> None:
        """`share` is the part of each limit that counts here."""
        self.failures = 0
        self._share = share
        self._counts: dict[str, tuple[int, float]] = {}
        self._streams: dict[str, dict[str, float]] = {}
        self._swept_at = time.monotonic()

    async def admit(self, windows: Sequence[Window], slot: StreamSlot | None) -> tuple[list[tuple[int, float]], int]:
        now = time.monotonic()
        if now - self._swept_at > SWEEP_EVERY:
            self._sweep(now)
        found, refused_by = [], -1
        for at, window in enumerate(windows):
            count, ends_at = self._counts.get(window.key, (0, 0.0))
            if ends_at <= now:
                count, ends_at = 0, now + window.seconds
            found.append((count, ends_at - now))
            if count >= max(1, int(window.amount * self._share)) and refused_by < 0:
                refused_by = at
        if refused_by < 0 and slot is not None and not self._take(slot, now):
            refused_by = len(windows)
        if refused_by < 0:
            for window, (count, left) in zip(windows, found, strict=True):
                self._counts[window.key] = (count + (window.counts == "requests"), now + left)
        return found, refused_by

    async def charge(self, windows: Sequence[Window], amount: int) -> None:
        now = time.monotonic()
        for window in windows:
            count, ends_at = self._counts.get(window.key, (0, 0.0))
            if ends_at <= now:
                count, ends_at = 0, now + window.seconds
            self._counts[window.key] = (count + amount, ends_at)

    def _take(self, slot: StreamSlot, now: float) -> bool:
        limits = [window._replace(amount=max(1, int(window.amount * self._share))) for window in stream_windows(slot)]
        running = [self._running(window.key, now) for window in limits]
        if any(len(streams) >= window.amount for streams, window in zip(running, limits, strict=True)):
            return False
        for streams, window in zip(running, limits, strict=True):
            streams[slot.member] = now + window.seconds
        return True

    def _running(self, key: str, now: float) -> dict[str, float]:
        streams = self._streams.setdefault(key, {})
        for member in [member for member, ends_at in streams.items() if ends_at <= now]:
            del streams[member]
        return streams

    async def release(self, slot: StreamSlot) -> None:
        for window in stream_windows(slot):
            streams = self._streams.get(window.key, {})
            streams.pop(slot.member, None)
            if not streams:
                self._streams.pop(window.key, None)

    def _sweep(self, now: float) -> None:
        self._swept_at = now
        self._counts = {key: entry for key, entry in self._counts.items() if entry[1] > now}

    async def close(self) -> None:
        self._counts.clear()


# KEYS: the windows, then the stream sets. ARGV: number of windows; amount, milliseconds and step (what is
# added) of each; then now (ms), member, and amount and milliseconds of each stream set.
# Answer: index of the refusing key (-1: none), then count before and milliseconds left of each window.
_SCRIPT = """
local n = tonumber(ARGV[1])
local answer, refused, fresh = {-1}, -1, {}
for i = 1, n do
  local count = tonumber(redis.call('GET', KEYS[i]) or '0')
  local left = redis.call('PTTL', KEYS[i])
  fresh[i] = left < 0
  if fresh[i] then count = 0; left = tonumber(ARGV[3 * i]) end
  if refused < 0 and count >= tonumber(ARGV[3 * i - 1]) then refused = i - 1 end
  answer[2 * i] = count
  answer[2 * i + 1] = left
end
local base = 3 * n + 2
if refused < 0 and #KEYS > n then
  local now = tonumber(ARGV[base])
  for i = n + 1, #KEYS do
    local at = base + 2 * (i - n)
    redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now)
    if redis.call('ZCARD', KEYS[i]) >= tonumber(ARGV[at]) then refused = n end
  end
  if refused < 0 then
    for i = n + 1, #KEYS do
      local span = tonumber(ARGV[base + 2 * (i - n) + 1])
      redis.call('ZADD', KEYS[i], now + span, ARGV[base + 1])
      redis.call('PEXPIRE', KEYS[i], span)
    end
  end
end
if refused < 0 then
  for i = 1, n do
    local step = ARGV[3 * i + 1]
    if fresh[i] then redis.call('SET', KEYS[i], step, 'PX', ARGV[3 * i])
    elseif step ~= '0' then redis.call('INCRBY', KEYS[i], step) end
  end
end
answer[1] = refused
return answer
"""
_SCRIPT_SHA = hashlib.sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()
_PREFIX = "jan:limit:"
# An amount no window reaches, and which a script's numbers still hold exactly.
_NEVER = 2**53
_Asked = tuple[list[str], list[str | int], "asyncio.Future[list[int]]"]


def _asked_of(windows: Sequence[Window], charged: int | None = None) -> tuple[list[str], list[str | int]]:
    """Return the script's keys and arguments to count a request in windows, or to add what is `charged`."""
    args: list[str | int] = [len(windows)]
    for window in windows:
        step = int(window.counts == "requests") if charged is None else charged
        args += [window.amount, window.seconds * 1000, step]
    return [_PREFIX + window.key for window in windows], args


class RedisBackend:
    """Counts in Redis. Requests of one step of the loop share a round trip; each is still its own atomic script."""

    def __init__(self, url: str) -> None:
        # No retries: a count whose answer was lost must not be made twice.
        self._redis = Redis.from_url(
            url, socket_connect_timeout=REDIS_BUDGET_SECONDS, retry=Retry(NoBackoff(), 0), retry_on_timeout=False
        )
        self.failures = 0
        self._asked: list[_Asked] = []
        self._sending: set[asyncio.Task[None]] = set()

    async def admit(self, windows: Sequence[Window], slot: StreamSlot | None) -> tuple[list[tuple[int, float]], int]:
        keys, args = _asked_of(windows)
        if slot is not None:
            args += [round(time.time() * 1000), slot.member]
            for window in stream_windows(slot):
                keys.append(_PREFIX + window.key)
                args += [window.amount, window.seconds * 1000]
        answer = await self._ask(keys, args)
        found = [(answer[2 * at + 1], answer[2 * at + 2] / 1000) for at in range(len(windows))]
        return found, answer[0]

    async def charge(self, windows: Sequence[Window], amount: int) -> None:
        await self._ask(*_asked_of([window._replace(amount=_NEVER) for window in windows], amount))

    async def _ask(self, keys: list[str], args: list[str | int]) -> list[int]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[int]] = loop.create_future()
        if not self._asked:
            loop.call_soon(self._send)
        self._asked.append((keys, args, future))
        return await future

    def _send(self) -> None:
        # A task of its own: a caller that is cancelled must not leave half an answer on a shared connection.
        asked, self._asked = self._asked, []
        task = asyncio.create_task(self._run(asked))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _run(self, asked: list[_Asked]) -> None:
        try:
            # One budget for the round trip, not for each waiter: a busy loop is not a slow Redis.
            async with asyncio.timeout(REDIS_BUDGET_SECONDS):
                answers = await self._execute(asked)
        except (RedisError, OSError) as problem:
            self.failures += 1
            for _, _, future in asked:
                if not future.done():
                    future.set_exception(problem)
            return
        self.failures = 0
        for (_, _, future), answer in zip(asked, answers, strict=True):
            if not future.done():
                future.set_result(answer)

    async def _execute(self, asked: list[_Asked]) -> list[list[int]]:
        try:
            return await self._evaluate(asked)
        except NoScriptError:  # Redis was restarted: nothing was counted
            await self._redis.script_load(_SCRIPT)
            return await self._evaluate(asked)

    async def _evaluate(self, asked: list[_Asked]) -> list[list[int]]:
        async with self._redis.pipeline(transaction=False) as pipeline:
            for keys, args, _ in asked:
                pipeline.evalsha(_SCRIPT_SHA, len(keys), *keys, *args)
            answers: list[list[int]] = await pipeline.execute()
            return answers

    async def release(self, slot: StreamSlot) -> None:
        async with asyncio.timeout(REDIS_BUDGET_SECONDS), self._redis.pipeline(transaction=False) as pipeline:
            for window in stream_windows(slot):
                pipeline.zrem(_PREFIX + window.key, slot.member)
            await pipeline.execute()

    async def close(self) -> None:
        await self._redis.aclose()

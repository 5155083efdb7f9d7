"""
One accepted request, from the journal's accept record to its one terminal record.

An exchange lives in the task that serves it. The client leaving does not stop it: what the
provider still sends is read on (or hung up on, by policy), counted, and settled.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

import msgspec
from django.conf import settings

from apps.catalog.snapshot import Target
from apps.core.errors import (
    AppError,
    RateLimited,
    ServiceUnavailable,
    UpstreamFailed,
    UpstreamRefused,
    UpstreamTimeout,
)
from apps.core.http.errors import status_of
from apps.core.logs import redact
from apps.gateway.calls import Call
from apps.gateway.chunks import DONE, ChunkFilter, read_answer
from apps.gateway.sse import EventReader
from apps.gateway.upstream import MAX_ANSWER_BYTES, Answer, Upstream
from apps.usage.journal import Entry, Tokens, sane_count
from apps.usage.models import State

CLIENT_GONE_STATUS = 499
MAX_REFUSAL_BYTES = 256 * 1024
# Statuses of a provider that speak of the client's request. Its 401 and 403 speak of ours.
PASSED_ON = frozenset({400, 404, 405, 406, 409, 410, 411, 413, 414, 415, 416, 418, 421, 422, 431, 451})
# Seconds a finished stream may take to close its body, so that the connection can be used again.
TRAILER_SECONDS = 0.25
# Seconds of silence after which a client is shown that the line is alive.
PING_AFTER = 15.0


class Sink(Protocol):
    """
    Where a stream's payloads go: an HTTP answer or a WebSocket.

    `keeps`: whether it takes the rest of an answer whose client is gone, because somebody may ask for it again.
    """

    keeps: bool

    async def write(self, payloads: list[bytes]) -> None:
        """Send payloads on; the first call starts the answer."""

    async def ping(self) -> None:
        """Show a started answer's reader that the line is alive."""


class Exchange:
    """Made by `Gateway.accept`; either `complete` or `relay` is called, once."""

    def __init__(
        self,
        upstream: Upstream,
        entry: Entry,
        target: Target,
        call: Call,
        *,
        request_id: str,
        charge: Callable[[int], None],
    ) -> None:
        self._upstream = upstream
        self._entry = entry
        self._target = target
        self._call = call
        self._request_id = request_id
        self._charge = charge
        self._scope: asyncio.Timeout | None = None
        self._stopped_by: tuple[State, AppError] | None = None
        self._sink: Sink | None = None
        self._filter: ChunkFilter | None = None
        self._first_token_ms: int | None = None
        self._waits_for_client = False
        self.client_gone = False
        # How it ended and what it used, once it has.
        self.state = State.OPEN
        self.tokens = Tokens()
        self.started_at = self.active_at = time.monotonic()
        self.limit = self.started_at + settings.UPSTREAM_TOTAL_TIMEOUT

    # --- Serving it -----------------------------------------------------------------------------

    async def complete(self) -> bytes:
        """Return the provider's whole answer, as the client gets it. Raises AppError; either way it is settled."""
        tokens: Tokens | None = None
        try:
            async with asyncio.timeout(None) as self._scope:
                answer = await self._open()
                try:
                    body = await answer.read(MAX_ANSWER_BYTES)
                finally:
                    answer.close()
            self._note_first_token()
            body, tokens = read_answer(body, rename=self._rename)
        except BaseException as problem:
            raise self._fail(problem) from problem
        self._succeed(tokens)
        return body

    async def relay(self, sink: Sink) -> None:
        """
        Pass the provider's stream on to `sink` until its proper end.

        Raises AppError when it did not end properly; whether the answer had started, the sink
        knows. Either way the exchange is settled, a whole answer as soon as its last event is
        written: clients hang up on `[DONE]`.
        """
        self._sink = sink
        self._filter = ChunkFilter(rename=self._rename, show_usage=self._call.include_usage)
        try:
            async with asyncio.timeout(None) as self._scope:
                answer = await self._open()
                try:
                    await self._pump(answer, sink, self._filter)
                except BaseException:
                    answer.close()
                    raise
        except BaseException as problem:
            raise self._fail(problem) from problem
        try:
            self._succeed(self._filter.usage)
            await self._finish_reading(answer)
        finally:
            answer.close()

    async def _open(self) -> Answer:
        answer = await self._upstream.ask(self._target, self._call, self._request_id)
        self.active_at = time.monotonic()
        if answer.status != 200:
            try:
                raise refusal_of(answer.status, answer.retry_after, await answer.read(MAX_REFUSAL_BYTES), self._target)
            finally:
                answer.close()
        return answer

    async def _pump(self, answer: Answer, sink: Sink, chunks: ChunkFilter) -> None:
        events = EventReader()
        read, feed, take, progress = answer.chunk, events.feed, chunks.take, self._entry.progress
        while not chunks.is_done:
            data = await read()
            if not data:
                if not (chunks.is_finished and events.is_between_events):
                    raise UpstreamFailed("The provider ended its answer before it was complete.")
                chunks.is_done, passed = True, [DONE]
            else:
                passed = take(feed(data))
            if passed:
                if self._first_token_ms is None:
                    self._note_first_token()
                progress(chunks.content_chunks)
                if not self.client_gone or sink.keeps:
                    self._waits_for_client = True
                    await sink.write(passed)
                    self._waits_for_client = False
            self.active_at = time.monotonic()

    @staticmethod
    async def _finish_reading(answer: Answer) -> None:
        """Nothing after [DONE] counts; it is read only so that the connection can be used again."""
        try:
            async with asyncio.timeout(TRAILER_SECONDS):
                while await answer.chunk():
                    pass
        except (TimeoutError, UpstreamFailed):
            pass

    @property
    def _rename(self) -> str | None:
        return self._call.model if self._call.model != self._target.upstream_model else None

    def _note_first_token(self) -> None:
        if self._first_token_ms is None:
            self._first_token_ms = round((time.monotonic() - self.started_at) * 1000)

    # --- Ending it from outside -----------------------------------------------------------------

    def client_left(self, *, may_drain: bool) -> None:
        """The client is gone: read on for its usage if policy and `may_drain` allow it, else hang up."""
        if self.client_gone or self._entry.is_ended:
            return
        self.client_gone = True
        if may_drain and settings.CLIENT_GONE_POLICY == "drain":
            self.limit = min(self.limit, time.monotonic() + settings.CLIENT_GONE_DRAIN_SECONDS)
        else:
            self._stop(State.CLIENT_GONE, ServiceUnavailable("The client left."))

    def cancel(self) -> None:
        """The client asked to stop."""
        self._stop(State.CANCELLED, AppError("The request was cancelled.", code="cancelled"))

    def interrupt(self) -> None:
        """The process is about to end."""
        error = ServiceUnavailable("The server is restarting. Try again.", code="server_shutdown", retry_after=1)
        self._stop(State.INTERRUPTED, error)

    async def check(self, now: float) -> None:
        """Called every half second: ends what hangs, shows a waiting client that the line is alive."""
        if now > self.limit:
            if self.client_gone:
                self._stop(State.CLIENT_GONE, ServiceUnavailable("The client left."))
            else:
                self._stop(State.UPSTREAM_ERROR, UpstreamTimeout("The answer took longer than allowed."))
        elif not self._waits_for_client:
            await self._check_silence(now)

    async def _check_silence(self, now: float) -> None:
        silent = now - self.active_at
        allowed = settings.UPSTREAM_IDLE_TIMEOUT if self._first_token_ms is not None else _patience(self._call)
        if silent > allowed:
            self._stop(State.UPSTREAM_ERROR, UpstreamTimeout("The provider stopped answering."))
        elif silent > PING_AFTER and self._first_token_ms is not None and self._sink and not self.client_gone:
            await self._sink.ping()

    def _stop(self, state: State, error: AppError) -> None:
        if self._stopped_by is None:
            self._stopped_by = (state, error)
            if self._scope is not None:
                self._scope.reschedule(asyncio.get_running_loop().time())

    # --- Settling it ----------------------------------------------------------------------------

    def _fail(self, problem: BaseException) -> BaseException:
        """Settle what went wrong and return what to raise."""
        state, error = State.UPSTREAM_ERROR, problem
        if self._stopped_by is not None:
            state, error = self._stopped_by
        elif isinstance(problem, asyncio.CancelledError):
            state = State.INTERRUPTED
        elif not isinstance(problem, AppError):
            error = UpstreamFailed("The provider's answer could not be handled.")
        if self.client_gone:
            state = State.CLIENT_GONE
        status = CLIENT_GONE_STATUS if self.client_gone else status_of(error) if isinstance(error, AppError) else 503
        code = error.code if isinstance(error, AppError) else state.value
        self._end(state, status, code, self._received())
        return error

    def _succeed(self, tokens: Tokens | None) -> None:
        state = State.CLIENT_GONE if self.client_gone else State.COMPLETED
        self._end(state, CLIENT_GONE_STATUS if self.client_gone else 200, "", tokens or self._received())

    def _received(self) -> Tokens:
        """What to count when the provider reported nothing: a token for each piece of the answer that arrived."""
        if self._filter is None:
            return Tokens()
        if self._filter.usage is not None:
            return self._filter.usage
        return Tokens(completion=self._filter.content_chunks, is_estimated=self._filter.content_chunks > 0)

    def _end(self, state: State, status: int, code: str, tokens: Tokens) -> None:
        self._scope = None  # nothing left to stop
        self.state, self.tokens = state, tokens
        self._entry.end(
            state=state,
            status=status,
            error_code=code,
            tokens=tokens,
            first_token_ms=self._first_token_ms,
            duration_ms=round((time.monotonic() - self.started_at) * 1000),
        )
        self._charge(sane_count(tokens.prompt) + sane_count(tokens.completion))


def _patience(call: Call) -> float:
    """Seconds until the first byte: a whole answer may take its full time, a stream must begin."""
    return float(settings.UPSTREAM_HEADERS_TIMEOUT if call.stream else settings.UPSTREAM_TOTAL_TIMEOUT)


class _Refusal(msgspec.Struct):
    message: str | None = None
    type: str | None = None
    code: str | int | None = None
    param: str | None = None


class _RefusalBody(msgspec.Struct):
    error: _Refusal | str | None = None
    message: str | None = None
    detail: str | None = None


def refusal_of(status: int, retry_after: str | None, body: bytes, target: Target) -> AppError:
    """
    Return what the client is told when a provider answers with `status`.

    A 4xx about the request passes with its message, less anything like a credential; 429 keeps
    its Retry-After; everything else is our failure to get an answer, without the provider's words.
    """
    if status == 429:
        return RateLimited(
            "The model's provider is limiting requests. Try again later.",
            code="provider_rate_limited",
            retry_after=_seconds(retry_after),
        )
    if status in PASSED_ON:
        said = _read_refusal(body)
        message = redact(said.message or f"The provider refused the request with status {status}.")
        if target.credential:
            message = message.replace(target.credential, "[redacted]")
        code = str(said.code) if said.code is not None else "provider_refused"
        return UpstreamRefused(message[:2000], status=status, code=code[:64], param=said.param)
    if status in (408, 504):
        return UpstreamTimeout("The provider did not answer in time.")
    if status in (401, 402, 403):
        return UpstreamFailed("The provider refused this server's credential.", code="provider_credential_refused")
    return UpstreamFailed(f"The provider failed with status {status}.", retry_after=_seconds(retry_after))


def _read_refusal(body: bytes) -> _Refusal:
    try:
        said = msgspec.json.decode(body, type=_RefusalBody)
    except (msgspec.DecodeError, RecursionError):
        return _Refusal()
    if isinstance(said.error, _Refusal):
        return said.error
    return _Refusal(message=said.error or said.message or said.detail)


def _seconds(retry_after: str | None) -> float | None:
    """Read a Retry-After of seconds. A date, or nonsense, is left out: the SDKs have their own patience."""
    try:
        seconds = float(retry_after or "")
    except ValueError:
        return None
    return seconds if 0 < seconds <= 86_400 else None

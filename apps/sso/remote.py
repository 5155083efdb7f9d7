"""What providers publish (discovery, keys), remembered: asked rarely, and kept while they cannot be asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from asgiref.sync import async_to_sync

from apps.core.egress import fetch
from apps.core.errors import AppError, ServiceUnavailable, UpstreamFailed
from apps.core.strict_json import parse_json

_T = TypeVar("_T")

FRESH_SECONDS = 300.0
# How long something is used that cannot be asked for again: a provider's bad hour is not everybody's.
STALE_SECONDS = 3600.0
# Between two questions, whatever came of the first one: unknown key ids are for anybody to make up.
FLOOR_SECONDS = 10.0
FETCH_SECONDS = 3.0
WAIT_SECONDS = 1.0
MAX_BYTES = 256 * 1024


class Remembered(Generic[_T]):
    """A document at a URL an operator set, read by `parse`. For threads, never for the event loop."""

    def __init__(self, url: str, parse: Callable[[Any], _T]) -> None:
        self._url, self._parse = url, parse
        self._fetching = threading.Lock()
        self._value: _T | None = None
        self._fetched_at = self._tried_at = float("-inf")

    def get(self, is_enough: Callable[[_T], bool] = lambda _: True) -> _T:
        """
        Return the document; asks again when it is old or not enough.

        What is known is returned if asking fails or is not due, even if it is not enough. Raises
        ServiceUnavailable when nothing usable is known.
        """
        value = self._value
        if value is not None and self._age < FRESH_SECONDS and is_enough(value):
            return value
        if self._fetching.acquire(timeout=WAIT_SECONDS):
            try:
                self._ask()
            finally:
                self._fetching.release()
        if self._value is None or self._age > STALE_SECONDS:
            raise ServiceUnavailable(
                "The identity provider cannot be asked right now.",
                code="identity_provider_unavailable",
                retry_after=FLOOR_SECONDS,
            )
        return self._value

    @property
    def _age(self) -> float:
        return time.monotonic() - self._fetched_at

    def _ask(self) -> None:
        if time.monotonic() - self._tried_at < FLOOR_SECONDS:
            return
        self._tried_at = time.monotonic()
        try:
            self._value = self._parse(fetch_json("GET", self._url))
        except AppError:
            return
        self._fetched_at = time.monotonic()


def fetch_json(
    method: str, url: str, *, headers: dict[str, str] | None = None, form: dict[str, str] | None = None
) -> Any:
    """
    Make a request to a provider and return its JSON answer.

    Raises ProviderRefused for a 4xx, UpstreamFailed or UpstreamTimeout for other failures.
    """
    answer = async_to_sync(fetch)(
        method,
        url,
        headers={"accept": "application/json", **(headers or {})},
        form=form,
        max_bytes=MAX_BYTES,
        seconds=FETCH_SECONDS,
        operators_word=True,
    )
    if 400 <= answer.status < 500:
        raise ProviderRefused("The identity provider refused the request.")
    if answer.status != 200:
        raise UpstreamFailed("The identity provider did not answer as agreed.")
    try:
        return parse_json(answer.body)
    except AppError:
        raise UpstreamFailed("The identity provider did not answer with JSON.") from None


class ProviderRefused(UpstreamFailed):
    """A provider's 4xx."""

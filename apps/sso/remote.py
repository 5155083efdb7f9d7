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
# Between two questions of which the first one failed, or was not due but for something unknown, such as a key id
# that anybody can make up.
FLOOR_SECONDS = 10.0
FETCH_SECONDS = 3.0
WAIT_SECONDS = 1.0
MAX_BYTES = 256 * 1024


class Remembered(Generic[_T]):
    """A document at a URL an operator set, read by `parse`. For threads, never for the event loop."""

    def __init__(self, url: str, parse: Callable[[Any], _T]) -> None:
        self._url, self._parse = url, parse
        self._fetching = threading.Lock()
        self._values: list[_T] = []
        self._fetched_at = self._held_back_at = float("-inf")

    def get(self, is_enough: Callable[[_T], bool] = lambda _: True) -> _T:
        """
        Return the document; asks again when it is old or not enough.

        What is known is returned if asking fails or is not due, even if it is not enough. Raises
        ServiceUnavailable when nothing usable is known.
        """
        if self._will_do(is_enough):
            return self._known
        # Whoever has something to go on with does not wait for the answer to somebody else's question.
        is_usable = self._age < STALE_SECONDS and is_enough(self._known)
        if self._fetching.acquire(timeout=0 if is_usable else WAIT_SECONDS):
            try:
                if not self._will_do(is_enough):  # whoever was before us may have asked
                    self._ask()
            finally:
                self._fetching.release()
        if self._age > STALE_SECONDS:
            raise ServiceUnavailable(
                "The identity provider cannot be asked right now.",
                code="identity_provider_unavailable",
                retry_after=FLOOR_SECONDS,
            )
        return self._known

    @property
    def _age(self) -> float:
        return time.monotonic() - self._fetched_at

    @property
    def _known(self) -> _T:
        return self._values[0]

    def _will_do(self, is_enough: Callable[[_T], bool]) -> bool:
        return self._age < FRESH_SECONDS and is_enough(self._known)

    def _ask(self) -> None:
        now, was_due = time.monotonic(), self._age >= FRESH_SECONDS
        if now - self._held_back_at < FLOOR_SECONDS:
            return
        self._held_back_at = now
        try:
            self._values = [self._parse(fetch_json("GET", self._url))]
        except AppError:
            return
        self._fetched_at = time.monotonic()
        if was_due:
            self._held_back_at = float("-inf")


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

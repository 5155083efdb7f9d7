"""Principals by credential, kept while the epoch stands: a warm key costs no query and no thread."""

from __future__ import annotations

import asyncio
import hashlib
import time

from apps.accounts.services import note_seen
from apps.api_keys.authentication import Credentials, asks_elsewhere, resolve
from apps.api_keys.services import note_use
from apps.core.db import in_db_thread, in_patient_db_thread
from apps.core.errors import AppError, ServiceUnavailable
from apps.core.freshness import Watch
from apps.organizations.principal import Principal

MAX_ENTRIES = 100_000
# How long a credential that proved nothing is refused without asking again.
REFUSAL_SECONDS = 1.0


class PrincipalCache:
    """
    `await find(credentials)` is `resolve` with a memory.

    Entries are keyed by the full digest of what was sent and hold who it was, so no two
    credentials can meet in one entry. Simultaneous misses on one credential make one query.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._known: dict[bytes, Principal] = {}
        self._refused: dict[bytes, tuple[float, AppError]] = {}
        self._asking: dict[bytes, asyncio.Task[Principal | None]] = {}
        self._generation = 0
        self._used_keys: set[int] = set()
        self._seen_users: set[str] = set()
        watch.on_change(self._drop)

    async def _drop(self) -> None:
        self._generation += 1
        self._known.clear()
        self._refused.clear()

    async def find(self, credentials: Credentials) -> Principal | None:
        """
        Return who is calling, or None if no credential was sent.

        Raises what `resolve` raises, and ServiceUnavailable when the database cannot be asked.
        """
        if not credentials.api_key and not credentials.bearer:
            return None
        key = hashlib.sha256("\x1f".join(part or "" for part in credentials).encode("utf-8", "replace")).digest()
        principal = self._known.get(key)
        if principal is None or not self._watch.is_fresh or _expired(principal):
            principal = await self._ask(key, credentials)
        if principal is not None:
            self._seen_users.add(principal.user_id)
            if principal.key_id is not None:
                self._used_keys.add(principal.key_id)
        return principal

    async def _ask(self, key: bytes, credentials: Credentials) -> Principal | None:
        refusal = self._refused.get(key)
        if refusal is not None and refusal[0] > time.monotonic():
            raise refusal[1]
        task = self._asking.get(key)
        if task is None:
            task = asyncio.create_task(self._resolve(key, credentials))
            self._asking[key] = task
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        return await asyncio.shield(task)

    async def _resolve(self, key: bytes, credentials: Credentials) -> Principal | None:
        generation = self._generation
        try:
            in_thread = in_patient_db_thread if asks_elsewhere(credentials) else in_db_thread
            principal = await in_thread(resolve, credentials)
        except AppError as error:
            self._make_room(self._refused)
            self._refused[key] = (time.monotonic() + REFUSAL_SECONDS, error)
            raise
        except Exception as problem:
            raise ServiceUnavailable("Credentials cannot be checked right now.", retry_after=2) from problem
        # An answer from before a change must not outlive it.
        if principal is not None and generation == self._generation:
            self._make_room(self._known)
            self._known[key] = principal
        return principal

    @staticmethod
    def _make_room(entries: dict[bytes, Principal] | dict[bytes, tuple[float, AppError]]) -> None:
        if len(entries) >= MAX_ENTRIES:
            entries.clear()

    async def write_uses(self) -> None:
        """Write down which keys were used, and who was seen, since the last call."""
        used, self._used_keys = self._used_keys, set()
        seen, self._seen_users = self._seen_users, set()
        if used:
            await in_db_thread(note_use, used)
        if seen:
            await in_db_thread(note_seen, seen)


def _expired(principal: Principal) -> bool:
    return principal.expires_at is not None and principal.expires_at <= time.time()

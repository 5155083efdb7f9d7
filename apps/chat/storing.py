"""Calls with `store: true`: their answers are kept, under an id of ours."""

from __future__ import annotations

import logging
from typing import Any, Protocol

import msgspec
from django.db import Error as DatabaseError

from apps.chat.wishes import OURS
from apps.completions.models import new_completion_id
from apps.completions.services import store_completion
from apps.completions.shape import string_pairs
from apps.core.db import in_db_thread
from apps.core.errors import InternalError
from apps.gateway.calls import Call
from apps.organizations.organization_settings import Storage
from apps.organizations.principal import Principal
from apps.organizations.roles import Scope

log = logging.getLogger("jan.completions")


class Keeper(Protocol):
    """What happens with an answer. Either `keep` or `abandon` ends it, once."""

    def mark(self, payload: bytes) -> bytes:
        """Return a chunk or an answer as the client gets it."""

    async def keep(self, answer: dict[str, Any], *, request_id: str, is_whole: bool) -> Any:
        """Store an answer, a `chat.completion`, perhaps a part of one."""

    async def abandon(self) -> None:
        """Leave nothing behind."""


class Storing:
    """A call to be stored. `turn` is what else becomes of its answer. Half an answer is not stored."""

    def __init__(self, principal: Principal, request: dict[str, Any], turn: Keeper | None) -> None:
        self._principal = principal
        self._request = request
        self._turn = turn
        # Providers give the same id to several answers, and ids that no path can hold.
        self._id = new_completion_id()
        self._raw_id = msgspec.Raw(msgspec.json.encode(self._id))

    def mark(self, payload: bytes) -> bytes:
        fields = msgspec.json.decode(payload, type=dict[str, msgspec.Raw])
        marked = msgspec.json.encode({**fields, "id": self._raw_id})
        return marked if self._turn is None else self._turn.mark(marked)

    async def keep(self, answer: dict[str, Any], *, request_id: str, is_whole: bool) -> None:
        """Raises InternalError without the database: a retry would ask the model again."""
        if self._turn is not None:
            await self._turn.keep(answer, request_id=request_id, is_whole=is_whole)
        if not is_whole:
            return
        try:
            await in_db_thread(
                store_completion,
                principal=self._principal,
                public_id=self._id,
                request=self._request,
                answer=answer,
                request_id=request_id,
            )
        except DatabaseError as problem:
            log.warning("cannot store %s: %s", self._id, problem)
            raise InternalError("The completion could not be stored.", code="completion_not_stored") from None

    async def abandon(self) -> None:
        if self._turn is not None:
            await self._turn.abandon()


def wants_storing(principal: Principal, call: Call) -> bool:
    """
    Say whether a call is to be stored, and may be.

    Raises Forbidden for a caller that keeps nothing, BadRequest for metadata that cannot be stored.
    """
    if not asks_to_store(call) or principal.storage is Storage.NONE:
        return False
    principal.require(Scope.CONVERSATIONS_WRITE)
    string_pairs(call.document.get("metadata"))
    return True


def asks_to_store(call: Call) -> bool:
    return call.endpoint == "chat/completions" and call.document.get("store") is True


def without_ours(call: Call) -> Call:
    """Return a call as its provider gets it."""
    if not asks_to_store(call):
        return call
    document = {name: value for name, value in call.document.items() if name not in OURS}
    return Call(call.endpoint, document, msgspec.json.encode(document))

"""Idempotency-Key on a request: whoever answers it is listened to, so that the answer can be given again."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any, Self

import msgspec
from django.conf import settings

from apps.chat.http import Headers, Receive, Send
from apps.core.lifecycle import lifecycle
from apps.idempotency.claims import Claims
from apps.idempotency.secrets import without_secrets
from apps.idempotency.services import Asked, check_key
from apps.organizations.organization_settings import Storage
from apps.organizations.principal import Principal

HEADER = "idempotency-key"
# After these nothing was done, so that a repetition is a first try.
RELEASED = frozenset({401, 403, 429, 503})
# What a replay says again; everything else in an answer's head is about the request at hand.
KEPT_HEADERS = frozenset(
    {b"allow", b"content-disposition", b"content-type", b"location", b"retry-after", b"x-accel-buffering",
     b"x-should-retry"}
)  # fmt: skip


class _Wish(msgspec.Struct):
    store: Any = None


def asked_of(principal: Principal, scope: MutableMapping[str, Any], path: str, key: str, body: bytes) -> Asked:
    """Return a request as idempotency sees it. Raises BadRequest for what cannot be a key."""
    check_key(key)
    return Asked(
        organization_id=principal.organization_id,
        organization_public_id=principal.organization_public_id,
        project_id=principal.project_id,
        credential=principal.key_public_id or principal.user_id,
        route=f"{scope['method']} {path}",
        key=key,
        query=scope.get("query_string", b""),
        body=body,
    )


def may_keep(principal: Principal, body: bytes) -> bool:
    """Say whether an answer's content may be stored: the organization, the project and the request have a say."""
    if principal.storage is not Storage.STORE:
        return False
    try:
        return msgspec.json.decode(body, type=_Wish).store is not False
    except (msgspec.DecodeError, RecursionError):
        return True


class Recorder:
    """
    A client, as far as the handler of a claimed request can tell.

    It gives the body that was read already, passes the answer on, and ends the claim with it, at
    the latest when it is left. A client that leaves does not keep the answer from being written
    down: a model call is told of it and goes on by policy, other work is not.
    """

    def __init__(
        self, claims: Claims, claim: str, body: bytes, receive: Receive, send: Send, *, is_call: bool, keeps: bool
    ) -> None:
        self._claims, self._claim = claims, claim
        self._receive, self._send = receive, send
        self._body: bytes | None = body
        self._is_call, self._keeps = is_call, keeps
        self._status = 0
        self._headers: dict[str, str] = {}
        self._parts: list[bytes] = []
        self._size = 0
        self._client_gone = self._is_ended = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if not self._is_ended:
            await self._claims.give_up(self._claim)

    async def receive(self) -> MutableMapping[str, Any]:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._client_gone = True
            if not self._is_call:
                await asyncio.Future()  # until the handler is done and cancels it
        return message

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = {
                name.lower().decode(): value.decode("latin-1")
                for name, value in message.get("headers", [])
                if name.lower() in KEPT_HEADERS
            }
        else:
            self._keep(message.get("body", b""))
            if not message.get("more_body") and not self._is_ended:
                self._is_ended = True
                await self._end()
        if not self._client_gone:
            try:
                await self._send(message)
            except OSError:
                self._client_gone = True

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > settings.IDEMPOTENCY_MAX_BYTES:
            self._keeps = False
            self._parts.clear()
        if self._keeps:
            self._parts.append(part)

    async def _end(self) -> None:
        if self._status == 503 and (self._client_gone or lifecycle.draining):
            # It was stopped, perhaps in the middle: the provider may have been asked.
            await self._claims.give_up(self._claim)
        elif self._status in RELEASED or (self._status == 409 and self._headers.get("x-should-retry") == "true"):
            await self._claims.release(self._claim)
        else:
            body = b"".join(self._parts) if self._keeps else None
            if body and not self._is_call:
                body = without_secrets(body)
            headers = self._headers if self._keeps else {}
            await self._claims.finish(self._claim, status=self._status, headers=headers, body=body)


async def replay(send: Send, answer: tuple[int, dict[str, str], bytes], own: Headers) -> int:
    """Send a kept answer again and return its status."""
    status, kept, body = answer
    headers: Headers = [(name.encode(), value.encode("latin-1")) for name, value in kept.items()]
    if status != 204:
        headers.append((b"content-length", b"%d" % len(body)))
    headers += [(b"idempotent-replayed", b"true"), *own]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
    return status

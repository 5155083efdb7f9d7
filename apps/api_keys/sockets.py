"""
WebSockets of callers.

Credentials come by header, by subprotocol (`jan` and `jan-key.<key or token>`, for browsers), or in
the first message: `{"type": "auth", "api_key": "..."}`. An error is `{"type": "error", "error": {...}}`. One that
ends the socket closes it with 4000 and its HTTP status: 4401 for who proves nothing.
"""

from __future__ import annotations

from typing import Any

import msgspec
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer

from apps.api_keys.addresses import check_address
from apps.api_keys.authentication import Credentials, credentials_of
from apps.api_keys.cache import PrincipalCache
from apps.core import logs
from apps.core.errors import AppError, BadRequest, Unauthenticated
from apps.core.http.errors import status_of
from apps.core.strict_json import parse_json
from apps.organizations.permissions import unauthenticated
from apps.organizations.principal import Principal
from apps.ratelimit.limiter import Limiter, refusal_of
from apps.ratelimit.policy import Caller, windows_for

# Where the edge leaves the process's principals and limiter, and the client's address as far as our own proxies
# vouch for it.
SCOPE_PRINCIPALS = "jan.principals"
SCOPE_LIMITER = "jan.limiter"
SCOPE_ADDRESS = "jan.address"

SUBPROTOCOL = "jan"
KEY_PREFIX = "jan-key."
_CLOSE = 4000


class CallerSocket(AsyncWebsocketConsumer):
    """A socket whose client says who it is, is told `{"type": "ready"}`, and is heard from then on."""

    async def connect(self) -> None:
        self.address: str = self.scope[SCOPE_ADDRESS]
        self._principals: PrincipalCache = self.scope[SCOPE_PRINCIPALS]
        self._limiter: Limiter = self.scope[SCOPE_LIMITER]
        self._credentials = Credentials()
        offered = self.scope.get("subprotocols") or []
        await self.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)
        try:
            credentials = _credentials(self.scope, offered)
            if credentials.api_key or credentials.bearer:
                await self._greet(credentials)
        except AppError as error:
            await self.refuse(error)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        try:
            message = _parsed(text_data, bytes_data)
            if self._credentials == Credentials():
                await self._admit(message)
            else:
                await self.heard(message)
        except Unauthenticated as error:
            await self.refuse(error)
        except AppError as error:
            await self.send(text_data=error_frame(error))

    async def disconnect(self, code: int) -> None:
        raise StopConsumer

    async def welcome(self, principal: Principal) -> None:
        """Make ready for a caller. What this raises ends the socket."""

    async def heard(self, message: dict[str, Any]) -> None:
        """Take a message of the caller's. A socket that only tells takes none."""
        raise BadRequest("This socket tells what happens. What you want done goes over HTTP.", code="not_listening")

    async def caller(self) -> Principal:
        """Return who is calling now: a credential may end while its socket is open. Raises what `find` does."""
        return await self._caller(self._credentials)

    async def refuse(self, error: AppError) -> None:
        """Say what is wrong and close."""
        await self.send(text_data=error_frame(error))
        await self.close(_CLOSE + status_of(error))

    async def _admit(self, message: dict[str, Any]) -> None:
        try:
            await self._greet(_credentials_in(message))
        except AppError as error:
            await self.refuse(error)

    async def _greet(self, credentials: Credentials) -> None:
        await self._count_attempt()
        principal = await self._caller(credentials)
        await self.welcome(principal)
        self._credentials = credentials
        await self.send(text_data='{"type":"ready"}')

    async def _count_attempt(self) -> None:
        """Count it against its address, as a request: nobody tries out keys for nothing. Raises RateLimited."""
        unknown = Caller(self.address, user_id=None, key_id=None, is_guest=False)
        decision = await self._limiter.admit(windows_for("GET", "/v1/", unknown))
        if not decision.allowed:
            raise refusal_of(decision)

    async def _caller(self, credentials: Credentials) -> Principal:
        principal = await self._principals.find(credentials)
        if principal is None:
            raise unauthenticated()
        check_address(principal, self.address)
        return principal


def error_frame(error: AppError) -> str:
    """Return an error as a message."""
    return msgspec.json.encode({"type": "error", "error": error.payload(logs.request_id.get())}).decode()


def _parsed(text: str | None, data: bytes | None) -> dict[str, Any]:
    message = parse_json(data or b"" if text is None else text.encode("utf-8", "surrogatepass"))
    if not isinstance(message, dict):
        raise BadRequest("A message must be a JSON object.", code="invalid_json")
    return message


def _credentials(scope: dict[str, Any], offered: list[str]) -> Credentials:
    for protocol in offered:
        if protocol.startswith(KEY_PREFIX):
            return Credentials(bearer=protocol.removeprefix(KEY_PREFIX))
    return credentials_of({name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]})


def _credentials_in(message: dict[str, Any]) -> Credentials:
    secret = message.get("api_key") or message.get("token")
    if message.get("type") != "auth" or not isinstance(secret, str) or not secret:
        raise Unauthenticated(
            'The first message must be {"type": "auth", "api_key": "<key or token>"}.', code="missing_credentials"
        )
    return Credentials(bearer=secret)

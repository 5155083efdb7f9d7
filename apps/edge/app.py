"""
The front door: one ASGI callable before Django and Channels.

It guards every request alike (sizes, credentials, limits, request id, answer headers) and
serves model calls itself; Django's handler alone costs more than all of this.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from functools import partial
from typing import Any

import msgspec
from django.conf import settings

from apps.api_keys.addresses import check_address
from apps.api_keys.authentication import SCOPE_PRINCIPAL, credentials_of
from apps.api_keys.sockets import SCOPE_ADDRESS, SCOPE_LIMITER, SCOPE_PRINCIPALS
from apps.chat.forks import COUNTED_AS, edit, fork_in, read_fork
from apps.chat.http import Headers, Receive, Send, send_error, send_json, serve
from apps.chat.wishes import CONVERSATION_PATHS, Wish, read_wish
from apps.core import logs
from apps.core.errors import AppError, MethodNotAllowed, RateLimited, ServiceUnavailable
from apps.core.lifecycle import lifecycle
from apps.core.strict_json import parse_json
from apps.edge import cors
from apps.edge.idempotency import HEADER, Recorder, asked_of, may_keep, replay
from apps.edge.pages import PAGES, send_too_many_requests
from apps.edge.requests import (
    address_of,
    canonical,
    read_body,
    read_headers,
    request_id_of,
    too_large,
    without_trust_headers,
)
from apps.gateway.admission import windows_of_call
from apps.gateway.calls import BODIES, Call
from apps.gateway.runtime import SCOPE_RUNTIME, Runtime
from apps.organizations.permissions import unauthenticated
from apps.organizations.principal import Principal
from apps.ratelimit.backends import StreamSlot
from apps.ratelimit.limiter import Decision, headers_of, refusal_of
from apps.ratelimit.policy import Caller, Window, windows_for

_access_log = logs.AccessLog(settings.LOG_FORMAT)

Scope = dict[str, Any]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

INFERENCE = {f"/v1/{endpoint}": endpoint for endpoint in BODIES} | dict.fromkeys(CONVERSATION_PATHS, "chat/completions")
# Where model calls are made, and those that were stored are listed.
STORED = "/v1/chat/completions"
# Routes that read the credential themselves: it may be one that opens nothing else, such as a refresh token.
OWN_CREDENTIAL = frozenset(
    f"/v1/auth/{name}" for name in ("refresh-token", "refresh", "revoke", "logout", "validate", "validate-api-key")
)
HEALTH = frozenset({"/health", "/healthz", "/healthcheck", "/readyz", "/v1/healthz", "/v1/readyz"})
_API_HEADERS: Headers = [
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; sandbox"),
]


class Request:
    """One HTTP request on its way through the edge."""

    __slots__ = ("counted", "decision", "fork", "headers", "id", "path", "principal", "scope", "started_at", "status")

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.started_at = time.perf_counter()
        self.path = canonical(scope["path"])
        self.fork = fork_in(self.path)
        self.headers: dict[str, str] = {}
        self.id = ""
        self.principal: Principal | None = None
        self.counted: Sequence[Window] = ()
        self.decision: Decision | None = None
        self.status = 0

    @property
    def is_call(self) -> bool:
        """Whether a model is called."""
        return self.path in INFERENCE or self.fork is not None

    def answer_headers(self) -> Headers:
        """What every answer carries."""
        took = round((time.perf_counter() - self.started_at) * 1000)
        headers: Headers = [
            (b"x-request-id", self.id.encode("latin-1")),
            (b"openai-processing-ms", b"%d" % took),
            *_API_HEADERS,
        ]
        principal = self.principal
        if principal is not None:
            headers += [
                (b"x-auth-method", principal.auth_method.encode()),
                (b"openai-organization", principal.organization_public_id.encode()),
                (b"openai-project", principal.project_public_id.encode()),
            ]
        if self.decision is not None:
            headers += headers_of(self.decision)
        origin = self.headers.get("origin")
        return headers + cors.headers_for(origin) if origin else headers


Handler = Callable[[Request, Receive, Send], Awaitable[None]]


class Edge:
    """`runtime` is made at startup; before that only the lifespan runs."""

    def __init__(self, django: App, channels: App) -> None:
        self._django = django
        self._channels = channels
        self.runtime: Runtime | None = None

    @property
    def _running(self) -> Runtime:
        if self.runtime is None:
            raise RuntimeError("the edge serves before its startup")
        return self.runtime

    async def http(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; nothing it does ends without an answer in the contract's shape."""
        request = Request(scope)
        try:
            request.headers = read_headers(scope)
            request.id = request_id_of(request.headers)
            logs.request_id.set(request.id)
            logs.client_address.set(address_of(scope))
            await self._serve(request, receive, send)
        except ConnectionError:
            request.status = 499
        except Exception as problem:
            if not request.id:
                request.id = request_id_of({})
                logs.request_id.set(request.id)
            request.status = await self._refuse(request, problem, send)
        if settings.ACCESS_LOG and request.path not in HEALTH:
            _log_access(request)

    @staticmethod
    async def _refuse(request: Request, problem: Exception, send: Send) -> int:
        if isinstance(problem, RateLimited) and request.path.startswith(PAGES):
            return await send_too_many_requests(send, problem, [(b"x-request-id", request.id.encode("latin-1"))])
        return await send_error(send, problem, request.answer_headers())

    async def _serve(self, request: Request, receive: Receive, send: Send) -> None:
        method, path = request.scope["method"], request.path
        is_api = path.startswith("/v1/") or path == "/metrics"
        if is_api and method == "OPTIONS" and "origin" in request.headers:
            await _preflight(request, send)
            return
        if lifecycle.draining and path not in HEALTH:
            raise ServiceUnavailable("The server is restarting. Try again.", code="server_shutdown", retry_after=1)
        if request.is_call and not (path == STORED and method in ("GET", "HEAD")):
            await self._infer(request, receive, send)
            return
        if path not in HEALTH and not path.startswith("/static/"):
            await self._admit(request, is_api=is_api)
        await self._once(request, receive, send, partial(self._to_django, is_api=is_api))

    async def _infer(self, request: Request, receive: Receive, send: Send) -> None:
        if request.scope["method"] != "POST":
            raise MethodNotAllowed("Model calls are made with POST.")
        principal = await self._authenticate(request)
        if principal is None:
            await self._count(request)
            raise unauthenticated()
        if HEADER in request.headers or request.fork is not None:
            # It may be a replay or an edit, which is no model call: only the address counts before that is known.
            address = Caller(logs.client_address.get() or "unknown", user_id=None, key_id=None, is_guest=False)
            await self._admit_to(request, windows_for("POST", "/v1/", address))
        await self._once(request, receive, send, partial(self._call_model, principal))

    async def _call_model(self, principal: Principal, request: Request, receive: Receive, send: Send) -> None:
        body = await read_body(receive, request.headers, settings.MAX_JSON_BYTES)
        path, document, raw, wish = await _asked_in(request, principal, body)
        if wish is not None and not wish.answers:
            await self._count(request)
            branch = await edit(principal, document, wish)
            request.status = 201
            await send_json(send, 201, branch, request.answer_headers())
            return
        call = Call(INFERENCE[path], document, raw, principal.default_model, may_say_nothing=request.fork is not None)
        slot = _slot_of(principal, request.id) if call.stream else None
        windows = windows_of_call(self._running, principal, call, path, logs.client_address.get() or "unknown")
        await self._admit_to(request, windows, slot)
        try:
            request.status = await serve(
                self._running.gateway,
                principal,
                call,
                wish,
                request_id=request.id,
                charge=partial(self._running.limiter.charge, windows),
                headers=request.answer_headers,
                receive=receive,
                send=send,
                keeps=HEADER in request.headers,
            )
        finally:
            if slot is not None:
                await self._running.limiter.release(slot)

    async def _once(self, request: Request, receive: Receive, send: Send, handle: Handler) -> None:
        """Let `handle` answer. With an Idempotency-Key it does so once; then its answer is given again."""
        key, principal = request.headers.get(HEADER), request.principal
        if key is None or principal is None or request.scope["method"] != "POST":
            await handle(request, receive, send)
            return
        body = await read_body(receive, request.headers, settings.MAX_JSON_BYTES)
        claims = self._running.claims
        record = await claims.take(asked_of(principal, request.scope, request.path, key, body))
        if (answer := record.answer()) is not None:
            request.status = await replay(send, answer, request.answer_headers())
            return
        is_call, keeps = request.is_call, may_keep(principal, body)
        async with Recorder(claims, record.public_id, body, receive, send, is_call=is_call, keeps=keeps) as client:
            try:
                await handle(request, client.receive, client.send)
            except ConnectionError:
                raise
            except Exception as problem:
                request.status = await self._refuse(request, problem, client.send)

    async def _admit(self, request: Request, *, is_api: bool) -> None:
        if is_api:
            own = request.path in OWN_CREDENTIAL
            request.scope[SCOPE_PRINCIPAL] = None if own else await self._authenticate(request)
        await self._count(request)

    async def _authenticate(self, request: Request) -> Principal | None:
        """Find the caller. A credential that proves nothing still counts against its address."""
        try:
            request.principal = await self._running.principals.find(credentials_of(request.headers))
            if request.principal is not None:
                check_address(request.principal, logs.client_address.get() or "unknown")
        except AppError:
            await self._count(request)
            raise
        return request.principal

    async def _count(self, request: Request) -> None:
        """Count the request against every limit of the table that concerns it. Raises RateLimited."""
        caller = _caller_of(request.principal, logs.client_address.get() or "unknown")
        await self._admit_to(request, windows_for(request.scope["method"], request.path, caller))

    async def _admit_to(self, request: Request, windows: Sequence[Window], slot: StreamSlot | None = None) -> None:
        """Count the request once in each window. Raises RateLimited; then nothing was counted."""
        if request.counted:
            windows = [window for window in windows if window not in request.counted]
        decision = await self._running.limiter.admit(windows, slot)
        request.decision = decision
        if not decision.allowed:
            raise refusal_of(decision)
        request.counted = windows

    async def _to_django(self, request: Request, receive: Receive, send: Send, *, is_api: bool) -> None:
        limit, size, has_started = settings.MAX_JSON_BYTES, 0, False

        async def counted() -> MutableMapping[str, Any]:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > limit:
                raise too_large(limit)
            return message

        async def marked(message: MutableMapping[str, Any]) -> None:
            nonlocal has_started
            if message["type"] == "http.response.start":
                has_started = True
                request.status = message["status"]
                own = request.answer_headers() if is_api else [(b"x-request-id", request.id.encode("latin-1"))]
                names = {name for name, _ in own}
                message["headers"] = [pair for pair in message.get("headers", []) if pair[0].lower() not in names] + own
            await send(message)

        scope = {**request.scope, "headers": without_trust_headers(request.scope["headers"])}
        if (address := logs.client_address.get()) != "unknown":
            # One answer to where a request comes from, allauth's limits and list of sessions included.
            scope["client"] = (address, (scope.get("client") or ("", 0))[1])
        try:
            await self._django(scope, counted, marked)
        except AppError:
            if has_started:
                return
            raise

    async def websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a WebSocket to Channels, with this process's runtime in its scope."""
        runtime = self._running
        own = {
            SCOPE_RUNTIME: runtime,
            SCOPE_PRINCIPALS: runtime.principals,
            SCOPE_LIMITER: runtime.limiter,
            SCOPE_ADDRESS: address_of(scope),
        }
        await self._channels({**scope, **own}, receive, send)


async def _asked_in(request: Request, principal: Principal, body: bytes) -> tuple[str, Any, bytes, Wish | None]:
    """Return the path a model call counts as, its document, the same in bytes, and what it wants of a conversation."""
    if request.fork is not None:
        document, wish = await read_fork(principal, parse_json(body or b"{}"), request.fork)
        return COUNTED_AS, document, body, wish
    sent = parse_json(body)
    document, wished = read_wish(sent, is_conversational=request.path in CONVERSATION_PATHS)
    # A turn writes what it sends itself. Without one the provider gets these bytes, and nothing that is ours.
    raw = body if wished is not None or document is sent else msgspec.json.encode(document)
    return request.path, document, raw, wished


def _slot_of(principal: Principal, request_id: str) -> StreamSlot:
    return StreamSlot(
        organization=principal.organization_public_id,
        key=principal.key_public_id or principal.user_id,
        member=request_id,
        is_guest=principal.is_guest,
    )


def _caller_of(principal: Principal | None, address: str) -> Caller:
    if principal is None:
        return Caller(address=address, user_id=None, key_id=None, is_guest=False)
    return Caller(
        address=address, user_id=principal.user_id, key_id=principal.key_public_id, is_guest=principal.is_guest
    )


async def _preflight(request: Request, send: Send) -> None:
    request.status = 204
    asked = request.headers.get("access-control-request-headers", "")
    headers = cors.preflight_headers(request.headers["origin"], asked)
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _log_access(request: Request) -> None:
    principal = request.principal
    _access_log.write(
        request.scope["path"],
        {
            "request_id": request.id,
            "method": request.scope["method"],
            "status": request.status,
            "ms": round((time.perf_counter() - request.started_at) * 1000, 1),
            "organization": principal.organization_public_id if principal else None,
            "key": principal.key_public_id if principal else None,
        },
    )

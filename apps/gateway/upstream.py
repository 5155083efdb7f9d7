"""The connection to a provider, behind one small interface so that the client can change."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Protocol

import aiohttp
import msgspec
from django.conf import settings

from apps.catalog.models import ProviderKind
from apps.catalog.snapshot import Target
from apps.core.errors import UpstreamFailed, UpstreamTimeout
from apps.gateway import demo
from apps.gateway.calls import Call
from apps.gateway.chunks import DONE
from apps.gateway.sse import write_events

MAX_ANSWER_BYTES = 64 * 1024 * 1024
# Seconds between two words of the demo model, so that its streaming can be seen.
DEMO_PACE = 0.02


class Answer(Protocol):
    """A provider's answer, headers read, body still coming."""

    status: int
    retry_after: str | None

    async def read(self, limit: int) -> bytes:
        """Return the whole body. Raises UpstreamFailed if it breaks off or is longer than `limit` bytes."""

    async def chunk(self) -> bytes:
        """Return the next bytes, empty at the proper end. Raises UpstreamFailed if the connection broke."""

    def close(self) -> None:
        """Give the connection back if the body was read to its end, else drop it."""


class HttpAnswer:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.retry_after = response.headers.get("retry-after")

    async def read(self, limit: int) -> bytes:
        try:
            body = await self._response.content.readany()
            if self._response.content.at_eof():
                return body
            parts = [body]
            size = len(body)
            async for part in self._response.content.iter_any():
                size += len(part)
                if size > limit:
                    raise UpstreamFailed("The provider's answer is too large.")
                parts.append(part)
            return b"".join(parts)
        except (aiohttp.ClientError, OSError) as problem:
            raise UpstreamFailed("The provider broke off its answer.") from problem

    async def chunk(self) -> bytes:
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, OSError) as problem:
            raise UpstreamFailed("The provider broke off its answer.") from problem

    def close(self) -> None:
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()


class DemoAnswer:
    """The built-in demo model, answering like a provider."""

    status = 200
    retry_after: str | None = None

    def __init__(self, endpoint: str, document: dict[str, Any], *, stream: bool) -> None:
        self._endpoint, self._document = endpoint, document
        self._chunks: Iterator[dict[str, Any]] = demo.stream(endpoint, document) if stream else iter(())
        self._done = False

    async def read(self, limit: int) -> bytes:
        return msgspec.json.encode(demo.answer(self._endpoint, self._document))

    async def chunk(self) -> bytes:
        await asyncio.sleep(DEMO_PACE)
        payload = next(self._chunks, None)
        if payload is not None:
            return write_events([msgspec.json.encode(payload)])
        if self._done:
            return b""
        self._done = True
        return write_events([DONE])

    def close(self) -> None:
        self._chunks = iter(())


class Upstream:
    """Every connection of this process to its providers. One pool, made on first use, closed at exit."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    def _pool(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60, ttl_dns_cache=30)
            self._session = aiohttp.ClientSession(
                connector=connector,
                trust_env=False,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=settings.UPSTREAM_CONNECT_TIMEOUT),
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
                read_bufsize=2**18,
            )
        return self._session

    async def ask(self, target: Target, call: Call, request_id: str) -> Answer:
        """
        Send a call to its provider and return the answer once its headers are here.

        Redirects are not followed: the credential belongs to one address. Raises UpstreamFailed
        or UpstreamTimeout when no answer begins.
        """
        if target.kind == ProviderKind.DEMO:
            return DemoAnswer(call.endpoint, call.document, stream=call.stream)
        headers = {
            "Content-Type": "application/json",
            "Accept": "text/event-stream" if call.stream else "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "jan-server",
            "X-Request-Id": request_id,
        }
        if target.credential:
            headers["Authorization"] = f"Bearer {target.credential}"
        url = f"{target.base_url}/{call.endpoint}"
        try:
            response = await self._pool().post(url, data=call.body_for(target), headers=headers, allow_redirects=False)
        except aiohttp.ServerTimeoutError as problem:
            raise UpstreamTimeout("The provider could not be reached in time.") from problem
        except (aiohttp.ClientError, OSError, ValueError) as problem:
            raise UpstreamFailed("The provider could not be reached.") from problem
        return HttpAnswer(response)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

"""
The guarded client: every outbound request whose address a tenant could choose.

The check is made on the address actually dialled, in the connector's socket factory, so
rebinding, redirects and odd spellings of an address are all covered. Nothing is read from
proxy variables, redirects are not followed, and size and time are bounded.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from django.conf import settings

from apps.core.errors import AppError, BadRequest, UpstreamFailed, UpstreamTimeout

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Python calls these global, or looks past what they carry.
_FORBIDDEN = [
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",
        "100.64.0.0/10",
        "192.0.0.0/24",
        "192.88.99.0/24",
        "198.18.0.0/15",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2002::/16",
        "2001::/32",
        "::ffff:0:0/96",
        "fec0::/10",
    )
]


class AddressForbidden(OSError):
    """The address belongs to this host, its network, or nobody."""


@dataclass(frozen=True)
class Verdict:
    """Whether an address may be dialled, and the rule that says so."""

    allowed: bool
    rule: str


def judge(address: str) -> Verdict:
    """Say whether `address` (an IP literal as the socket has it) may be dialled."""
    ip: _Address = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    for network in settings.EGRESS_EXTRA_PUBLIC:
        if ip in ipaddress.ip_network(network):
            return Verdict(True, f"listed in EGRESS_EXTRA_PUBLIC ({network})")
    for forbidden in _FORBIDDEN:
        if ip in forbidden:
            return Verdict(False, f"in {forbidden}")
    if ip.is_multicast:
        return Verdict(False, "multicast")
    if not ip.is_global:
        return Verdict(False, "not a public address")
    return Verdict(True, "public address")


def guarded_socket(addr_info: tuple[Any, ...]) -> socket.socket:
    """Make the socket for one resolved address, or raise AddressForbidden. For aiohttp's connector."""
    family, kind, proto, _, sockaddr = addr_info
    verdict = judge(str(sockaddr[0]))
    if not verdict.allowed:
        raise AddressForbidden(f"{sockaddr[0]} may not be called: {verdict.rule}")
    return socket.socket(family=family, type=kind, proto=proto)


class Resolver(AbstractResolver):
    """The system's resolver, with `EGRESS_RESOLVER` (host to address) before it."""

    def __init__(self) -> None:
        self._system = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        fixed = settings.EGRESS_RESOLVER.get(host)
        if fixed is None:
            return await self._system.resolve(host, port, family)
        kind = socket.AF_INET6 if ":" in fixed else socket.AF_INET
        return [ResolveResult(hostname=host, host=fixed, port=port, family=kind, proto=0, flags=0)]

    async def close(self) -> None:
        await self._system.close()


@dataclass(frozen=True)
class Fetched:
    status: int
    headers: dict[str, str]
    body: bytes


async def fetch(
    method: str,
    url: str,
    *,
    headers: dict[str, str] | None = None,
    json: Any = None,
    form: dict[str, str] | None = None,
    max_bytes: int = 5 * 1024 * 1024,
    seconds: float = 15.0,
    operators_word: bool = False,
) -> Fetched:
    """
    Make one request to the public internet and return its answer, read whole.

    `operators_word`: an operator set the address, so it may also be of this host or its network.

    `seconds` bounds the whole call, `max_bytes` counts the decompressed body. Raises BadRequest for
    a URL that may not be called, UpstreamFailed or UpstreamTimeout for a failed call.
    """
    check_url(url)
    guard = None if operators_word else guarded_socket
    connector = aiohttp.TCPConnector(resolver=Resolver(), socket_factory=guard, force_close=True)
    session = aiohttp.ClientSession(connector=connector, trust_env=False, timeout=aiohttp.ClientTimeout(total=seconds))
    async with session:
        try:
            asked = session.request(method, url, headers=headers, json=json, data=form, allow_redirects=False)
            async with asked as answer:
                body = await _read_bounded(answer, max_bytes)
                return Fetched(answer.status, dict(answer.headers), body)
        except AppError:
            raise
        except TimeoutError:
            raise UpstreamTimeout(f"No answer within {seconds:g} seconds.") from None
        except (aiohttp.ClientError, OSError, ValueError) as problem:
            if _forbidden(problem):
                raise BadRequest("The URL points to an address that may not be called.", code="url_forbidden") from None
            raise UpstreamFailed("The address could not be reached.") from problem


def check_url(url: str) -> None:
    """Raise BadRequest unless `url` is http(s) with a host and no credentials in it."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or "\\" in url:
        raise BadRequest("Only plain http and https URLs may be called.", code="url_forbidden")


def _forbidden(problem: BaseException | None) -> bool:
    """Look for AddressForbidden in what the connector wrapped around it."""
    if isinstance(problem, AddressForbidden):
        return True
    inner = getattr(problem, "os_error", None) or (problem.__cause__ if problem else None)
    if isinstance(inner, BaseExceptionGroup):
        return any(_forbidden(each) for each in inner.exceptions)
    return inner is not None and _forbidden(inner)


async def _read_bounded(answer: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    total = 0
    async for part in answer.content.iter_chunked(64 * 1024):
        total += len(part)
        if total > max_bytes:
            raise UpstreamFailed(f"The answer is larger than {max_bytes} bytes.")
        parts.append(part)
    return b"".join(parts)


async def addresses_of(host: str, port: int) -> list[str]:
    """Resolve `host` as the guarded client would. Connects to nothing."""
    try:
        ipaddress.ip_address(host)
        return [host]
    except ValueError:
        pass
    fixed = settings.EGRESS_RESOLVER.get(host)
    if fixed is not None:
        return [fixed]
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return sorted({str(entry[4][0]) for entry in found})

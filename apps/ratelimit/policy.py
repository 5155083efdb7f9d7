"""Which limits concern a request: the table in the settings, as windows to count in."""

from __future__ import annotations

import ipaddress
import math
import re
from functools import cache, lru_cache
from typing import NamedTuple

from django.conf import settings
from limits import RateLimitItem, parse

# What the limits of model calls are called, by the canonical path.
_CALLING = {
    "/v1/chat/completions": "inference",
    "/v1/completions": "inference",
    "/v1/embeddings": "inference",
    "/v1/conv/chat/completions": "conversation",
    "/v1/conv/mcp": "conversation",
}


class Caller(NamedTuple):
    """
    Whose request it is, by address and, once known, by public ids.

    `has_own_limits`: limits were set for its key, which replace those every user and key has.
    """

    address: str
    user_id: str | None
    key_id: str | None
    is_guest: bool
    has_own_limits: bool = False


class Window(NamedTuple):
    """
    One limit for one caller. `seconds` is the window's length, `unit` its name: minute, hour.

    `counts` is what the amount is of: requests, or tokens, which are counted when a call has ended.
    """

    name: str
    scope: str
    key: str
    amount: int
    seconds: int
    unit: str
    counts: str = "requests"


class Rule(NamedTuple):
    name: str
    per: str
    amount: int
    seconds: int
    unit: str


def scaled(amount: int) -> int:
    """Return an amount under RATELIMIT_SCALE, at least 1."""
    return max(1, math.ceil(amount * float(settings.RATELIMIT_SCALE)))


@cache
def rules(*names: str) -> tuple[Rule, ...]:
    """Return the rows of the table by their names, scaled, one for each window."""
    found = []
    for name in names:
        row = settings.RATE_LIMITS[name]
        for text in row["limits"]:
            item: RateLimitItem = parse(text)
            found.append(Rule(name, row["per"], scaled(item.amount), item.get_expiry(), item.GRANULARITY.name))
    return tuple(found)


def amount_of(name: str, unit: str) -> int | None:
    """Return how many a row of the table allows in a window, as it is written there; None if it has no such window."""
    items = map(parse, settings.RATE_LIMITS[name]["limits"])
    return next((item.amount for item in items if item.GRANULARITY.name == unit), None)


def sign_in_limit(method: str, path: str) -> str | None:
    """Return the name of the limit of a way in, or None for any other route. `path` is canonical."""
    return next(
        (
            name
            for name, methods, beginning in settings.SIGN_IN_ROUTES
            if path.startswith(beginning) and (not methods or method in methods)
        ),
        None,
    )


@cache
def _organization_routes() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((name, re.compile(pattern)) for name, pattern in settings.ORGANIZATION_ROUTES)


def organization_limit(path: str) -> str | None:
    """Return the name of the limit of a route an organization is managed with, or None. `path` is canonical."""
    return next((name for name, pattern in _organization_routes() if pattern.match(path)), None)


@cache
def _conversation_routes() -> tuple[tuple[str, frozenset[str], re.Pattern[str]], ...]:
    rows = settings.CONVERSATION_ROUTES
    return tuple((name, frozenset(methods.split()), re.compile(pattern)) for name, methods, pattern in rows)


def conversation_limit(method: str, path: str) -> str | None:
    """Return the name of the limit of a route of conversations, or None for any other. `path` is canonical."""
    return next(
        (
            name
            for name, methods, pattern in _conversation_routes()
            if pattern.match(path) and (not methods or method in methods)
        ),
        None,
    )


def _names_for(method: str, path: str, caller: Caller) -> list[str]:
    names = ["all"]
    if way_in := sign_in_limit(method, path):
        names.append(way_in)
    if path.startswith("/v1/"):
        names.append("v1")
    if keeping := organization_limit(path) or conversation_limit(method, path):
        names.append(keeping)
    if method == "POST" and path in _CALLING and not caller.has_own_limits:
        kind = _CALLING[path]
        names.append(f"{kind}_guest" if caller.is_guest else f"{kind}_user")
        if caller.key_id is not None:
            names.append(f"{kind}_key")
    return names


@lru_cache(maxsize=65536)
def network_of(address: str) -> str:
    """Return what counts as one address: itself, or its /64 for IPv6."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return str(ipaddress.ip_network((ip, 64), strict=False))
    return address


@lru_cache(maxsize=8192)
def windows_for(method: str, path: str, caller: Caller) -> tuple[Window, ...]:
    """Return the windows of the table that a request counts in. `path` is canonical."""
    owners = {
        "address": network_of(caller.address),
        "user": caller.user_id,
        "guest": caller.user_id,
        "key": caller.key_id,
        "caller": caller.key_id or caller.user_id,
    }
    return tuple(
        Window(rule.name, rule.per, f"{rule.name}:{rule.unit}:{owner}", rule.amount, rule.seconds, rule.unit)
        for rule in rules(*_names_for(method, path, caller))
        if (owner := owners[rule.per]) is not None
    )

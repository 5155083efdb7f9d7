"""Where a key may be used from: addresses and networks, IPv4 and IPv6."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Iterable
from functools import lru_cache

from apps.core.errors import Forbidden
from apps.organizations.principal import Principal

MAX_ADDRESSES = 100

log = logging.getLogger("jan.api_keys")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def normalized(addresses: Iterable[str]) -> list[str]:
    """
    Return addresses and networks in their one spelling, each once, in order.

    IPv4 is written as such however it came. Raises ValueError naming what is neither: a network
    with bits set beyond its prefix, such as 10.0.0.5/8, may mean two things.
    """
    found = {_network(text) for text in addresses}
    return [_spelled(network) for network in sorted(found, key=_sorting)]


def are_within(addresses: Iterable[str], allowed: Iterable[str] | None) -> bool:
    """Say whether everything in one normalised list lies within another; None is the whole internet."""
    if allowed is None:
        return True
    around = _parsed(tuple(allowed))
    return all(any(_holds(outer, inner) for outer in around) for inner in _parsed(tuple(addresses)))


def common(first: Iterable[str] | None, second: Iterable[str] | None) -> tuple[str, ...] | None:
    """Return what two normalised lists both allow; None is the whole internet, () nothing of it."""
    if first is None or second is None:
        found = second if first is None else first
        return None if found is None else tuple(found)
    one, other = _parsed(tuple(first)), _parsed(tuple(second))
    inside = {inner for inner in one if any(_holds(outer, inner) for outer in other)}
    inside |= {inner for inner in other if any(_holds(outer, inner) for outer in one)}
    return tuple(_spelled(network) for network in sorted(inside, key=_sorting))


def check_address(principal: Principal, address: str) -> None:
    """Raise Forbidden if the caller's key may not be used from this address."""
    if principal.allowed_networks is None or _is_in(address, principal.allowed_networks):
        return
    log.warning("the key %s was refused: it may not be used from %s", principal.key_public_id, address)
    raise Forbidden(f"This key may not be used from {address}.", code="address_not_allowed")


def _network(text: str) -> Network:
    if "%" in text:  # a zone means something on one machine alone
        raise ValueError(f"'{text}' names a zone")
    network = ipaddress.ip_network(text)
    mapped = network.network_address.ipv4_mapped if isinstance(network, ipaddress.IPv6Network) else None
    if mapped is not None and network.prefixlen >= 96:
        return ipaddress.IPv4Network((mapped, network.prefixlen - 96))
    return network


def _spelled(network: Network) -> str:
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def _sorting(network: Network) -> tuple[int, int, int]:
    return network.version, int(network.network_address), network.prefixlen


def _holds(outer: Network, inner: Network) -> bool:
    if isinstance(outer, ipaddress.IPv4Network):
        return isinstance(inner, ipaddress.IPv4Network) and inner.subnet_of(outer)
    return isinstance(inner, ipaddress.IPv6Network) and inner.subnet_of(outer)


@lru_cache(maxsize=4096)
def _parsed(addresses: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in addresses)


@lru_cache(maxsize=65536)
def _is_in(address: str, allowed: tuple[str, ...]) -> bool:
    try:
        network = _network(address)
    except ValueError:  # "unknown": behind a local socket there is no address
        return False
    return any(_holds(outer, network) for outer in _parsed(allowed))

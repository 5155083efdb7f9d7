"""
The secrets of links that invite somebody: random, kept as digests, replaced by sending again.

The link in the mail proves that its bearer reads the address's mail. Whoever invites is shown a link
too, which proves no such thing: its secret follows from the mailed one, and the mailed one from nothing.
One digest is kept for both, so they are good, and end, together.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any, NamedTuple

from django.db.models import QuerySet

from apps.core.ids import random_base62, to_base62

LENGTH = 32


class Found(NamedTuple):
    """The row a link belongs to. `is_mailed`: whether it is the link that only the mail holds."""

    row: Any
    is_mailed: bool


def new_secret() -> str:
    """Return a secret for the mail."""
    return random_base62(LENGTH)


def shown_secret(mailed: str) -> str:
    """Return what whoever invites is shown in place of the mailed secret."""
    follows = hashlib.sha256(b"jan.shown-link:" + mailed.encode()).digest()
    return to_base62(int.from_bytes(follows, "big") % 62**LENGTH, LENGTH)


def digest_of(mailed: str) -> str:
    """Return what is kept of a mailed secret, and of the one that is shown in its place."""
    return _digest(shown_secret(mailed))


def find(rows: QuerySet[Any], secret: str) -> Found | None:
    """Return which of these rows a link's secret opens, or None."""
    if len(secret) != LENGTH or not secret.isascii() or not secret.isalnum():
        return None
    digests = {_digest(secret): False, digest_of(secret): True}
    for row in rows.filter(token_digest__in=list(digests)):
        for digest, is_mailed in digests.items():
            if hmac.compare_digest(row.token_digest, digest):
                return Found(row, is_mailed)
    return None


def _digest(shown: str) -> str:
    return hashlib.sha256(b"jan.link:" + shown.encode()).hexdigest()

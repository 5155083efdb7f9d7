"""
The form of an API key: `<prefix><32 random base62><6 base62 of CRC-32>`.

The checksum lets a mistyped or made-up key be refused without a query, and lets secret
scanners tell ours from chance. Only a keyed hash is stored.
"""

from __future__ import annotations

import hashlib
import hmac
import zlib
from enum import StrEnum

from django.conf import settings

from apps.core.ids import random_base62, to_base62

RANDOM_LENGTH = 32
CHECKSUM_LENGTH = 6


class KeyKind(StrEnum):
    """Whose a key is: a person's, a project's, an organization's (to manage it, or to call models in all of it), ..."""

    USER = "user"
    PROJECT = "project"
    ADMIN = "admin"
    ORGANIZATION = "organization"
    SERVICE_ACCOUNT = "service_account"
    EPHEMERAL = "ephemeral"


PREFIXES: dict[KeyKind, str] = {
    KeyKind.USER: "sk_",
    KeyKind.PROJECT: "jan_pk_",
    KeyKind.ADMIN: "jan_ak_",
    KeyKind.ORGANIZATION: "jan_ok_",
    KeyKind.SERVICE_ACCOUNT: "jan_sa_",
    KeyKind.EPHEMERAL: "jan_ek_",
}


def new_token(kind: KeyKind) -> str:
    """Return a fresh secret of this kind (190 random bits)."""
    body = PREFIXES[kind] + random_base62(RANDOM_LENGTH)
    return body + _checksum(body)


def is_well_formed(token: str) -> bool:
    """Say whether `token` has a known prefix, the right length and a right checksum. No query."""
    for prefix in PREFIXES.values():
        if token.startswith(prefix) and len(token) == len(prefix) + RANDOM_LENGTH + CHECKSUM_LENGTH:
            body, checksum = token[:-CHECKSUM_LENGTH], token[-CHECKSUM_LENGTH:]
            return token.isascii() and hmac.compare_digest(_checksum(body), checksum)
    return False


def digests(token: str) -> dict[str, str]:
    """Return the stored form under each pepper of the ring, newest first: `{pepper id: digest}`."""
    return {pepper_id(pepper): _digest(token, pepper) for pepper in settings.API_KEY_PEPPERS}


def pepper_id(pepper: str) -> str:
    """Return the public name of a pepper: the start of its hash."""
    return hashlib.sha256(b"jan.pepper-id:" + pepper.encode()).hexdigest()[:16]


def _digest(token: str, pepper: str) -> str:
    return hmac.new(pepper.encode(), token.encode(), hashlib.sha256).hexdigest()


def _checksum(body: str) -> str:
    return to_base62(zlib.crc32(body.encode("ascii", "replace")), CHECKSUM_LENGTH)

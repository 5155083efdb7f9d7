"""
Secrets at rest: envelope encryption with a ring of key-encryption keys.

Each owner (an organization, or the platform) has a data key; it is stored only wrapped by a
key of `ENCRYPTION_KEYS`. Values are sealed with AES-256-GCM under the data key, with the
owner, row and column as associated data, so a ciphertext moved to another row does not open.
The first key of the ring wraps; the others still unwrap, until `rotate_encryption_keys` has run.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.db import models, transaction

PLATFORM = "platform"
Opener = Callable[[str, str], str]
_NONCE_BYTES = 12


class SealBroken(Exception):
    """A sealed value does not open: wrong key ring, wrong row, or altered."""


class DataKey(models.Model):
    """An owner's data key, wrapped."""

    owner = models.CharField(max_length=64, unique=True)
    key_id = models.CharField(max_length=16)
    wrapped = models.TextField()

    class Meta:
        app_label = "core"

    def __str__(self) -> str:
        return self.owner


def key_id_of(key: str) -> str:
    """Return the public name of a ring key: the start of its hash."""
    return hashlib.sha256(b"jan.key-id:" + key.encode()).hexdigest()[:16]


def seal(plaintext: str, *, owner: str, context: str) -> str:
    """Return `plaintext` encrypted for `owner`, to be opened only with the same `context` (`table:row:column`)."""
    return _encrypt(_data_key(owner), plaintext.encode(), f"{owner}|{context}")


def unseal(sealed: str, *, owner: str, context: str) -> str:
    """Return the plaintext. Raises SealBroken."""
    return _decrypt(_data_key(owner), sealed, f"{owner}|{context}").decode()


def opener(owner: str) -> Opener:
    """Return what opens several values of an owner, whose key is read once. Called with a value and its context."""
    key = _data_key(owner)
    return lambda sealed, context: _decrypt(key, sealed, f"{owner}|{context}").decode()


def rotate_data_keys() -> int:
    """Wrap every data key with the ring's first key; return how many were wrapped anew."""
    newest = settings.ENCRYPTION_KEYS[0]
    rotated = 0
    for pk in DataKey.objects.exclude(key_id=key_id_of(newest)).values_list("pk", flat=True):
        with transaction.atomic():
            row = DataKey.objects.select_for_update().get(pk=pk)
            row.wrapped = _encrypt(_ring_key(newest), _unwrap(row), row.owner)
            row.key_id = key_id_of(newest)
            row.save()
        rotated += 1
    return rotated


def _data_key(owner: str) -> bytes:
    row = DataKey.objects.filter(owner=owner).first()
    if row is None:
        newest = settings.ENCRYPTION_KEYS[0]
        wrapped = _encrypt(_ring_key(newest), AESGCM.generate_key(256), owner)
        row, _ = DataKey.objects.get_or_create(owner=owner, defaults={"key_id": key_id_of(newest), "wrapped": wrapped})
    return _unwrap(row)


def _unwrap(row: DataKey) -> bytes:
    for key in settings.ENCRYPTION_KEYS:
        if key_id_of(key) == row.key_id:
            return _decrypt(_ring_key(key), row.wrapped, row.owner)
    raise SealBroken(f"No key of ENCRYPTION_KEYS opens the data key of {row.owner}.")


def _ring_key(key: str) -> bytes:
    return hashlib.sha256(b"jan.kek:" + key.encode()).digest()


def _encrypt(key: bytes, plaintext: bytes, context: str) -> str:
    nonce = os.urandom(_NONCE_BYTES)
    return base64.b64encode(nonce + AESGCM(key).encrypt(nonce, plaintext, context.encode())).decode()


def _decrypt(key: bytes, sealed: str, context: str) -> bytes:
    raw = base64.b64decode(sealed)
    try:
        return AESGCM(key).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], context.encode())
    except InvalidTag:
        raise SealBroken(f"The sealed value does not open as {context}.") from None

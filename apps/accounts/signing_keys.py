"""
The keys that sign access and refresh tokens: a ring, newest first.

The first key signs, all of them verify. Each has a public name (`kid`) that stands in the
header of what it signed, and one algorithm, so a token can neither choose nor confuse them.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from allauth.core.internal import jwkkit
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings

KEY_BITS = 2048
_PEM = re.compile(r"-----BEGIN [A-Z ]+-----.+?-----END [A-Z ]+-----", re.S)


@dataclass(frozen=True)
class SigningKey:
    """`jwk` is the published form of an RSA key; a shared secret has none."""

    kid: str
    algorithm: str
    signing: Any
    verifying: Any
    jwk: dict[str, Any] | None = None


@dataclass(frozen=True)
class KeyRing:
    keys: tuple[SigningKey, ...]

    @property
    def newest(self) -> SigningKey:
        return self.keys[0]

    def get(self, kid: object) -> SigningKey | None:
        return next((key for key in self.keys if key.kid == kid), None)


def key_ring() -> KeyRing:
    """Return the ring in force: of JWT_SECRET, of JWT_PRIVATE_KEY, or of the embedded profile's file."""
    if settings.JWT_SECRETS:
        return _of_secrets(tuple(settings.JWT_SECRETS))
    if settings.JWT_KEY_FILE is None:
        return _of_pems(tuple(_PEM.findall(settings.JWT_PRIVATE_KEYS)))
    return _of_file(settings.JWT_KEY_FILE)


def rotate() -> str | None:
    """
    Put a new key in front of the ring.

    Where a file holds the ring it is rewritten and running servers sign with the new key at once;
    None is returned. Where the environment holds it, the value to put there is returned.
    """
    if settings.JWT_SECRETS:
        return ",".join([os.urandom(36).hex(), *settings.JWT_SECRETS])
    if settings.JWT_KEY_FILE is None:
        return "\n".join([new_pem().strip(), *_PEM.findall(settings.JWT_PRIVATE_KEYS)])
    _rotate_file(settings.JWT_KEY_FILE)
    return None


def new_pem() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@cache
def _of_secrets(secrets: tuple[str, ...]) -> KeyRing:
    def key_of(secret: str) -> SigningKey:
        kid = hashlib.sha256(b"jan.kid:" + secret.encode()).hexdigest()[:16]
        return SigningKey(kid, "HS256", secret, secret)

    return KeyRing(tuple(map(key_of, secrets)))


@cache
def _of_pems(pems: tuple[str, ...]) -> KeyRing:
    def key_of(pem: str) -> SigningKey:
        jwk, private_key = jwkkit.load_jwk_from_pem(pem)
        return SigningKey(jwk["kid"], "RS256", private_key, private_key.public_key(), jwk)

    return KeyRing(tuple(map(key_of, pems)))


# --- The file of the embedded profile: [{"pem", "retired_at": unix seconds or null}], newest first ----


def _of_file(path: Path) -> KeyRing:
    try:
        found = path.stat()
    except FileNotFoundError:
        with _locked(path):
            if not path.exists():
                _write(path, [{"pem": new_pem(), "retired_at": None}])
        found = path.stat()
    return _read(path, found.st_mtime_ns, found.st_ino)


@cache
def _read(path: Path, _changed: int, _inode: int) -> KeyRing:
    return _of_pems(tuple(entry["pem"] for entry in json.loads(path.read_text())))


def _rotate_file(path: Path) -> None:
    now = time.time()
    with _locked(path):
        old = json.loads(path.read_text()) if path.exists() else []
        for entry in old:
            entry["retired_at"] = entry["retired_at"] or now
        # No token outlives a refresh token, so a key retired longer ago verifies nothing.
        kept = [e for e in old if e["retired_at"] > now - settings.HEADLESS_JWT_REFRESH_TOKEN_EXPIRES_IN]
        _write(path, [{"pem": new_pem(), "retired_at": None}, *kept])


def _write(path: Path, entries: list[dict[str, Any]]) -> None:
    draft = path.with_name(f".{path.name}.draft")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump(entries, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Several processes may start at once on one folder, and one of them makes the first key."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

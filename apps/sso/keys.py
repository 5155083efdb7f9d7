"""The keys providers sign with. Each is good for one algorithm only, whatever a token says."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from apps.core.errors import UpstreamFailed
from apps.sso.remote import Remembered

ALGORITHMS = ("RS256", "ES256")
MIN_RSA_BITS = 2048
MAX_KEYS = 100


@dataclass(frozen=True)
class VerifyingKey:
    kid: str | None
    algorithm: str
    key: Any


@dataclass(frozen=True)
class KeySet:
    keys: tuple[VerifyingKey, ...]

    def find(self, kid: str | None, algorithm: str) -> VerifyingKey | None:
        """Return the key of that id. A token without a key id was signed by the only key there is, or by none."""
        fitting = [key for key in self.keys if key.algorithm == algorithm]
        if kid is None:
            return fitting[0] if len(fitting) == 1 else None
        return next((key for key in fitting if key.kid == kid), None)


def key_for(jwks_url: str, *, kid: str | None, algorithm: str) -> VerifyingKey | None:
    """Return the key at that address, or None. Raises ServiceUnavailable when the keys cannot be had."""
    found = _published_at(jwks_url).get(lambda keys: keys.find(kid, algorithm) is not None)
    return found.find(kid, algorithm)


@lru_cache(maxsize=256)
def _published_at(url: str) -> Remembered[KeySet]:
    return Remembered(url, parse_keys)


def parse_keys(document: Any) -> KeySet:
    """Read a JSON Web Key Set (RFC 7517); keys we would not use are passed over. Raises UpstreamFailed."""
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise UpstreamFailed("The identity provider published no keys.")
    keys = [_key_of(entry) for entry in entries[:MAX_KEYS] if isinstance(entry, dict)]
    return KeySet(tuple(key for key in keys if key is not None))


def _key_of(entry: dict[str, Any]) -> VerifyingKey | None:
    algorithm = {"RSA": "RS256", "EC": "ES256"}.get(str(entry.get("kty")))
    operations, kid = entry.get("key_ops"), entry.get("kid")
    if algorithm is None or entry.get("alg", algorithm) != algorithm or entry.get("use", "sig") != "sig":
        return None
    if (operations is not None and "verify" not in operations) or not isinstance(kid, str | None):
        return None
    try:
        key = (RSAAlgorithm if algorithm == "RS256" else ECAlgorithm).from_jwk(entry)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    is_rsa = isinstance(key, RSAPublicKey) and key.key_size >= MIN_RSA_BITS
    is_p256 = isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1)
    return VerifyingKey(kid, algorithm, key) if is_rsa or is_p256 else None

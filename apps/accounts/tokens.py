"""
Access and refresh tokens: allauth's headless JWT strategy, signed by a ring of keys.

allauth knows one key and neither issuer, audience nor type; so signing and checking are here
(RFC 7519, RFC 9068), sessions and their link to tokens are allauth's.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import jwt
from allauth.headless.tokens.strategies.jwt import JWTTokenStrategy, internal
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest

from apps.accounts.models import User
from apps.accounts.signing_keys import key_ring
from apps.core.errors import Unauthenticated

LEEWAY_SECONDS = 30
_HEADER = {"alg", "kid", "typ"}  # ours has no more; `crit`, `jku`, `jwk` or `x5u` come from elsewhere


class TokenUse(StrEnum):
    """What a token is for. Its value is the header's `typ`, so neither passes for the other."""

    ACCESS = "at+jwt"
    REFRESH = "refresh+jwt"


@dataclass(frozen=True)
class Token:
    """A verified token: whose it is, the session it belongs to, its id, and until when (unix seconds)."""

    user: User
    session: SessionBase
    jti: str
    expires_at: float


class TokenStrategy(JWTTokenStrategy):
    """What allauth calls to make tokens."""

    def create_access_token(self, request: HttpRequest) -> str:
        return sign(TokenUse.ACCESS, request.user, request.session)[0]

    def create_access_token_payload(self, request: HttpRequest) -> dict[str, Any]:
        return {"access_token": self.create_access_token(request)}

    def _get_access_token(self, request: HttpRequest) -> None:
        return None  # allauth's own endpoints are not served


def looks_like_token(credential: str) -> bool:
    """Say whether a credential has a JWT's three parts. Costs nothing."""
    return credential.count(".") == 2


def issuer_of(token: str) -> str | None:
    """Return whom a token claims to come from. Nothing of it is verified."""
    try:
        issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
    except (jwt.PyJWTError, ValueError, RecursionError):
        return None
    return issuer if isinstance(issuer, str) else None


def sign(use: TokenUse, user: AbstractBaseUser | Any, session: SessionBase) -> tuple[str, str]:
    """Return a new token of a saved session, and its id."""
    if session.session_key is None:
        raise ValueError("a token names its session, so the session has to be saved first")
    lives = {
        TokenUse.ACCESS: settings.HEADLESS_JWT_ACCESS_TOKEN_EXPIRES_IN,
        TokenUse.REFRESH: settings.HEADLESS_JWT_REFRESH_TOKEN_EXPIRES_IN,
    }
    now, jti, key = int(time.time()), str(uuid.uuid4()), key_ring().newest
    claims = {
        "iss": settings.TOKEN_ISSUER,
        "aud": settings.TOKEN_AUDIENCE,
        "sub": user.pk,
        "sid": internal.session_key_to_sid(session.session_key),
        "jti": jti,
        "iat": now,
        "exp": now + lives[use],
    }
    return jwt.encode(claims, key.signing, algorithm=key.algorithm, headers={"kid": key.kid, "typ": use.value}), jti


def verify_access_token(token: str) -> Token:
    """
    Return whose access token this is: signature, type, issuer, audience, times, session and user are checked.

    Raises Unauthenticated (`token_expired` or `invalid_token`).
    """
    return _verify(token, TokenUse.ACCESS)


def verify_refresh_token(token: str) -> Token:
    """As `verify_access_token`, for refresh tokens. Whether it is the newest of its family is not asked here."""
    return _verify(token, TokenUse.REFRESH)


def verify_token(token: str) -> Token:
    """As the two above, for a token of either use."""
    try:
        return _verify(token, TokenUse.ACCESS)
    except Unauthenticated:
        return _verify(token, TokenUse.REFRESH)


def _verify(token: str, use: TokenUse) -> Token:
    try:
        claims = _decode(token, use)
    except jwt.ExpiredSignatureError:
        raise Unauthenticated("The token has expired.", code="token_expired") from None
    except (jwt.PyJWTError, ValueError, RecursionError, OverflowError):
        raise invalid_token() from None
    session = internal.get_token_session(claims)
    user = internal.validate_token_user(claims, session) if session is not None else None
    if session is None or not isinstance(user, User) or not user.is_active:
        raise invalid_token()
    return Token(user, session, str(claims["jti"]), float(claims["exp"]))


def _decode(token: str, use: TokenUse) -> dict[str, Any]:
    header = jwt.get_unverified_header(token)
    key = key_ring().get(header.get("kid"))
    if key is None or header.get("typ") != use.value or set(header) != _HEADER:
        raise jwt.InvalidTokenError("not one of ours")
    return jwt.decode(
        token,
        key=key.verifying,
        algorithms=[key.algorithm],
        issuer=settings.TOKEN_ISSUER,
        audience=settings.TOKEN_AUDIENCE,
        leeway=LEEWAY_SECONDS,
        options={"require": ["exp", "iat", "sub", "sid", "jti", "iss", "aud"], "strict_aud": True},
    )


def invalid_token() -> Unauthenticated:
    """Return the refusal of a token that proves nothing."""
    return Unauthenticated("The token is not valid.", code="invalid_token")


def published_keys() -> dict[str, Any]:
    """Return the JSON Web Key Set that verifies our tokens (RFC 7517). Public keys only; empty with a shared secret."""
    return {"keys": [{**key.jwk, "use": "sig", "alg": key.algorithm} for key in key_ring().keys if key.jwk is not None]}

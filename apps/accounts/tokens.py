"""
Access and refresh tokens: allauth's headless JWT strategy, with issuer and audience.

allauth signs and rotates; we add `iss` and `aud` to access tokens and check them, which it does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import jwt
from allauth.core.internal import jwkkit
from allauth.headless.tokens.strategies.jwt import JWTTokenStrategy, internal
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser

from apps.accounts.models import User
from apps.core.errors import Unauthenticated

LEEWAY_SECONDS = 30


@dataclass(frozen=True)
class AccessToken:
    """A verified access token: whose it is, and until when (unix seconds)."""

    user: User
    expires_at: float


class TokenStrategy(JWTTokenStrategy):
    def get_claims(self, user: AbstractBaseUser) -> dict[str, Any]:
        return {"iss": settings.TOKEN_ISSUER, "aud": settings.TOKEN_AUDIENCE}


def looks_like_token(credential: str) -> bool:
    """Say whether a credential has a JWT's three parts. Costs nothing."""
    return credential.count(".") == 2


def verify_access_token(token: str) -> AccessToken:
    """
    Return whose access token this is: signature, issuer, audience, times, use, session and user are checked.

    Raises Unauthenticated (`token_expired` or `invalid_token`).
    """
    _, public_key = _signing_key(settings.HEADLESS_JWT_PRIVATE_KEY)
    try:
        claims = jwt.decode(
            token,
            key=public_key,
            algorithms=[settings.HEADLESS_JWT_ALGORITHM],
            issuer=settings.TOKEN_ISSUER,
            audience=settings.TOKEN_AUDIENCE,
            leeway=LEEWAY_SECONDS,
            options={"require": ["exp", "iat", "sub", "sid", "jti", "iss", "aud"]},
        )
    except jwt.ExpiredSignatureError:
        raise Unauthenticated("The access token has expired. Refresh it.", code="token_expired") from None
    except (jwt.PyJWTError, ValueError):
        raise _invalid() from None
    session = internal.get_token_session(claims) if claims.get("token_use") == "access" else None
    user = internal.validate_token_user(claims, session) if session is not None else None
    if not isinstance(user, User) or not user.is_active:
        raise _invalid()
    return AccessToken(user=user, expires_at=float(claims["exp"]))


def _invalid() -> Unauthenticated:
    return Unauthenticated("The access token is not valid.", code="invalid_token")


@cache
def _signing_key(pem: str) -> tuple[dict[str, Any], Any]:
    """Return the published form and the public half of the signing key. Parsing one takes a millisecond."""
    jwk, private_key = jwkkit.load_jwk_from_pem(pem)
    return jwk, private_key.public_key()


def published_keys() -> dict[str, Any]:
    """Return the JSON Web Key Set that verifies our tokens (RFC 7517). Public keys only."""
    jwk, _ = _signing_key(settings.HEADLESS_JWT_PRIVATE_KEY)
    return {"keys": [{**jwk, "use": "sig", "alg": settings.HEADLESS_JWT_ALGORITHM}]}

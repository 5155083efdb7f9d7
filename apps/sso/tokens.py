"""
Tokens that providers made: ID tokens of a sign-in, access tokens sent to the API.

Both are checked here alike: signature with a published key, issuer, times. What a token is for is
checked apart, so that neither passes for the other.
"""

from __future__ import annotations

import hmac
from typing import Any

import jwt

from apps.accounts.tokens import LEEWAY_SECONDS, invalid_token
from apps.core.errors import BadRequest, Unauthenticated
from apps.sso.keys import ALGORITHMS, key_for
from apps.sso.metadata import jwks_url_of
from apps.sso.models import MAX_SUBJECT, IdentityProvider

MAX_LENGTH = 16 * 1024
# Headers that bring a key along, or change what the rest means.
_REFUSED_HEADERS = frozenset({"crit", "b64", "jwk", "jku", "x5u", "x5c", "zip", "enc"})
_ACCESS_TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})
# Only ID and logout tokens have these (OpenID Connect Core 3.1.3.6, Back-Channel Logout 2.4).
_NOT_IN_ACCESS_TOKENS = frozenset({"at_hash", "c_hash", "events"})


def access_token_claims(provider: IdentityProvider, token: str) -> dict[str, Any]:
    """
    Return the claims of an access token of this provider made for us.

    Raises Unauthenticated (`token_expired`, `invalid_token`), ServiceUnavailable without keys.
    """
    try:
        claims = _verified(provider, token, _ACCESS_TYPES)
    except jwt.ExpiredSignatureError:
        raise Unauthenticated("The token has expired.", code="token_expired") from None
    except (jwt.PyJWTError, ValueError, RecursionError, OverflowError):
        raise invalid_token() from None
    if not _is_access_token(claims) or not _names_us(claims, provider.accepted_audiences):
        raise invalid_token()
    return claims


def id_token_claims(provider: IdentityProvider, token: str, *, nonce: str) -> dict[str, Any]:
    """Return the claims of the ID token that answers our question. Raises BadRequest (`invalid_id_token`)."""
    try:
        claims = _verified(provider, token, frozenset({"jwt"}))
    except (jwt.PyJWTError, ValueError, RecursionError, OverflowError):
        claims = {}
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    is_ours = provider.client_id in audiences and claims.get("azp", provider.client_id) == provider.client_id
    is_answer = hmac.compare_digest(str(claims.get("nonce", "")).encode("utf-8", "replace"), nonce.encode())
    if not is_ours or not is_answer:
        raise BadRequest("The identity provider's ID token is not valid.", code="invalid_id_token")
    return claims


def _verified(provider: IdentityProvider, token: str, types: frozenset[str]) -> dict[str, Any]:
    """Check all but what the token is for. Raises PyJWTError, ValueError, RecursionError or OverflowError."""
    if len(token) > MAX_LENGTH:
        raise jwt.InvalidTokenError("too long")
    header = jwt.get_unverified_header(token)
    algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
    if algorithm not in ALGORITHMS or _REFUSED_HEADERS & header.keys():
        raise jwt.InvalidTokenError("not a form that is taken")
    if not isinstance(kind, str) or kind.lower() not in types or not isinstance(kid, str | None):
        raise jwt.InvalidTokenError("not a type that is taken")
    key = key_for(jwks_url_of(provider), kid=kid, algorithm=algorithm)
    if key is None:
        raise jwt.InvalidTokenError("signed by nobody we know")
    claims: dict[str, Any] = jwt.decode(
        token,
        key=key.key,
        algorithms=[key.algorithm],
        issuer=provider.issuer,
        leeway=LEEWAY_SECONDS,
        options={"require": ["exp", "sub", "iss"], "verify_aud": False},
    )
    subject, times = claims["sub"], [claims[name] for name in ("exp", "iat", "nbf") if name in claims]
    if not (0 < len(subject) <= MAX_SUBJECT) or "\x00" in subject or any(type(at) not in (int, float) for at in times):
        raise jwt.InvalidTokenError("claims of the wrong kind")
    return claims


def _is_access_token(claims: dict[str, Any]) -> bool:
    """Keycloak and Cognito say in the claims what a token is for; others may not."""
    is_marked = str(claims.get("typ", "Bearer")).lower() == "bearer" and claims.get("token_use", "access") == "access"
    return is_marked and not _NOT_IN_ACCESS_TOKENS & claims.keys()


def _names_us(claims: dict[str, Any], accepted: list[str]) -> bool:
    audience = claims.get("aud")
    named = [*(audience if isinstance(audience, list) else [audience]), claims.get("azp")]
    return any(isinstance(name, str) and name in accepted for name in named)

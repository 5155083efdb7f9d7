"""Signing in with a provider: the authorization code flow with PKCE (OpenID Connect Core 3.1, RFC 9700)."""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import Any
from urllib.parse import quote, urlencode

from apps.core.errors import BadRequest, ServiceUnavailable, UpstreamFailed
from apps.core.sealing import SealBroken
from apps.sso.metadata import Metadata, metadata_of
from apps.sso.models import IdentityProvider
from apps.sso.remote import ProviderRefused, fetch_json
from apps.sso.tokens import id_token_claims


def new_verifier() -> str:
    """Return a secret that ties an authorization code to whoever asked for it (RFC 7636)."""
    return secrets.token_urlsafe(48)


def nonce_of(verifier: str) -> str:
    """Return what the ID token has to repeat: as secret as the verifier, and not to be told from it."""
    return _digest(f"nonce:{verifier}")


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def authorization_url(provider: IdentityProvider, *, callback_url: str, state: str, verifier: str) -> str:
    """Return where somebody signs in. Raises ServiceUnavailable if the provider cannot be asked."""
    endpoint = metadata_of(provider).authorization_endpoint
    params = {
        "response_type": "code",
        "client_id": provider.client_id,
        "redirect_uri": callback_url,
        "scope": " ".join(dict.fromkeys(["openid", *provider.scopes.split()])),
        "state": state,
        "nonce": nonce_of(verifier),
        "code_challenge": _digest(verifier),
        "code_challenge_method": "S256",
    }
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(params)}"


def check_issuer(provider: IdentityProvider, issuer: str | None) -> None:
    """Raise BadRequest if an answer says that it comes from somebody else (RFC 9207)."""
    if issuer is None and not metadata_of(provider).names_itself:
        return
    if issuer != provider.issuer:
        raise BadRequest("The answer is of another identity provider.", code="issuer_mismatch", param="iss")


def redeem(provider: IdentityProvider, *, code: str, callback_url: str, verifier: str) -> dict[str, Any]:
    """
    Exchange an authorization code for verified claims.

    Raises BadRequest (`invalid_grant`, `invalid_id_token`), UpstreamFailed, UpstreamTimeout or
    ServiceUnavailable.
    """
    metadata = metadata_of(provider)
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": callback_url, "code_verifier": verifier}
    headers = _authenticate(provider, metadata, form)
    try:
        tokens = fetch_json("POST", metadata.token_endpoint, headers=headers, form=form)
    except ProviderRefused:
        raise BadRequest("The identity provider does not know this code.", code="invalid_grant", param="code") from None
    if not isinstance(tokens, dict) or not isinstance(tokens.get("id_token"), str):
        raise UpstreamFailed("The identity provider sent no ID token.")
    claims = id_token_claims(provider, tokens["id_token"], nonce=nonce_of(verifier))
    if "email" in claims or not metadata.userinfo_endpoint:
        return claims
    return {**_userinfo(metadata, tokens, claims["sub"]), **claims}


def _authenticate(provider: IdentityProvider, metadata: Metadata, form: dict[str, str]) -> dict[str, str]:
    """Say who we are: in a header, or in `form` for providers that want it there and for public clients."""
    try:
        secret = provider.client_secret
    except SealBroken:
        raise ServiceUnavailable("The client secret cannot be opened; an operator has to enter it again.") from None
    if secret and not metadata.secret_in_body:
        pair = f"{quote(provider.client_id, safe='')}:{quote(secret, safe='')}"
        return {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    form.update({"client_id": provider.client_id} | ({"client_secret": secret} if secret else {}))
    return {}


def _userinfo(metadata: Metadata, tokens: dict[str, Any], subject: str) -> dict[str, Any]:
    """Return the claims that stand at the userinfo endpoint, if they are about the same person (Core 5.3.2)."""
    headers = {"authorization": f"Bearer {tokens.get('access_token', '')}"}
    try:
        claims = fetch_json("GET", metadata.userinfo_endpoint, headers=headers)
    except ProviderRefused:
        return {}
    return claims if isinstance(claims, dict) and claims.get("sub") == subject else {}

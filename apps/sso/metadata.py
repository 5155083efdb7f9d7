"""Where a provider's endpoints are: its discovery document (OpenID Connect Discovery 1.0)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from apps.core.egress import check_url
from apps.core.errors import AppError, UpstreamFailed
from apps.sso.models import IdentityProvider
from apps.sso.remote import Remembered


@dataclass(frozen=True)
class Metadata:
    """`names_itself`: whether its answers carry `iss` (RFC 9207). `secret_in_body`: it wants no Basic header."""

    authorization_endpoint: str
    token_endpoint: str
    userinfo_endpoint: str
    jwks_url: str
    names_itself: bool
    secret_in_body: bool


def metadata_of(provider: IdentityProvider) -> Metadata:
    """Return the provider's endpoints. Raises ServiceUnavailable when they cannot be had."""
    return _discovered(provider.metadata_url, provider.issuer).get()


def jwks_url_of(provider: IdentityProvider) -> str:
    """Return where its keys are: what an operator set, else what discovery says."""
    return provider.jwks_url or metadata_of(provider).jwks_url


@lru_cache(maxsize=256)
def _discovered(url: str, issuer: str) -> Remembered[Metadata]:
    return Remembered(url, partial(_parse, issuer))


def _parse(issuer: str, document: Any) -> Metadata:
    """A document about somebody else is refused: it would send our people, and their codes, elsewhere."""
    if not isinstance(document, dict) or document.get("issuer") != issuer:
        raise UpstreamFailed("The discovery document is of another issuer.")
    methods = document.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    return Metadata(
        authorization_endpoint=_url(document, "authorization_endpoint"),
        token_endpoint=_url(document, "token_endpoint"),
        userinfo_endpoint=_url(document, "userinfo_endpoint") if "userinfo_endpoint" in document else "",
        jwks_url=_url(document, "jwks_uri"),
        names_itself=document.get("authorization_response_iss_parameter_supported") is True,
        secret_in_body="client_secret_basic" not in methods,
    )


def _url(document: dict[str, Any], name: str) -> str:
    url = document.get(name)
    try:
        check_url(url if isinstance(url, str) else "")
    except (AppError, ValueError):
        raise UpstreamFailed(f"The discovery document has no {name}.") from None
    return str(url)

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core.cache import cache

from apps.accounts.models import User
from apps.sso.models import IdentityProvider, ProviderKind
from tests.parts.issuer import ScriptedIssuer, mock_provider


@pytest.fixture(autouse=True)
def _fresh_limits() -> None:
    """Attempts are counted in the cache, which outlives a test."""
    cache.clear()


@pytest.fixture(scope="session")
def mock() -> Iterator[str]:
    """The issuer of a running `oidc-provider-mock`."""
    with mock_provider() as issuer:
        yield issuer


@pytest.fixture
def issuer() -> Iterator[ScriptedIssuer]:
    """An issuer that says what the test wants."""
    with ScriptedIssuer() as running:
        yield running


def add_provider(issuer: str, slug: str = "oidc", **fields: Any) -> IdentityProvider:
    row = IdentityProvider(
        **{
            "slug": slug,
            "name": slug.title(),
            "kind": ProviderKind.OIDC,
            "issuer": issuer,
            "client_id": "jan",
            **fields,
        }
    )
    row.client_secret = "client-secret-0001"
    row.save()
    return row


def add_user(email: str, *, verified: bool = True, **fields: Any) -> User:
    """Somebody with an address here, confirmed or not."""
    user = User.objects.create_user(email, "analytical-engine-1", **fields)
    EmailAddress.objects.create(user=user, email=email, verified=verified, primary=True)
    return user

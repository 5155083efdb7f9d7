from __future__ import annotations

import socket

import pytest
from django.core.cache import cache
from django.test import Client

from apps.accounts.models import User

SIGN_IN = "allauth.account.auth_backends.AuthenticationBackend"


@pytest.fixture(autouse=True)
def _fresh_limits() -> None:
    """Sign-in attempts are counted in the cache, which outlives a test."""
    cache.clear()


@pytest.fixture
def operator(db: None) -> User:
    return User.objects.create_superuser("op@example.com", "correct-horse-9", name="Operator")


@pytest.fixture
def person(db: None) -> User:
    return User.objects.create_user("ada@example.com", "analytical-engine-1", name="Ada")


@pytest.fixture
def admin_client(operator: User) -> Client:
    client = Client()
    client.force_login(operator, backend=SIGN_IN)
    return client


@pytest.fixture
def free_address() -> str:
    """A base URL on this machine where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/v1"

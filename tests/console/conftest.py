from __future__ import annotations

import socket

import pytest
from allauth.account.authentication import AUTHENTICATION_METHODS_SESSION_KEY
from allauth.account.internal.flows.login import record_authentication
from django.core.cache import cache
from django.http import HttpRequest
from django.test import Client

from apps.accounts.models import User

SIGN_IN = "apps.accounts.backends.ProvenAddressBackend"


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
    prove(client, operator)
    return client


def prove(client: Client, user: User, seconds_ago: float = 0.0) -> None:
    """Let the browser's session be one in which the password was given, so long ago."""
    request = HttpRequest()
    request.session = client.session
    record_authentication(request, user, "password")
    request.session[AUTHENTICATION_METHODS_SESSION_KEY][-1]["at"] -= seconds_ago
    request.session.save()


@pytest.fixture
def free_address() -> str:
    """A base URL on this machine where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/v1"

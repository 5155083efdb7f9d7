from __future__ import annotations

import socket

import pytest
from allauth.account.models import EmailAddress
from django.core.cache import cache

from apps.accounts.models import User


@pytest.fixture(autouse=True)
def _fresh_limits() -> None:
    """Attempts are counted in the cache, which outlives a test."""
    cache.clear()


@pytest.fixture
def person(db: None) -> User:
    """Somebody with a confirmed address."""
    user = User.objects.create_user("ada@example.com", "analytical-engine-1", name="Ada")
    EmailAddress.objects.create(user=user, email="ada@example.com", verified=True, primary=True)
    return user


@pytest.fixture
def free_port() -> int:
    """A port of this machine where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

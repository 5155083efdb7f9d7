from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import redis

from tests.mailbox import Mailbox
from tests.provider import Provider
from tests.server import Server, start_server


@pytest.fixture
def redis_url(worker_id: str) -> Iterator[str]:
    """An empty Redis database of this worker's own."""
    number = 1 if worker_id == "master" else 1 + int(worker_id.removeprefix("gw"))
    url = f"{os.environ['JAN_TEST_REDIS_URL']}/{number}"
    client = redis.Redis.from_url(url)
    client.flushdb()
    yield url
    client.close()


@pytest.fixture(scope="session")
def provider() -> Iterator[Provider]:
    """An OpenAI-compatible provider on a real socket; `tests.provider` says how it is told what to do."""
    with Provider() as running:
        yield running


@pytest.fixture(scope="session")
def mailbox() -> Iterator[Mailbox]:
    """A mail server on a real socket; tests take the mails of addresses of their own."""
    with Mailbox() as running:
        yield running


@pytest.fixture(scope="session")
def live(provider: Provider) -> Iterator[Server]:
    """The embedded profile: one process, SQLite."""
    with start_server(provider, profile="sqlite") as server:
        yield server


@pytest.fixture(scope="session")
def live_pg(provider: Provider) -> Iterator[Server]:
    """A production-like installation: PostgreSQL, Redis, two web processes, a drainer."""
    with start_server(provider, profile="postgres") as server:
        yield server

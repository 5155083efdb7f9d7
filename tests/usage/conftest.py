from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.core.ids import new_id
from apps.usage.journal import Accepted, Journal
from tests.api_keys.conftest import ada as ada
from tests.api_keys.conftest import eve as eve

ACCEPTED_AT = 1_790_000_000.0


def accepted(**changes: Any) -> Accepted:
    fields: dict[str, Any] = {
        "usage_id": new_id("usage"),
        "request_id": "req_1",
        "organization_id": 1,
        "project_id": 2,
        "user_id": "user_1",
        "api_key_id": 3,
        "provider_id": 4,
        "endpoint": "chat/completions",
        "model": "org/model",
        "is_stream": True,
        "accepted_at": ACCEPTED_AT,
    }
    return Accepted(**{**fields, **changes})


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def make_journal(directory: Path) -> Iterator[Callable[..., Journal]]:
    made = []

    def make(**options: Any) -> Journal:
        made.append(Journal(directory, 0.05, **options))
        return made[-1]

    yield make
    for journal in made:
        journal.close()


@pytest.fixture
def journal(make_journal: Callable[..., Journal]) -> Journal:
    return make_journal()


def files(directory: Path) -> list[str]:
    """The journal's files, by ending."""
    return sorted(name.partition(".")[2] for name in os.listdir(directory) if name != "drainer.lock")

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.files.storage import default_storage

from apps.personal_data.archives import FOLDER
from tests.api_keys.conftest import Caller, sign_up


@pytest.fixture(autouse=True)
def _no_files() -> Iterator[None]:
    yield
    if default_storage.exists(FOLDER):
        for name in default_storage.listdir(FOLDER)[1]:
            default_storage.delete(f"{FOLDER}/{name}")


@pytest.fixture
def ada(db: None) -> Caller:
    return sign_up("ada@example.com", name="Ada", username="ada")


@pytest.fixture
def bob(db: None) -> Caller:
    return sign_up("bob@example.com", name="Bob", username="bob")

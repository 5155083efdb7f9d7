from __future__ import annotations

from typing import Any

import pytest

from tests.api_keys.conftest import Caller, guest, sign_up

__all__ = ["guest"]

PATH = "/v1/conversations"


@pytest.fixture
def ada(db: None) -> Caller:
    return sign_up("ada@example.com")


def made(caller: Caller, **body: Any) -> dict[str, Any]:
    answer = caller.call("POST", PATH, body)
    assert answer.status_code == 200, answer.content
    return answer.json()


def refused(answer: Any) -> tuple[int, str, str | None]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["param"]

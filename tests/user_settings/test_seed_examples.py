"""The curl examples of seeds/000 about user settings, as printed, answered by a running server."""

from __future__ import annotations

import pytest

from tests.api_keys.conftest import Curl
from tests.server import Server
from tests.user_settings.conftest import DEFAULTS, having

pytestmark = pytest.mark.e2e

GET = """curl -H "Authorization: Bearer <token>" \\
 http://localhost:8000/v1/users/me/settings"""
PATCH = """curl -X PATCH http://localhost:8000/v1/users/me/settings \\
 -H "Authorization: Bearer <token>" \\
 -H "Content-Type: application/json" \\
 -d '{
   "memory_config": {
     "enabled": true,
     "max_user_items": 5
   },
   "profile_settings": {
     "base_style": "Professional",
     "nick_name": "Dev"
   }
 }'"""


def test_settings_are_read_changed_and_read_again(live: Server, curl: Curl):
    guest = live.call("POST", "/llm/auth/guest-login")
    before = curl(GET, token=guest["access_token"])
    ids = {"id": before.json()["id"], "user_id": guest["user_id"]}
    assert (before.status_code, before.json()) == (200, {**ids, **DEFAULTS})
    changed = curl(PATCH, token=guest["access_token"])
    wanted = having(
        memory_config={"max_user_items": 5}, profile_settings={"base_style": "Professional", "nick_name": "Dev"}
    )
    assert (changed.status_code, changed.json()) == (200, {**ids, **wanted})
    assert curl(GET, token=guest["access_token"]).json() == changed.json()

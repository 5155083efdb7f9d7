"""Many calls at once on a running server, on both databases: the last place for a key is given once."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from tests.api_keys.test_personal_keys import KEYS
from tests.server import Server

pytestmark = pytest.mark.e2e
# Somebody with one key less than the limit, and a token of theirs.
SCRIPT = """
import json
from django.conf import settings
from apps.api_keys.models import ApiKey
from tests.api_keys.conftest import sign_up
caller = sign_up("almost-full@example.com")
caller.user.emailaddress_set.create(email=caller.user.email, verified=True, primary=True)
fields = dict(kind="user", name="k", organization=caller.organization, project=caller.project, user=caller.user)
rows = [ApiKey(**fields, digest=f"{number:064}", pepper_id="-") for number in range(settings.MAX_KEYS_PER_USER - 1)]
ApiKey.objects.bulk_create(rows)
print(json.dumps([caller.secret, len(rows)]))
"""


@pytest.mark.parametrize("profile", ["live", "live_pg"])
def test_the_last_place_is_given_once(request: pytest.FixtureRequest, profile: str):
    server: Server = request.getfixturevalue(profile)
    made = server.manage("shell", "--no-imports", "-c", SCRIPT)
    assert made.returncode == 0, made.stderr
    token, before = json.loads(made.stdout.strip().splitlines()[-1])
    headers = {"authorization": f"Bearer {token}"}

    def create(number: int) -> httpx2.Response:
        return httpx2.post(server.base_url + KEYS, json={"name": f"k{number}"}, headers=headers, timeout=30)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(create, range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    refused = [answer.json()["error"] for answer in answers if answer.status_code == 409]
    assert {error["code"] for error in refused} == {"too_many_api_keys"}
    assert httpx2.get(server.base_url + KEYS, headers=headers).json()["total"] == before + 1

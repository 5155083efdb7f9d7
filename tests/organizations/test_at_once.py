"""Many calls at once on a running server, on both databases: an organization never loses its last owner."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from tests.server import Server

pytestmark = pytest.mark.e2e
# An organization of two owners, whose tokens are printed.
SCRIPT = """
import json
from apps.organizations.roles import Role
from apps.projects.services import create_organization
from tests.api_keys.conftest import join, sign_up
first, second = sign_up("first@race.example.com"), sign_up("second@race.example.com")
organization = create_organization(name="Race", owner=first.user)
join(second.user, organization, Role.OWNER)
print(json.dumps([organization.public_id, *([each.user.pk, each.secret] for each in (first, second))]))
"""


class Race:
    """Two owners who act at once."""

    def __init__(self, server: Server) -> None:
        made = server.manage("shell", "--no-imports", "-c", SCRIPT)
        assert made.returncode == 0, made.stderr
        organization, *self.owners = json.loads(made.stdout.strip().splitlines()[-1])
        self.url = f"{server.base_url}/v1/organization/{organization}"
        self.users = f"{self.url}/users"

    def call(self, who: int, method: str, path: str, body: Any = None) -> httpx2.Response:
        headers = {"authorization": f"Bearer {self.owners[who][1]}"}
        return httpx2.request(method, self.url + path, json=body, headers=headers, timeout=60)

    def role_of(self, who: int) -> str:
        return str(self.call(who, "GET", f"/users/{self.owners[who][0]}").json()["role"])

    def demote(self, who: int) -> httpx2.Response:
        """Let one demote the other."""
        return self.call(who, "POST", f"/users/{self.owners[1 - who][0]}", {"role": "admin"})


@pytest.mark.parametrize("profile", ["live", "live_pg"])
def test_of_two_owners_who_demote_each_other_one_stays(request: pytest.FixtureRequest, profile: str):
    race = Race(request.getfixturevalue(profile))
    with ThreadPoolExecutor(20) as pool:
        for _ in range(3):
            answers = list(pool.map(race.demote, [0, 1] * 10))
            # The winner's later tries change nothing: the other is an admin already.
            winner = 0 if race.role_of(0) == "owner" else 1
            assert (race.role_of(winner), race.role_of(1 - winner)) == ("owner", "admin")
            assert all(answer.status_code == 200 for answer in answers[winner::2])
            lost = {answer.json()["error"]["code"] for answer in answers[1 - winner :: 2]}
            assert lost <= {"last_owner", "insufficient_permissions"}
            back = race.call(winner, "POST", f"/users/{race.owners[1 - winner][0]}", {"role": "owner"})
            assert back.status_code == 200
        # All at once they leave, and one of them is told to stay.
        left = list(pool.map(lambda who: race.call(who, "POST", "/leave"), [0, 1] * 10))
    assert [answer.status_code for answer in left].count(200) == 1
    codes = {answer.json()["error"]["code"] for answer in left if answer.status_code != 200}
    assert codes <= {"last_owner", "user_not_found", "organization_not_found"}
    assert sorted(race.call(who, "GET", "").status_code for who in (0, 1)) == [200, 404]

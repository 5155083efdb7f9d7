"""The life of a session over the API: signed in, refreshed, revoked, and honoured by every process."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import httpx2
import jwt
import psycopg
import pytest

from tests.provider import Provider
from tests.server import Server, start_server

pytestmark = pytest.mark.e2e
JSON = {"content-type": "application/json"}
TOKENS = {"access_token", "refresh_token", "token_type", "expires_in"}
HONOURED_WITHIN = 2.0
REFRESH_PATHS = (
    "/v1/auth/refresh-token", "/auth/refresh-token", "/llm/auth/refresh-token", "/api/v1/auth/refresh",
)  # fmt: skip


@dataclass
class Caller:
    """A guest at a server, with its newest tokens."""

    client: httpx2.Client
    user_id: str
    access: str
    refresh: str

    def bearer(self, token: str | None = None) -> dict[str, str]:
        return {"authorization": f"Bearer {token or self.access}"}

    def me(self, token: str | None = None, **headers: str) -> httpx2.Response:
        return self.client.get("/v1/auth/me", headers={**self.bearer(token), **headers})

    def refreshed(self, token: str | None = None) -> httpx2.Response:
        return self.client.post("/v1/auth/refresh-token", json={"refresh_token": token or self.refresh})


def sign_in(client: httpx2.Client) -> Caller:
    guest = client.post("/v1/auth/guest-login").json()
    return Caller(client, guest["user_id"], guest["access_token"], guest["refresh_token"])


@pytest.fixture
def client(live_pg: Server):
    with httpx2.Client(base_url=live_pg.base_url, timeout=20) as client:
        yield client


@pytest.fixture
def caller(client: httpx2.Client) -> Caller:
    return sign_in(client)


def refusal(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def rows(server: Server, query: str, *values: str) -> list[tuple[Any, ...]]:
    # The second wall shows nothing to who does not say what it may see.
    with psycopg.connect(
        server.env["DATABASE_URL"], options="-c jan.organization=* -c jan.organization_public_id=*"
    ) as connection:
        return connection.execute(query, values).fetchall()  # type: ignore[call-overload]


def actions_on(server: Server, user_id: str) -> list[str]:
    found = rows(server, "SELECT action FROM audit_auditevent WHERE target_id = %s ORDER BY created_at", user_id)
    return [action for (action,) in found]


def assert_ends(ask: Callable[[], httpx2.Response], status: int = 401) -> None:
    """Within two seconds every process refuses: connections are new each time, so both are asked."""
    ended_at, asked_at, late = time.monotonic(), 0.0, []
    while asked_at < HONOURED_WITHIN + 0.5:
        asked_at = time.monotonic() - ended_at
        answer = ask()
        if asked_at > HONOURED_WITHIN:
            late.append(answer.status_code)
    assert set(late) == {status}


def anew(server: Server, token: str) -> Callable[[], httpx2.Response]:
    return lambda: httpx2.get(f"{server.base_url}/v1/auth/me", headers={"authorization": f"Bearer {token}"})


@pytest.mark.parametrize("path", REFRESH_PATHS)
@pytest.mark.parametrize("way", ["body", "bearer", "get"])
def test_a_refresh_token_is_exchanged_for_a_new_pair(caller: Caller, path: str, way: str):
    if way == "body":
        answer = caller.client.post(path, json={"refresh_token": caller.refresh})
    else:
        answer = caller.client.request("GET" if way == "get" else "POST", path, headers=caller.bearer(caller.refresh))
    pair = answer.json()
    assert answer.status_code == 200, pair
    assert set(pair) == TOKENS
    assert (pair["token_type"], pair["expires_in"]) == ("Bearer", 3600)
    assert answer.headers["cache-control"] == "no-store"
    assert "set-cookie" not in answer.headers
    assert pair["refresh_token"] != caller.refresh
    assert caller.me(pair["access_token"]).json()["id"] == caller.user_id
    assert caller.me().json()["id"] == caller.user_id  # refreshing takes nothing away


def test_a_refresh_token_that_comes_back_ends_its_session(live_pg: Server, caller: Caller):
    pair = caller.refreshed().json()
    other = sign_in(caller.client)
    assert refusal(caller.refreshed()) == (401, "refresh_token_reused")
    assert_ends(anew(live_pg, pair["access_token"]))
    assert refusal(caller.refreshed(pair["refresh_token"])) == (401, "invalid_token")
    assert actions_on(live_pg, caller.user_id) == ["token.reused"]
    assert other.me().status_code == 200


@pytest.mark.parametrize("profile", ["live_pg", "live"])
def test_of_twenty_uses_at_once_exactly_one_succeeds(request: pytest.FixtureRequest, profile: str):
    server: Server = request.getfixturevalue(profile)
    refresh = server.call("POST", "/v1/auth/guest-login")["refresh_token"]

    async def use_all() -> list[int]:
        async with aiohttp.ClientSession(server.base_url, connector=aiohttp.TCPConnector(limit=0)) as session:

            async def use() -> int:
                async with session.post("/v1/auth/refresh-token", json={"refresh_token": refresh}) as answer:
                    return answer.status

            return list(await asyncio.gather(*(use() for _ in range(20))))

    assert sorted(asyncio.run(use_all())) == [200, *[401] * 19]


def test_neither_token_passes_for_the_other(caller: Caller):
    assert refusal(caller.me(caller.refresh)) == (401, "invalid_token")
    assert refusal(caller.refreshed(caller.access)) == (401, "invalid_token")
    assert caller.refreshed().status_code == 200  # and nothing was ended by it


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({}, "refresh_token", "missing_required_parameter"),
        ({"refresh_token": 7.5}, None, "invalid_token"),
        ({"refresh_token": ["x"]}, "refresh_token", "invalid_value"),
        ({"refresh_token": ""}, "refresh_token", "invalid_value"),
        ({"token": "x"}, "token", "unknown_parameter"),
        ([], None, "invalid_value"),
        ("x", None, "invalid_value"),
        (None, None, "invalid_value"),
    ],
)
def test_bad_refresh_bodies_are_refused(client: httpx2.Client, body: Any, param: str | None, code: str):
    answer = client.post("/v1/auth/refresh-token", content=json.dumps(body), headers=JSON)
    assert (answer.json()["error"]["code"], answer.json()["error"]["param"]) == (code, param)
    assert answer.status_code in (400, 401)


@pytest.mark.parametrize(("which", "way"), [("access", "token"), ("refresh", "refresh_token"), ("refresh", "form")])
def test_a_revoked_session_is_dead_everywhere(live_pg: Server, caller: Caller, which: str, way: str):
    token = getattr(caller, which)
    assert caller.me().status_code == 200  # so that a process has it in its cache
    if way == "form":
        answer = caller.client.post("/v1/auth/revoke", data={"token": token, "token_type_hint": "refresh_token"})
    else:
        answer = caller.client.post("/v1/auth/revoke", json={way: token})
    assert (answer.status_code, answer.json()) == (200, {"status": "revoked"})
    assert_ends(anew(live_pg, caller.access))
    assert refusal(caller.refreshed()) == (401, "invalid_token")


@pytest.mark.parametrize("token", ["x", "a.b.c", "sk_unknown", "é" * 3000])
def test_revoking_what_is_no_token_is_answered_alike(client: httpx2.Client, token: str):
    answer = client.post("/v1/auth/revoke", json={"token": token})
    assert (answer.status_code, answer.json()) == (200, {"status": "revoked"})


def test_there_has_to_be_something_to_revoke(client: httpx2.Client):
    error = client.post("/v1/auth/revoke", json={}).json()["error"]
    assert (error["code"], error["param"]) == ("missing_required_parameter", "token")


@pytest.mark.parametrize(("method", "which"), [("GET", "access"), ("POST", "refresh")])
def test_logging_out_ends_the_session(live_pg: Server, caller: Caller, method: str, which: str):
    path = "/llm/auth/logout"
    assert caller.me().status_code == 200
    answer = caller.client.request(method, path, headers=caller.bearer(getattr(caller, which)))
    assert (answer.status_code, answer.json()) == (200, {"status": "logged out"})
    assert_ends(anew(live_pg, caller.access))
    assert refusal(caller.refreshed()) == (401, "invalid_token")
    assert actions_on(live_pg, caller.user_id) == ["logout.succeeded"]
    assert refusal(caller.client.request(method, path)) == (401, "missing_credentials")
    again = caller.client.request(method, path, headers=caller.bearer())
    assert refusal(again) == (401, "invalid_token")


@pytest.mark.parametrize(
    "change",
    [
        "user.is_active = False; user.save(update_fields=['is_active'])",
        "user.set_password('another-horse-7'); user.save(update_fields=['password'])",
        "User.objects.filter(pk=user.pk).update(is_active=False)",
        "import apps.accounts.sessions as on; on.sign_out_everywhere(user=user, actor=on.actor_of(user))",
        "from apps.projects.services import SYSTEM, delete_account; delete_account(user=user, actor=SYSTEM, reason='')",
    ],
)
def test_what_befalls_a_user_is_honoured_by_every_process(live_pg: Server, caller: Caller, change: str):
    script = f"from apps.accounts.models import User; user = User.objects.get(pk={caller.user_id!r}); {change}"
    assert caller.me().status_code == 200
    done = live_pg.manage("shell", "--no-imports", "-c", script)
    assert done.returncode == 0, done.stderr
    assert_ends(anew(live_pg, caller.access))
    assert refusal(caller.refreshed()) == (401, "invalid_token")


def test_a_removed_membership_is_honoured_by_every_process(live_pg: Server, caller: Caller):
    name = f"team {uuid.uuid4().hex}"
    script = (
        "from apps.accounts.models import User; from apps.organizations.models import Membership;"
        "from apps.organizations.roles import Role; from apps.projects.services import create_organization;"
        f"owner = User.objects.get(email='operator@example.com'); team = create_organization(name={name!r}, owner=owner);"
        f"Membership.objects.create(user_id={caller.user_id!r}, organization=team, role=Role.MEMBER);"
        "print(team.public_id)"
    )
    organization = live_pg.manage("shell", "--no-imports", "-c", script).stdout.strip()
    headers = {**caller.bearer(), "openai-organization": organization}
    assert caller.me(**{"openai-organization": organization}).status_code == 200
    removal = (
        "from apps.organizations.models import Membership;"
        f"Membership.objects.get(user_id={caller.user_id!r}, organization__public_id={organization!r}).delete()"
    )
    assert live_pg.manage("shell", "--no-imports", "-c", removal).returncode == 0
    assert_ends(lambda: httpx2.get(f"{live_pg.base_url}/v1/auth/me", headers=headers), status=403)
    assert caller.me().status_code == 200  # in an organization of its own it still is who it was


def test_a_signing_key_is_rotated_and_nobody_is_signed_out(provider: Provider):
    with start_server(provider, profile="sqlite") as server, httpx2.Client(base_url=server.base_url) as client:
        before = sign_in(client)
        [old] = client.get("/.well-known/jwks.json").json()["keys"]
        rotated = server.manage("rotate_keys")
        assert rotated.returncode == 0, rotated.stderr
        after = sign_in(client)
        published = {key["kid"] for key in client.get("/.well-known/jwks.json").json()["keys"]}
        kids = [jwt.get_unverified_header(token)["kid"] for token in (before.access, after.access, after.refresh)]
        assert kids[0] == old["kid"]
        assert kids[1] == kids[2] != old["kid"]
        assert published == {kids[0], kids[1]}
        assert before.me().status_code == after.me().status_code == 200
        pair = before.refreshed().json()
        assert jwt.get_unverified_header(pair["access_token"])["kid"] == kids[1]
        assert before.me(pair["access_token"]).json()["id"] == before.user_id


def test_a_shared_secret_signs_too_and_publishes_nothing(provider: Provider):
    ring = {"JWT_SECRET": "a" * 40}
    with start_server(provider, profile="sqlite", **ring) as server, httpx2.Client(base_url=server.base_url) as client:
        guest = sign_in(client)
        assert jwt.get_unverified_header(guest.access)["alg"] == "HS256"
        assert client.get("/.well-known/jwks.json").json() == {"keys": []}
        assert guest.me().json()["id"] == guest.user_id
        rotated = server.manage("rotate_keys")
        assert rotated.returncode == 0, rotated.stderr
        assert "a" * 40 in rotated.stdout

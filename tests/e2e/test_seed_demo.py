"""`manage.py seed_demo` beside a running server: what it prints opens what it should, and nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from apps.organizations.roles import Role
from tests.server import Server

pytestmark = pytest.mark.e2e
KINDS = ["user", "project", "project", "admin", "organization", "service_account", "ephemeral"]
LISTS = ("conversations", "projects", "chat/completions")
HELLO = {"model": "plain", "messages": [{"role": "user", "content": "hi"}]}
MONTH = 30 * 86_400


def seed(server: Server) -> dict[str, Any]:
    made = server.manage("seed_demo", "--json")
    assert made.returncode == 0, made.stderr
    return dict(json.loads(made.stdout))


@pytest.fixture(scope="module", params=["live", "live_pg"])
def server(request: pytest.FixtureRequest) -> Server:
    running: Server = request.getfixturevalue(request.param)
    return running


@pytest.fixture(scope="module")
def worlds(server: Server) -> tuple[dict[str, Any], dict[str, Any]]:
    """What two runs printed."""
    return seed(server), seed(server)


@pytest.fixture
def world(worlds) -> dict[str, Any]:
    return worlds[1]


@pytest.fixture
def client(server: Server) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.base_url, timeout=30) as client:
        yield client


def status(client: httpx2.Client, method: str, path: str, secret: str, body: Any = None) -> int:
    return client.request(method, path, headers={"authorization": f"Bearer {secret}"}, json=body).status_code


def key_of(organization: dict[str, Any], name: str) -> str:
    return next(key["key"] for key in organization["keys"] if key["name"] == name)


def found(client: httpx2.Client, organization: dict[str, Any]) -> str:
    """All that an organization's admin key reads of it."""
    paths = ["", "/projects", "/invites", "/admin_api_keys", "/users"]
    for project in organization["projects"]:
        paths += [f"/projects/{project['id']}{rest}" for rest in ("/api_keys", "/service_accounts", "/rate_limits")]
    header = {"authorization": f"Bearer {key_of(organization, 'admin')}"}
    answers = [client.get(f"/v1/organization/{organization['id']}{path}", headers=header) for path in paths]
    assert [answer.status_code for answer in answers] == [200] * len(paths)
    return "".join(answer.text for answer in answers) + said(client, organization)


def said(client, organization) -> str:
    """All that those who talk to models read of what they said."""
    tokens = [user["access_token"] for user in organization["users"] if user["role"] in ("owner", "member")]
    texts = []
    for secret in (*tokens, key_of(organization, "project")):
        header = {"authorization": f"Bearer {secret}"}
        lists = [client.get(f"/v1/{what}?limit=100", headers=header) for what in LISTS]
        ids = [each["id"] for each in lists[0].json()["data"]]
        inside = [
            client.get(f"/v1/conversations/{each}/{what}", headers=header)
            for each in ids
            for what in ("items", "shares")
        ]
        assert [answer.status_code for answer in (*lists, *inside)] == [200] * (len(LISTS) + 2 * len(ids))
        texts += [answer.text for answer in (*lists, *inside)]
    return "".join(texts)


def test_it_is_the_contracts_shape(world, server):
    assert set(world) == {"base_url", "organizations", "canaries"}
    assert world["base_url"] == server.base_url
    assert [organization["name"] for organization in world["organizations"]] == ["Demo A", "Demo B"]
    for organization in world["organizations"]:
        assert [user["role"] for user in organization["users"]] == [role.value for role in Role]
        assert [key["kind"] for key in organization["keys"]] == KINDS
        assert set(organization["objects"]) == {
            "invite",
            "admin_api_key",
            "project_api_key",
            "service_account",
            "rate_limit",
            "conversation",
            "item",
            "chat_project",
            "chat_completion",
            "share",
        }
        assert len(organization["projects"]) == 2


def test_every_access_token_acts_in_its_organization_by_its_role(world, client):
    usage = f"/v1/organization/usage/completions?start_time={int(time.time()) - 86_400}"
    for organization in world["organizations"]:
        tokens = {user["role"]: user["access_token"] for user in organization["users"]}
        for role, token in tokens.items():
            answer = client.get("/v1/organization", headers={"authorization": f"Bearer {token}"})
            assert organization["id"] in answer.text, role
        assert [status(client, "GET", usage, token) for token in tokens.values()] == [200, 200, 403, 403]
        calls = [status(client, "POST", "/v1/chat/completions", token, HELLO) for token in tokens.values()]
        assert calls == [200, 200, 200, 403]


def test_every_key_opens_what_its_kind_opens(world, client):
    for organization in world["organizations"]:
        opened = {
            key["name"]: (
                status(client, "GET", "/v1/models", key["key"]),
                status(client, "GET", f"/v1/organization/{organization['id']}/invites", key["key"]),
                status(client, "POST", "/v1/chat/completions", key["key"], HELLO),
            )
            for key in organization["keys"]
        }
        calling = (200, 403, 200)
        assert opened == {
            "user": calling,
            "project": calling,
            "read_only": (200, 403, 403),
            "admin": (200, 200, 403),
            "organization": calling,
            "service_account": calling,
            "ephemeral": calling,
        }


def test_run_again_it_finds_everything_and_gives_new_secrets(worlds, client):
    first, second = worlds
    assert first["canaries"] == second["canaries"]
    for before, after in zip(first["organizations"], second["organizations"], strict=True):
        for same in ("id", "name", "projects", "objects"):
            assert before[same] == after[same]
        assert [user["id"] for user in before["users"]] == [user["id"] for user in after["users"]]
        assert [key["id"] for key in before["keys"]][:-1] == [key["id"] for key in after["keys"]][:-1]
        limit = time.monotonic() + 5
        for key in before["keys"]:  # dead everywhere within two seconds
            while status(client, "GET", "/v1/models", key["key"]) != 401:
                assert time.monotonic() < limit, key["name"]
        token = before["users"][0]["access_token"]
        assert status(client, "GET", "/v1/organization", token) == 200


def test_objects_are_found_in_their_organization_and_canaries_only_in_b(world, client):
    a, b = world["organizations"]
    texts = {organization["id"]: found(client, organization) for organization in (a, b)}
    for organization in (a, b):
        for kind, ids in organization["objects"].items():
            assert [each for each in ids if each in texts[organization["id"]]] == ids != [], kind
    assert len(world["canaries"]) == len(set(world["canaries"])) == 11
    for canary in world["canaries"]:
        assert canary in texts[b["id"]]
        assert canary not in texts[a["id"]]
    path = f"/v1/organization/{b['id']}/invites"
    assert status(client, "GET", path, key_of(a, "admin")) == 404


def test_there_is_a_month_of_usage_and_the_books_are_in_order(world, client, server):
    for organization in world["organizations"]:
        answer = client.get(
            f"/v1/organization/usage/completions?start_time={int(time.time()) - MONTH}&limit=31&group_by=model",
            headers={"authorization": f"Bearer {key_of(organization, 'admin')}"},
        ).json()
        days = [sum(each["num_model_requests"] for each in bucket["results"]) for bucket in answer["data"]]
        assert len(days) == 31
        assert sum(days) > 300
        assert sum(count > 0 for count in days) >= 28
    report = server.fsck()
    assert report["ok"], report["violations"]

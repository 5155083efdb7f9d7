"""Limits that were set act on model calls, over HTTP and WebSocket, in one process and in two."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import websockets.sync.client

from tests.provider import PROMPT_TOKENS, Provider
from tests.server import OPERATOR, Server, start_server

pytestmark = pytest.mark.e2e
CHAT = "/v1/chat/completions"
HELLO = {"model": "plain", "messages": [{"role": "user", "content": "hi"}]}
# Every limit times this; what is set to 1 admits so many.
SCALE = 100

_MAKE = """
import json
from apps.accounts.models import User
from apps.api_keys.services import Holder, create_key
from apps.api_keys.tokens import KeyKind
from apps.projects.models import Project
from apps.projects.services import create_organization
user = User.objects.get(email={email!r})
organization = create_organization(name="Limited", owner=user)
projects = [Project.objects.get(organization=organization)]
projects += [Project.objects.create(organization=organization, name=str(n)) for n in range(5)]
admin = create_key(kind=KeyKind.ADMIN, name="admin", place=organization, holder=Holder(user))[1]
keys = [create_key(kind=KeyKind.PROJECT, name="k", place=p, holder=Holder(user)) for p in projects]
print(json.dumps({{"organization": organization.pk, "admin": admin, "projects": [p.public_id for p in projects],
                  "keys": [token for _, token in keys], "key_ids": [key.pk for key, _ in keys]}}))
"""
_LIMIT_KEY = """
from apps.api_keys.models import ApiKey
from apps.audit.services import SYSTEM
from apps.quotas.services import set_limits
set_limits(owner=ApiKey.objects.get(pk={key}), model="", amounts={{"max_requests_per_1_minute": 2}}, actor=SYSTEM)
"""


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def limited(request: pytest.FixtureRequest, provider: Provider) -> Iterator[tuple[Server, list[str]]]:
    """A server, and the keys of six projects of one organization: four with limits, one with limits of its key."""
    with start_server(provider, profile=request.param, JAN_RATELIMIT_SCALE=str(SCALE)) as server:
        made = server.manage("shell", "--no-imports", "-c", _MAKE.format(email=OPERATOR[0]))
        assert made.returncode == 0, made.stderr
        world = json.loads(made.stdout.strip().splitlines()[-1])
        set_limit(server, world, 0, "*", max_requests_per_1_minute=1)
        set_limit(server, world, 2, "plain", max_tokens_per_1_minute=1)
        set_limit(server, world, 3, "*", max_tokens_per_1_minute=1)
        done = server.manage("shell", "--no-imports", "-c", _LIMIT_KEY.format(key=world["key_ids"][4]))
        assert done.returncode == 0, done.stderr
        wait_until_honoured(server, world["keys"][4])
        yield server, world["keys"]


def set_limit(server: Server, world: dict[str, Any], at: int, model: str, **amounts: int) -> None:
    """Set a project's limits over the API."""
    path = f"/v1/organization/projects/{world['projects'][at]}/rate_limits"
    listed = server.call("GET", path + "?limit=100", authorization=f"Bearer {world['admin']}")["data"]
    name = next(row["id"] for row in listed if row["model"] == model)
    server.call("POST", f"{path}/{name}", amounts, authorization=f"Bearer {world['admin']}")


def wait_until_honoured(server: Server, key: str) -> None:
    """Wait until every process knows the limits of this key, which were the last to be set."""
    limit, seen = time.monotonic() + 10, 0
    while seen < 10:  # one after the other, whichever process answers
        answer = call(server, key)
        seen = seen + 1 if answer.headers["x-ratelimit-limit-minute"] == str(2 * SCALE) else 0
        assert time.monotonic() < limit


def call(server: Server, key: str, **changes: Any) -> httpx2.Response:
    return httpx2.post(server.base_url + CHAT, json={**HELLO, **changes}, headers={"x-api-key": key}, timeout=30)


async def burst(server: Server, key: str, count: int) -> list[httpx2.Response]:
    limits = httpx2.Limits(max_connections=50)
    async with httpx2.AsyncClient(base_url=server.base_url, limits=limits, timeout=60) as client:
        calls = (client.post(CHAT, json=HELLO, headers={"x-api-key": key}) for _ in range(count))
        return list(await asyncio.gather(*calls))


async def test_a_burst_is_admitted_exactly_to_the_limit_and_the_rest_costs_nothing(limited, provider):
    server, keys = limited
    before = len(provider.requests)
    answers = await burst(server, keys[0], 200)
    assert Counter(answer.status_code for answer in answers) == {200: SCALE, 429: 200 - SCALE}
    assert len(provider.requests) - before == SCALE
    refused = next(answer for answer in answers if answer.status_code == 429)
    error = refused.json()["error"]
    assert {**error["details"], "reset": 0} == {
        "limit": SCALE,
        "name": "project_requests",
        "scope": "project",
        "window": "minute",
        "reset": 0,
    }
    assert abs(error["details"]["reset"] - time.time()) <= 61
    assert 0 < int(refused.headers["retry-after"]) <= 60
    assert call(server, keys[1]).status_code == 200  # another project's are its own


def test_a_limit_of_a_model_counts_that_model_by_its_own_id(limited):
    server, keys = limited
    answers = [call(server, keys[2]) for _ in range(3)]
    used = answers[0].json()["usage"]["total_tokens"]
    assert used >= PROMPT_TOKENS
    remaining = [int(answer.headers["x-ratelimit-remaining-tokens"]) for answer in answers]
    assert remaining == [SCALE, SCALE - used, SCALE - 2 * used]
    assert answers[0].headers["x-ratelimit-limit-tokens"] == str(SCALE)
    calls = 0
    while (answer := call(server, keys[2])).status_code == 200:
        calls += 1
    assert 3 + calls == -(-SCALE // used)  # one call's tokens over at most
    assert answer.json()["error"]["details"]["name"] == "project_tokens:plain"
    assert answer.headers["x-ratelimit-remaining-tokens"] == "0"
    assert call(server, keys[2], model="org/plain").status_code == 200


def test_streams_and_sockets_are_charged_alike(limited):
    server, keys = limited
    streamed = call(server, keys[3], stream=True)
    assert streamed.headers["x-ratelimit-remaining-tokens"] == str(SCALE)
    address = server.base_url.replace("http", "ws") + "/ws/v1/chat/completions"
    said: list[dict[str, Any]] = []
    with websockets.sync.client.connect(address, additional_headers={"x-api-key": keys[3]}) as socket:
        assert json.loads(socket.recv()) == {"type": "ready"}
        for _ in range(SCALE):
            socket.send(json.dumps(HELLO))
            while (frame := json.loads(socket.recv())).get("type") not in ("done", "error"):
                pass
            said.append(frame)
            if frame["type"] == "error":
                break
    assert said[0] == {"type": "done"}
    assert said[-1]["error"]["details"]["name"] == "project_tokens"
    assert call(server, keys[3]).status_code == 429


def test_a_keys_own_limit_replaces_what_every_user_has(limited):
    server, keys = limited
    answer = call(server, keys[4])
    assert answer.headers["x-ratelimit-limit-minute"] == str(2 * SCALE)
    assert call(server, keys[5]).headers["x-ratelimit-limit-minute"] == str(60 * SCALE)

"""A request with an Idempotency-Key is done once, and its answer given again."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
import uuid
from collections.abc import Callable
from typing import Any

import aiohttp
import httpx2
import psycopg
import pytest
from openai import OpenAI

from tests.provider import Provider, Received
from tests.server import Server, start_server

pytestmark = pytest.mark.e2e
CHAT = "/v1/chat/completions"
# A second person, with an API key and a project that keeps nothing beside the default one.
PEOPLE = """
import json
from apps.accounts.models import User
from apps.api_keys.services import Holder, create_key
from apps.api_keys.tokens import KeyKind
from apps.projects.models import Project
from tests.api_keys.conftest import sign_up
person = sign_up("%s@live.example.com")
default = Project.objects.get(organization__memberships__user=person.user, is_default=True)
keys = {}
for name, storage in (("store", None), ("metadata", "metadata"), ("none", "none")):
    given = {} if storage is None else {"storage": storage}
    project = Project.objects.create(organization=default.organization, name=name, settings=given)
    keys[name] = create_key(kind=KeyKind.PROJECT, name="k", place=project, holder=Holder(person.user))[1]
print(json.dumps({"token": person.secret, **keys}))
"""


def person(server: Server) -> dict[str, str]:
    made = server.manage("shell", "--no-imports", "-c", PEOPLE % uuid.uuid4().hex[:12])
    assert made.returncode == 0, made.stderr
    return dict(json.loads(made.stdout.strip().splitlines()[-1]))


@pytest.fixture(scope="module", params=["live", "live_pg"])
def server(request: pytest.FixtureRequest) -> Server:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def mine(server: Server) -> dict[str, str]:
    return person(server)


@pytest.fixture
def post(server: Server, mine: dict[str, str]):
    with httpx2.Client(base_url=server.base_url, timeout=30) as client:

        def post(path: str, body: Any, key: str, secret: str = mine["store"]) -> httpx2.Response:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            headers = {"authorization": f"Bearer {secret}", "content-type": "application/json", "idempotency-key": key}
            return client.post(path, content=content, headers=headers)

        yield post


def hello(model: str = "plain", **more: Any) -> dict[str, Any]:
    """A call that can be told from every other one."""
    return {"model": model, "messages": [{"role": "user", "content": uuid.uuid4().hex}], **more}


def asked(provider: Provider, body: dict[str, Any]) -> list[Received]:
    """What reached the provider of a call."""
    return [each for each in provider.requests if each.body and each.body.get("messages") == body["messages"]]


def told(answer: httpx2.Response) -> tuple[int, str, str | None]:
    return answer.status_code, answer.json()["error"]["code"], answer.headers.get("x-should-retry")


def records(server: Server, key: str, *fields: str) -> list[list[Any]]:
    script = (
        "import json; from apps.idempotency.models import IdempotencyRecord;"
        f"rows = IdempotencyRecord.objects.filter(key={key!r}).order_by('pk').values_list(*{fields!r});"
        "print(json.dumps([[bytes(v).decode() if isinstance(v, (bytes, memoryview)) else v for v in r] for r in rows]))"
    )
    made = server.manage("shell", "--no-imports", "-c", script)
    assert made.returncode == 0, made.stderr
    return list(json.loads(made.stdout.strip().splitlines()[-1]))


def unique() -> str:
    return uuid.uuid4().hex


def test_a_whole_answer_is_given_again(server: Server, post, provider: Provider):
    body, key = hello(), unique()
    first, second = post(CHAT, body, key), post(CHAT, body, key)
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.content == second.content
    assert first.headers["content-type"] == second.headers["content-type"] == "application/json"
    assert [answer.headers.get("idempotent-replayed") for answer in (first, second)] == [None, "true"]
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert second.headers["x-ratelimit-limit"]
    assert len(asked(provider, body)) == 1


def test_the_sdk_gets_the_same_stream_again(server: Server, mine, provider: Provider):
    body, key = hello("c20-d5", stream=True), unique()
    with OpenAI(base_url=f"{server.base_url}/v1", api_key=mine["store"], _strict_response_validation=True) as client:
        ask = {"extra_headers": {"Idempotency-Key": key}, **body}
        first = list(client.chat.completions.create(**ask))
        second = list(client.chat.completions.create(**ask))  # retried by the SDK while the first is written down
    assert [chunk.to_json() for chunk in first] == [chunk.to_json() for chunk in second]
    assert len(first) == 22
    assert len(asked(provider, body)) == 1


def test_a_stream_is_given_again_byte_for_byte(server: Server, post, provider: Provider):
    body, key = hello("split", stream=True, stream_options={"include_usage": True}), unique()
    first, second = post(CHAT, body, key), post(CHAT, body, key)
    assert first.content == second.content
    assert first.text.endswith("data: [DONE]\n\n")
    assert first.headers["content-type"] == second.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert second.headers["idempotent-replayed"] == "true"
    assert len(asked(provider, body)) == 1


async def _leave_after(server: Server, secret: str, body: dict[str, Any], key: str, lines: int) -> None:
    headers = {"authorization": f"Bearer {secret}", "idempotency-key": key}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(server.base_url + CHAT, json=body) as answer,
    ):
        assert answer.status == 200
        for _ in range(lines):
            await answer.content.readline()
        answer.close()


def until(condition: Callable[[], Any], seconds: float = 30) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit


def send(server: Server, path: str, body: Any, key: str, secret: str, then: Callable[[], Any]) -> None:
    """Ask, and hang up once `then` is true."""
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {secret}\r\nidempotency-key: {key}\r\n"
    kind = "content-type: application/json\r\n"
    with socket.create_connection(("localhost", server.port)) as connection:
        connection.sendall(f"{head}{kind}content-length: {len(content)}\r\n\r\n".encode() + content)
        until(then)


def patiently(post, *call: Any) -> httpx2.Response:
    """Ask again while the first is running, as the SDK does."""
    limit = time.monotonic() + 30
    while (answer := post(*call)).status_code == 409:
        assert told(answer) == (409, "idempotency_in_progress", "true")
        assert int(answer.headers["retry-after"]) >= 1
        assert time.monotonic() < limit
    return answer


def test_a_stream_whose_reader_left_is_there_as_a_whole(server: Server, post, mine, provider: Provider):
    body, key = hello("c40-d20", stream=True), unique()
    asyncio.run(_leave_after(server, mine["store"], body, key, 6))
    again = patiently(post, CHAT, body, key)
    events = [line for line in again.text.split("\n\n") if line]
    assert again.headers["idempotent-replayed"] == "true"
    assert events[-1] == "data: [DONE]"
    words = [json.loads(event[6:])["choices"][0]["delta"].get("content", "") for event in events[:-1]]
    assert "".join(words) == "".join(f"w{number} " for number in range(40))
    assert len(asked(provider, body)) == 1


def test_a_whole_answer_whose_reader_left_is_there(server: Server, post, mine, provider: Provider):
    body, key = hello("c100-d20"), unique()

    send(server, CHAT, body, key, mine["store"], lambda: asked(provider, body))
    again = patiently(post, CHAT, body, key)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    assert again.json()["choices"][0]["message"]["content"]
    assert len(asked(provider, body)) == 1


@pytest.mark.parametrize("is_stream", [False, True])
def test_fifty_at_once_make_one_call_and_fifty_equal_answers(server: Server, mine, provider: Provider, is_stream: bool):
    body, key = hello("c100-d20", stream=is_stream), unique()

    async def one(session: aiohttp.ClientSession) -> tuple[int, bytes, int]:
        waits = 0
        while True:
            async with session.post(server.base_url + CHAT, json=body) as answer:
                content = await answer.read()
                if answer.status != 409:
                    return answer.status, content, waits
                assert answer.headers["x-should-retry"] == "true", content
                waits += 1
                await asyncio.sleep(float(answer.headers["retry-after"]) / 5)

    async def all_at_once() -> list[tuple[int, bytes, int]]:
        headers = {"authorization": f"Bearer {mine['store']}", "idempotency-key": key}
        async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=0)) as session:
            return await asyncio.gather(*(one(session) for _ in range(50)))

    answers = asyncio.run(all_at_once())
    assert {status for status, _, _ in answers} == {200}
    assert len({content for _, content, _ in answers}) == 1
    assert sum(1 for *_, waits in answers if waits) > 0
    assert len(asked(provider, body)) == 1
    assert records(server, key, "state", "status") == [["finished", 200]]


def test_a_replay_is_no_model_call(server: Server, post, mine):
    body, key = hello(), unique()
    ids = [post(CHAT, body, key).headers["x-request-id"] for _ in range(3)]
    later = post(CHAT, hello(), unique()).headers["x-request-id"]
    script = (
        "import json; from apps.usage.models import UsageRecord;"
        f"print(json.dumps(list(UsageRecord.objects.filter(request_id__in={[*ids, later]!r}).order_by('accepted_at')"
        ".values_list('request_id', flat=True))))"
    )
    limit = time.monotonic() + 30
    while later not in (
        booked := json.loads(server.manage("shell", "--no-imports", "-c", script).stdout.splitlines()[-1])
    ):
        assert time.monotonic() < limit
    assert booked == [ids[0], later]


@pytest.mark.parametrize("path", [CHAT, "/v1/organization/projects"])
def test_a_key_stands_for_one_request(server: Server, post, mine, provider: Provider, path: str):
    key, secret = unique(), mine["store" if path == CHAT else "token"]
    one, other = (hello(), hello()) if path == CHAT else ({"name": "one"}, {"name": "other"})
    first, second = post(path, one, key, secret), post(path, other, key, secret)
    assert first.status_code in (200, 201)
    assert told(second) == (422, "idempotency_key_reused", "false")
    assert told(post(f"{path}?x=1", one, key, secret)) == (422, "idempotency_key_reused", "false")
    assert post(path, one, key, secret).content == first.content
    if path == CHAT:
        assert asked(provider, other) == []


def test_a_key_is_its_credentials_own(server: Server, post, mine, provider: Provider):
    """Another tenant, or another key of the same person, may use the same words for its own request."""
    key, other = unique(), person(server)
    mine_body, theirs = hello(), hello()
    answers = [
        post(CHAT, mine_body, key),
        post(CHAT, theirs, key, other["store"]),
        post(CHAT, theirs, key, other["token"]),
        post("/v1/completions", {"model": "plain", "prompt": "x"}, key),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200]
    assert [answer.headers.get("idempotent-replayed") for answer in answers] == [None] * 4
    assert (len(asked(provider, mine_body)), len(asked(provider, theirs))) == (1, 2)
    assert len(records(server, key, "credential")) == 4


def test_the_prefixes_of_a_route_are_one_route(server: Server, post, provider: Provider):
    body, key = hello(), unique()
    first, second = post(CHAT, body, key), post(f"/api/llm{CHAT}", body, key)
    assert first.content == second.content
    assert len(asked(provider, body)) == 1


def test_what_is_made_is_made_once_and_its_secret_is_not_kept(server: Server, post, mine):
    made = post("/v1/organization/projects", {"name": "once"}, unique(), mine["token"]).json()
    path, key = f"/v1/organization/projects/{made['id']}/service_accounts", unique()
    first, second = (post(path, {"name": "robot"}, key, mine["token"]) for _ in range(2))
    assert first.status_code == second.status_code
    account, again = first.json(), second.json()
    assert account["api_key"]["value"].startswith("jan_sa_")
    expected = {**account, "api_key": {**account["api_key"], "value": None}}
    if "key" in account["api_key"]:
        expected["api_key"]["key"] = None
    assert again == expected
    kept = records(server, key, "status", "body")
    assert [status for status, _ in kept] == [first.status_code]
    assert account["api_key"]["value"] not in json.dumps(kept)

    token = httpx2.get(server.base_url + path, headers={"authorization": f"Bearer {mine['token']}"})
    assert [each["name"] for each in token.json()["data"]] == ["robot"]


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_turn_of_a_conversation_is_stored_once(server: Server, post, mine, provider: Provider, is_stream: bool):
    body, key = hello(stream=is_stream), unique()
    first, second = (patiently(post, "/v1/conv/chat/completions", body, key) for _ in range(2))
    assert first.content == second.content
    assert second.headers["idempotent-replayed"] == "true"
    [conversation] = set(re.findall(r"conv_[0-9A-Za-z]+", first.text))
    url = f"{server.base_url}/v1/conversations/{conversation}/items"
    items = httpx2.get(url, headers={"x-api-key": mine["store"]}).json()["data"]
    assert [item["role"] for item in items] == ["assistant", "user"]
    assert len(asked(provider, body)) == 1


def projects(server: Server, token: str, name: str) -> int:
    url = f"{server.base_url}/v1/organization/projects?limit=100"
    listed = httpx2.get(url, headers={"authorization": f"Bearer {token}"}).json()
    assert listed["has_more"] is False
    return [project["name"] for project in listed["data"]].count(name)


def test_twenty_at_once_make_one_project(server: Server, mine):
    name, key = unique(), unique()

    async def all_at_once() -> list[httpx2.Response]:
        headers = {"authorization": f"Bearer {mine['token']}", "idempotency-key": key}
        async with httpx2.AsyncClient(base_url=server.base_url, headers=headers, timeout=30) as client:
            path = "/v1/organization/projects"
            return await asyncio.gather(*(client.post(path, json={"name": name}) for _ in range(20)))

    answers = asyncio.run(all_at_once())
    waiting = [told(answer) for answer in answers if answer.status_code == 409]
    done = [answer.content for answer in answers if answer.status_code != 409]
    assert set(waiting) <= {(409, "idempotency_in_progress", "true")}
    assert (len(set(done)), projects(server, mine["token"], name)) == (1, 1)


def test_what_is_made_for_somebody_who_left_is_there(server: Server, post, mine):
    path, body, key = "/v1/organization/projects", {"name": unique()}, unique()
    send(server, path, body, key, mine["token"], lambda: True)
    again = [patiently(post, path, body, key, mine["token"]) for _ in range(2)]
    assert again[0].content == again[1].content
    assert again[1].headers["idempotent-replayed"] == "true"
    assert (again[0].json()["name"], projects(server, mine["token"], body["name"])) == (body["name"], 1)


def test_errors_are_given_again_and_refusals_for_now_are_not(server: Server, post, mine, provider: Provider):
    refused, failed, limited = hello("status-400"), hello("status-500"), hello("status-429")
    for body, status, times, replayed in (
        (refused, 400, 1, "true"),
        (failed, 502, 1, "true"),
        (limited, 429, 2, None),
        (hello("no-such-model"), 404, 0, "true"),
    ):
        key = unique()
        first, second = post(CHAT, body, key), post(CHAT, body, key)
        assert (first.status_code, second.status_code) == (status, status)
        assert second.headers.get("idempotent-replayed") == replayed
        assert (first.content == second.content) is (replayed is not None)
        assert first.headers.get("x-should-retry") == second.headers.get("x-should-retry")
        assert len(asked(provider, body)) == times
    key = unique()
    assert told(post("/v1/organization/projects", {"name": "x"}, key))[0] == 403
    assert records(server, key, "state") == []


@pytest.mark.parametrize(
    ("project", "more"),
    [("none", {}), ("metadata", {}), ("store", {"store": False}), ("store", {"stream": True, "store": False})],
)
def test_where_nothing_is_stored_only_the_status_is(server: Server, post, mine, provider: Provider, project, more):
    body, key = hello(**more), unique()
    first, second = (post(CHAT, body, key, mine[project]) for _ in range(2))
    assert first.status_code == 200
    assert told(second) == (409, "idempotency_not_replayable", "false")
    assert second.json()["error"]["details"] == {"status": 200}
    assert len(asked(provider, body)) == 1
    assert records(server, key, "state", "status", "headers", "body") == [["finished", 200, {}, None]]


@pytest.mark.parametrize("bad", ["", "x" * 256, "\u00e9", "a\tb"])
def test_a_key_is_1_to_255_printable_characters(server: Server, mine, provider: Provider, bad: str):
    body = hello()
    headers = {"x-api-key": mine["store"], "idempotency-key": bad.encode("latin-1")}
    answer = httpx2.post(server.base_url + CHAT, json=body, headers=headers)
    assert told(answer) == (400, "invalid_idempotency_key", "false")
    assert asked(provider, body) == []


def test_the_longest_key_and_odd_ones_work(server: Server, post, provider: Provider):
    for key in ("x" * 255, "a b~!\"#'\\", "\u0020x".strip() + unique()):
        body = hello()
        assert post(CHAT, body, key).content == post(CHAT, body, key).content
        assert len(asked(provider, body)) == 1


def test_who_reads_or_is_nobody_needs_no_key(server: Server, mine):
    for _ in range(2):
        answer = httpx2.get(
            f"{server.base_url}/v1/models", headers={"x-api-key": mine["store"], "idempotency-key": "x" * 256}
        )
        assert (answer.status_code, answer.headers.get("idempotent-replayed")) == (200, None)
        guest = httpx2.post(f"{server.base_url}/v1/auth/guest-login", headers={"idempotency-key": "same"})
        assert (guest.status_code, guest.headers.get("idempotent-replayed")) == (201, None)
        nobody = httpx2.post(f"{server.base_url}{CHAT}", json=hello(), headers={"idempotency-key": "same"})
        assert nobody.status_code == 401


def test_an_answer_over_the_cap_is_not_kept(provider: Provider):
    with start_server(provider, profile="sqlite", JAN_IDEMPOTENCY_MAX_BYTES="2000") as server:
        key, once = server.user_key(), unique()
        body = hello("c40-d20", stream=True)
        headers = {"x-api-key": key, "idempotency-key": once, "content-type": "application/json"}
        content = json.dumps(body).encode()
        first, second = (
            httpx2.post(server.base_url + CHAT, content=content, headers=headers, timeout=30) for _ in range(2)
        )
        assert first.text.endswith("data: [DONE]\n\n")
        assert told(second) == (409, "idempotency_not_replayable", "false")
        assert len(asked(provider, body)) == 1


def test_replays_count_in_no_limit_of_model_calls_and_a_refused_call_keeps_no_key(provider: Provider):
    with start_server(provider, profile="sqlite", JAN_RATELIMIT_SCALE="1") as server:
        headers = {"authorization": f"Bearer {server.guest_token()}"}

        def ask(body: dict[str, Any], key: str) -> httpx2.Response:
            return httpx2.post(server.base_url + CHAT, json=body, headers={**headers, "idempotency-key": key})

        first, key = hello(), unique()
        assert {ask(first, key).status_code for _ in range(15)} == {200}
        left = int(ask(first, key).headers["x-ratelimit-remaining-minute"])
        assert int(ask(first, key).headers["x-ratelimit-remaining-minute"]) == left - 1  # of the address
        others = [(hello(), unique()) for _ in range(10)]  # a guest has ten calls a minute
        assert [ask(*each).status_code for each in others] == [200] * 9 + [429]
        again = ask(*others[-1])
        assert (again.status_code, again.headers.get("idempotent-replayed")) == (429, None)
        assert len(asked(provider, first)) == 1
        assert asked(provider, others[-1][0]) == []
        assert records(server, others[-1][1], "state") == []


@pytest.mark.parametrize("profile", ["sqlite", "postgres"])
def test_a_killed_process_leaves_an_unknown_outcome_and_no_second_call(provider: Provider, profile: str):
    with start_server(provider, profile=profile, JAN_IDEMPOTENCY_LEASE_SECONDS="6") as server:
        key, once = server.user_key(), unique()
        body = hello("c300-d20", stream=True)
        headers = {"x-api-key": key, "idempotency-key": once, "content-type": "application/json"}
        content = json.dumps(body).encode()

        async def killed() -> None:
            async with (
                aiohttp.ClientSession(headers=headers) as session,
                session.post(server.base_url + CHAT, data=content) as answer,
            ):
                await answer.content.readline()
                server.kill9("web")

        asyncio.run(killed())
        server.start("web", *(["up"] if profile == "sqlite" else ["serve", "--workers", "2"]))
        server.wait_ready()

        def ask() -> tuple[int, str, str | None]:
            return told(httpx2.post(server.base_url + CHAT, content=content, headers=headers))

        limit = time.monotonic() + 20
        while (said := ask()) == (409, "idempotency_in_progress", "true"):
            assert time.monotonic() < limit
        assert said == (409, "idempotency_outcome_unknown", "false")
        assert ask() == said
        assert len(asked(provider, body)) == 1
        report = server.settled(1)
        assert (report["ok"], report["interrupted_keys"]) == (True, 1)


def test_a_stop_in_mid_call_leaves_no_second_call(provider: Provider):
    with start_server(provider, profile="postgres", JAN_DRAIN_SECONDS="0.5") as server:
        key, once, body = server.user_key(), unique(), hello("hang-headers")
        headers = {"x-api-key": key, "idempotency-key": once, "content-type": "application/json"}
        content = json.dumps(body).encode()

        async def stopped() -> int:
            async with httpx2.AsyncClient(headers=headers, timeout=30) as client:
                asking = asyncio.create_task(client.post(server.base_url + CHAT, content=content))
                async with asyncio.timeout(10):
                    while not asked(provider, body):
                        await asyncio.sleep(0.01)
                server.processes["web"].terminate()
                return (await asking).status_code

        assert asyncio.run(stopped()) == 503
        assert server.processes.pop("web").wait(30) == 0
        server.start("web", "serve", "--workers", "2")
        server.wait_ready()
        answer = httpx2.post(server.base_url + CHAT, content=content, headers=headers)
        assert told(answer) == (409, "idempotency_outcome_unknown", "false")
        assert len(asked(provider, body)) == 1


def test_without_its_table_requests_with_a_key_are_refused_and_others_served(live_pg: Server, provider: Provider):
    """Whoever cannot look whether it is the first time does nothing."""
    key, body, other = live_pg.user_key(), hello(), hello()
    table = "idempotency_idempotencyrecord"
    with psycopg.connect(live_pg.env["DATABASE_URL"], autocommit=True) as database:
        database.execute(f"ALTER TABLE {table} RENAME TO away")
        try:
            answers = [
                httpx2.post(live_pg.base_url + CHAT, json=each, headers={"x-api-key": key, **more})
                for each, more in ((body, {"idempotency-key": unique()}), (other, {}))
            ]
        finally:
            database.execute(f"ALTER TABLE away RENAME TO {table}")
    assert told(answers[0]) == (503, "service_unavailable", None)
    assert answers[0].headers["retry-after"] == "2"
    assert answers[1].status_code == 200
    assert (len(asked(provider, body)), len(asked(provider, other))) == (0, 1)

"""A conversation that outgrows its model, the calls that follow a turn, and a process that dies in one."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from tests.provider import Provider, Received
from tests.server import Server, start_server

pytestmark = pytest.mark.e2e
SETTINGS = {
    "JAN_MODEL_TITLES": "true",
    "JAN_MODEL_SUMMARIES": "true",
    "JAN_DEFAULT_CONTEXT_LENGTH": "600",
    "JAN_TURN_LEASE_SECONDS": "1",
}


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def server(request: pytest.FixtureRequest, provider: Provider):
    with start_server(provider, profile=request.param, **SETTINGS) as server:
        yield server


@pytest.fixture(scope="module")
def api(server: Server):
    headers = {"x-api-key": server.user_key()}
    with httpx2.Client(base_url=server.base_url, headers=headers, timeout=30) as client:
        yield client


def turn(api: httpx2.Client, text: str, conversation: Any, **fields: Any) -> httpx2.Response:
    body = {"model": "plain", "messages": [{"role": "user", "content": text}], "conversation": conversation, **fields}
    return api.post("/v1/chat/completions", json=body)


def until(what: Any, seconds: float = 20.0) -> Any:
    """Ask again and again, which takes its time: what follows a turn is seen by nothing else."""
    ends = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < ends
    return found


def asked(provider: Provider, words: str) -> list[Received]:
    """The calls whose last message has these words, the oldest first."""
    calls = [each for each in provider.requests if each.path.endswith("/chat/completions")]
    return [each for each in calls if words in str(each.body["messages"][-1]["content"])]


def test_the_model_writes_the_title(api: httpx2.Client, provider: Provider):
    conversation = turn(api, "Tell me about turtles", {}).json()["conversation_id"]
    path = f"/v1/conversations/{conversation}"
    until(lambda: api.get(path).json()["title"] == "word word word word word")
    [call] = asked(provider, "Give this conversation a title")[-1:]
    assert call.body["messages"][0]["content"].endswith("It begins with:\n\nTell me about turtles")


def test_what_no_longer_fits_is_summed_up(api: httpx2.Client, provider: Provider):
    filler = "words " * 60
    conversation = turn(api, f"first {filler}", {}).json()["conversation_id"]
    before = len(asked(provider, "Sum up this part"))
    for number in range(5):
        assert turn(api, f"turn {number} {filler}", conversation).status_code == 200
    until(lambda: len(asked(provider, "Sum up this part")) > before)
    [call] = asked(provider, "Sum up this part")[before : before + 1]
    assert f"user: first {filler.strip()}" in call.body["messages"][0]["content"]

    def told() -> bool:
        turn(api, f"and now {filler}", conversation)
        return "word word word" in str(asked(provider, "and now")[-1].body["messages"][0]["content"])

    until(told)
    sent = asked(provider, "and now")[-1]
    assert sent.body["messages"][0]["role"] == "system"
    assert "sum it up" in sent.body["messages"][0]["content"]
    assert "first words" not in str(sent.body["messages"])


def start_again(server: Server) -> None:
    server.start("web", *(["up"] if "DATABASE_URL" not in server.env else ["serve", "--workers", "2"]))
    server.wait_ready()


def test_a_process_that_dies_in_a_turn_leaves_the_conversation_whole(
    server: Server, api: httpx2.Client, provider: Provider
):
    conversation = turn(api, "before", {}).json()["conversation_id"]
    path = f"/v1/conversations/{conversation}/items?order=asc"
    before = [item["id"] for item in api.get(path).json()["data"]]
    with api.stream(
        "POST",
        "/v1/chat/completions",
        json={
            "model": "c60-d100",
            "messages": [{"role": "user", "content": "killed"}],
            "conversation": conversation,
            "stream": True,
        },
    ) as stream:
        next(stream.iter_lines())
        server.kill9()
    start_again(server)
    assert [item["id"] for item in api.get(path).json()["data"]] == before
    until(lambda: turn(api, "killed", conversation).status_code == 200)
    texts = [(item["role"], item["content"][0]["text"].strip()) for item in api.get(path).json()["data"]]
    assert texts[2:] == [("user", "killed"), ("assistant", "word word word word word")]


def test_a_process_that_dies_answering_again_leaves_no_branch(server: Server, api: httpx2.Client):
    conversation = turn(api, "before", {}).json()["conversation_id"]
    path = f"/v1/conversations/{conversation}"
    before = api.get(f"{path}/items").json()["data"]
    again = f"{path}/items/{before[0]['id']}/regenerate"
    with api.stream("POST", again, json={"model": "c60-d100", "stream": True}) as stream:
        next(stream.iter_lines())
        server.kill9()
    start_again(server)
    assert [branch["name"] for branch in api.get(f"{path}/branches").json()["data"]] == ["MAIN"]
    assert api.get(f"{path}/items").json()["data"] == before
    answer = until(lambda: found if (found := api.post(again, json={})).status_code == 200 else None)
    assert api.get(path).json()["branch"] == answer.json()["branch"]
    report = server.fsck()
    assert (report["violations"], report["expired_turns"]) == ([], 0)


def test_fifty_turns_at_once_with_clients_that_leave(server: Server, api: httpx2.Client):
    conversation = turn(api, "start", {}).json()["conversation_id"]
    chance = random.Random(5)
    leaves = [chance.randrange(1, 25) if number % 2 else None for number in range(50)]

    def one(number: int) -> bool:
        body = {
            "model": "c20-d5",
            "messages": [{"role": "user", "content": f"ask {number}"}],
            "conversation": conversation,
            "stream": True,
        }
        with api.stream("POST", "/v1/chat/completions", json=body) as stream:
            if stream.status_code != 200:
                assert (stream.status_code, stream.headers["x-should-retry"]) == (409, "true")
                return False
            for seen, _ in enumerate(stream.iter_lines()):
                if seen == leaves[number]:
                    break
        return True

    with ThreadPoolExecutor(25) as pool:
        taken = [number for number, done in zip(range(50), pool.map(one, range(50)), strict=True) if done]
    until(lambda: turn(api, "the end", conversation).status_code == 200)

    path = f"/v1/conversations/{conversation}/items?order=asc&limit=100"
    stored = api.get(path).json()["data"]
    assert [item["sequence_number"] for item in stored] == list(range(1, 2 * len(taken) + 5))
    assert [item["role"] for item in stored] == ["user", "assistant"] * (len(taken) + 2)
    asked = [item["content"][0]["text"] for item in stored if item["role"] == "user"]
    assert sorted(asked[1:-1]) == sorted(f"ask {number}" for number in taken)
    assert server.fsck()["ok"]

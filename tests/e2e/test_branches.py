"""Answering again and editing: each on a branch of its own, with the history that stands before it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from tests.provider import Provider
from tests.server import Server

pytestmark = pytest.mark.e2e
ANSWER = "word word word word word "
STREAMED = "w0 w1 w2 w3 w4 "


@dataclass
class Talk:
    """A conversation and its owner."""

    server: Server
    key: str
    id: str = ""

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx2.Response:
        names = {"x-api-key": self.key, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return httpx2.request(method, f"{self.server.base_url}/v1/{path}", json=body, headers=names, timeout=30)

    def say(self, text: str, **fields: Any) -> None:
        body = {"model": "plain", "messages": [{"role": "user", "content": text}], "conversation": self.id or {}}
        answer = self.ask("POST", "chat/completions", {**body, **fields})
        assert answer.status_code == 200, answer.text
        self.id = answer.json()["conversation_id"]

    def items(self, query: str = "") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask(
            "GET", f"conversations/{self.id}/items?order=asc&limit=100{query}"
        ).json()["data"]
        return found

    def said(self, query: str = "") -> list[tuple[str, str]]:
        return [(item["role"], item["text"]) for item in self.items(query)]

    def branches(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("GET", f"conversations/{self.id}/branches?order=asc").json()["data"]
        return found

    def active(self) -> str:
        return str(self.ask("GET", f"conversations/{self.id}").json()["branch"])

    def again(self, item: dict[str, Any], body: Any = None, **headers: str) -> httpx2.Response:
        return self.ask("POST", f"conversations/{self.id}/items/{item['id']}/regenerate", body, **headers)

    def edit(self, item: dict[str, Any], body: Any, **headers: str) -> httpx2.Response:
        return self.ask("POST", f"conversations/{self.id}/items/{item['id']}/edit", body, **headers)


@pytest.fixture(params=["live", "live_pg"], scope="module")
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def talk(server: Server) -> Talk:
    found = Talk(server, server.user_key())
    found.say("one")
    found.say("two")
    return found


def sent(provider: Provider) -> list[tuple[str, Any]]:
    """What the provider was asked last."""
    return [(message["role"], message["content"]) for message in provider.requests[-1].body["messages"]]


def refusal(answer: httpx2.Response) -> tuple[int, str, str | None]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["param"]


def test_an_answer_is_given_again_on_a_branch(talk: Talk, provider: Provider):
    before = talk.items()
    calls = len(provider.requests)
    answer = talk.again(before[3])
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert document["choices"][0]["message"]["content"] == ANSWER
    assert (document["object"], document["conversation_id"]) == ("chat.completion", talk.id)
    assert sent(provider) == [("user", "one"), ("assistant", ANSWER), ("user", "two")]
    assert len(provider.requests) == calls + 1
    # Without a model it is the conversation's.
    assert provider.requests[-1].body["model"] == "plain"
    assert set(provider.requests[-1].body) == {"model", "messages"}

    main, branch = talk.branches()
    assert (branch["name"], branch["is_active"], branch["parent"]) == (document["branch"], True, "MAIN")
    assert (branch["forked_after"], branch["item_count"]) == (before[2]["id"], 4)
    assert (main["is_active"], main["item_count"]) == (False, 4)
    now = talk.items()
    assert [item["id"] for item in now[:3]] == [item["id"] for item in before[:3]]
    assert (now[3]["id"] != before[3]["id"], now[3]["text"], now[3]["status"]) == (True, ANSWER, "completed")
    assert talk.items("&branch=MAIN") == before

    # It goes on from there, and again from the question itself.
    talk.say("three")
    assert sent(provider)[-3:] == [("user", "two"), ("assistant", ANSWER), ("user", "three")]
    assert len(talk.items()) == 6
    second = talk.again(before[2], {"model": "c5-d1", "temperature": 0.5}).json()
    assert sent(provider) == [("user", "one"), ("assistant", ANSWER), ("user", "two")]
    assert provider.requests[-1].body["temperature"] == 0.5
    assert talk.branches()[-1]["parent"] == "MAIN"
    assert (talk.active(), len(talk.items())) == (second["branch"], 4)
    assert len(talk.items(f"&branch={branch['name']}")) == 6


def test_an_answer_is_given_again_as_a_stream(talk: Talk, provider: Provider):
    before = talk.items()
    answer = talk.again(before[1], {"stream": True, "model": "plain"})
    lines = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    assert (answer.status_code, lines[-1]) == (200, "[DONE]")
    chunks = [json.loads(line) for line in lines[:-1]]
    [(conversation, branch)] = {(chunk["conversation_id"], chunk["branch"]) for chunk in chunks}
    assert (conversation, branch) == (talk.id, talk.active())
    assert sent(provider) == [("user", "one")]
    assert talk.said() == [("user", "one"), ("assistant", STREAMED)]
    assert talk.said("&branch=MAIN") == [(item["role"], item["text"]) for item in before]


def test_a_message_is_edited_and_answered(talk: Talk, provider: Provider):
    before = talk.items()
    document = talk.edit(before[2], {"content": "zwei"}).json()
    assert document["choices"][0]["message"]["content"] == ANSWER
    assert sent(provider) == [("user", "one"), ("assistant", ANSWER), ("user", "zwei")]
    assert talk.said() == [("user", "one"), ("assistant", ANSWER), ("user", "zwei"), ("assistant", ANSWER)]
    assert talk.branches()[-1]["forked_after"] == before[1]["id"]
    assert talk.active() == document["branch"]

    # The first message of all, and in the words of a chat completion, with an instruction.
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "eins"}]
    document = talk.edit(before[0], {"messages": messages, "model": "plain"}).json()
    assert sent(provider) == [("system", "Be kind."), ("user", "eins")]
    assert talk.said() == [("user", "eins"), ("assistant", ANSWER)]
    assert (talk.branches()[-1]["forked_after"], talk.branches()[-1]["item_count"]) == (None, 2)
    # Typed parts, under the other name of items.
    parts = [{"type": "input_text", "text": "uno"}]
    path = f"conversations/{talk.id}/messages/{before[0]['id']}/edit"
    assert talk.ask("POST", path, {"content": parts}).status_code == 200
    assert sent(provider) == [("user", "uno")]
    assert talk.items("&branch=MAIN") == before


def test_an_edit_without_an_answer_calls_no_model(talk: Talk, provider: Provider):
    before, calls = talk.items(), len(provider.requests)
    answer = talk.edit(before[2], {"content": "zwei", "regenerate": False})
    assert answer.status_code == 201, answer.text
    branch = answer.json()
    assert branch == talk.branches()[-1]
    assert (branch["is_active"], branch["forked_after"], branch["item_count"]) == (True, before[1]["id"], 3)
    assert talk.said() == [("user", "one"), ("assistant", ANSWER), ("user", "zwei")]
    assert len(provider.requests) == calls
    # It can be answered afterwards, which is another branch.
    talk.again(talk.items()[-1])
    assert sent(provider) == [("user", "one"), ("assistant", ANSWER), ("user", "zwei")]
    assert talk.said()[2:] == [("user", "zwei"), ("assistant", ANSWER)]


def test_what_fails_leaves_no_branch(talk: Talk, provider: Provider):
    before = talk.items()
    for model, stream, status in (
        ("status-500", False, 502), ("status-500", True, 502), ("status-400", True, 400), ("reset", False, 502),
        ("no-such-model", True, 404),
    ):  # fmt: skip
        body = {"model": model, "stream": stream}
        assert talk.again(before[3], body).status_code == status
        assert talk.edit(before[2], {**body, "content": "zwei"}).status_code == status
    assert ([branch["name"] for branch in talk.branches()], talk.active()) == (["MAIN"], "MAIN")
    assert talk.items() == before
    # And the conversation is free.
    talk.say("three")


def test_an_answer_that_breaks_is_kept_as_far_as_it_came(talk: Talk):
    before = talk.items()
    assert "error" in talk.again(before[3], {"model": "truncated", "stream": True}).text
    now = talk.items()
    assert (now[3]["status"], now[3]["text"]) == ("incomplete", "ab")
    assert talk.items("&branch=MAIN") == before


def test_what_is_not_to_be_stored_is_not(talk: Talk, provider: Provider):
    before = talk.items()
    document = talk.again(before[3], {"store": False}).json()
    assert (document["choices"][0]["message"]["content"], document["branch"]) == (ANSWER, None)
    assert sent(provider) == [("user", "one"), ("assistant", ANSWER), ("user", "two")]
    assert talk.edit(before[2], {"content": "zwei", "store": False}).json()["branch"] is None
    assert sent(provider)[-1] == ("user", "zwei")
    assert refusal(talk.edit(before[2], {"content": "x", "store": False, "regenerate": False})) == (
        400, "invalid_value", "store",
    )  # fmt: skip
    assert (talk.items(), len(talk.branches())) == (before, 1)


def test_results_of_tools_stay_with_their_calls(server: Server, provider: Provider):
    talk = Talk(server, server.user_key())
    tools = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}]
    talk.say("sum", model="tools", tools=tools)
    calls = [item for item in talk.items() if item["type"] == "function_call"]
    results = [
        {"role": "tool", "tool_call_id": call["call_id"], "content": f"result {i}"} for i, call in enumerate(calls)
    ]
    talk.say("", messages=results)
    answer = talk.items()[-1]
    assert talk.again(answer).status_code == 200
    roles = [message["role"] for message in provider.requests[-1].body["messages"]]
    assert roles == ["user", "assistant", *(["tool"] * len(calls))]
    # A call is an answer too: to what was said before it.
    assert talk.again(calls[0], {"model": "plain"}).status_code == 200
    assert sent(provider) == [("user", "sum")]


def test_one_key_is_one_answer_and_one_branch(talk: Talk, provider: Provider):
    question = talk.items()[2]
    calls = len(provider.requests)

    def again(_: int) -> httpx2.Response:
        while True:
            answer = talk.again(question, {"model": "c5-d1"}, idempotency_key="again-1")
            if answer.status_code != 409:
                return answer

    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(again, range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert (len(provider.requests), len(talk.branches())) == (calls + 1, 2)
    body = {"content": "zwei", "regenerate": False}
    first = talk.edit(question, body, idempotency_key="edit-1")
    second = talk.edit(question, body, idempotency_key="edit-1")
    assert (first.status_code, second.status_code, second.json()) == (201, 201, first.json())
    assert second.headers["idempotent-replayed"] == "true"
    assert len(talk.branches()) == 3


def test_one_turn_at_a_time(talk: Talk):
    before = talk.items()
    path = f"conversations/{talk.id}/items/{before[3]['id']}/regenerate"
    headers = {"x-api-key": talk.key}
    url = f"{talk.server.base_url}/v1/{path}"
    with httpx2.stream("POST", url, json={"model": "c40-d20", "stream": True}, headers=headers, timeout=30) as running:
        lines = running.iter_lines()
        next(lines)
        for busy in (talk.again(before[3]), talk.edit(before[2], {"content": "x", "regenerate": False})):
            assert (refusal(busy)[:2], busy.headers["x-should-retry"]) == ((409, "conversation_locked"), "true")
        activation = talk.ask("POST", f"conversations/{talk.id}/branches/MAIN/activate")
        assert refusal(activation)[:2] == (409, "conversation_locked")
        list(lines)
    assert [branch["is_active"] for branch in talk.branches()] == [False, True]


@pytest.mark.parametrize(
    ("verb", "at", "body", "expected"),
    [
        ("edit", 2, {}, (400, "missing_required_parameter", "content")),
        ("edit", 2, {"content": ""}, (400, "invalid_value", "content")),
        ("edit", 2, {"content": 7}, (400, "invalid_value", "content")),
        ("edit", 2, {"content": [{"type": "bogus"}]}, (400, "invalid_value", "content[0].type")),
        ("edit", 2, {"content": "x", "messages": []}, (400, "invalid_value", "content")),
        ("edit", 2, {"content": "x", "regenerate": "no"}, (400, "invalid_value", "regenerate")),
        ("edit", 2, {"messages": [{"role": "system", "content": "x"}]}, (400, "invalid_value", "content")),
        ("edit", 2, {"messages": "x"}, (400, "invalid_value", "messages")),
        ("edit", 2, {"messages": [7], "regenerate": False}, (400, "invalid_value", "messages[0]")),
        ("edit", 3, {"content": "x"}, (400, "not_editable", "item_id")),
        ("edit", 3, {"content": "x", "regenerate": False}, (400, "not_editable", "item_id")),
        ("edit", None, {"content": "x"}, (404, "item_not_found", "item_id")),
        ("regenerate", None, {}, (404, "item_not_found", "item_id")),
        ("regenerate", 3, {"messages": [{"role": "user", "content": "x"}]}, (400, "invalid_value", "messages")),
        ("regenerate", 3, {"n": 2}, (400, "invalid_value", "n")),
        ("regenerate", 3, {"model": 7}, (400, "invalid_value", "model")),
        ("regenerate", 3, {"conversation_id": "conv_x"}, (400, "invalid_value", "conversation_id")),
        ("regenerate", 3, [], (400, "invalid_json", None)),
    ],
)
def test_bad_input(live: Server, provider: Provider, verb: str, at: int | None, body: Any, expected: Any):
    talk = Talk(live, live.user_key())
    talk.say("one")
    talk.say("two")
    before, calls = talk.items(), len(provider.requests)
    item = "msg_" + "0" * 24 if at is None else before[at]["id"]
    answer = talk.ask("POST", f"conversations/{talk.id}/items/{item}/{verb}", body)
    assert refusal(answer) == expected
    assert (talk.items(), len(talk.branches()), len(provider.requests)) == (before, 1, calls)


def test_an_answer_to_nothing(live: Server):
    talk = Talk(live, live.user_key())
    greeting = {"role": "assistant", "content": "Welcome!"}
    talk.id = talk.ask("POST", "conversations", {"items": [greeting], "model": "plain"}).json()["id"]
    assert refusal(talk.again(talk.items()[0])) == (400, "nothing_to_answer", "item_id")


def test_nobody_elses_conversation(talk: Talk):
    item = talk.items()[3]
    other = Talk(talk.server, talk.server.guest_token(), talk.id)
    for answer in (other.again(item), other.again(item, {"model": "plain"}), other.edit(item, {"content": "x"}),
                   other.edit(item, {"content": "x", "regenerate": False})):  # fmt: skip
        assert refusal(answer) == (404, "conversation_not_found", "conversation")
    assert len(talk.branches()) == 1
    nobody = httpx2.post(f"{talk.server.base_url}/v1/conversations/{talk.id}/items/{item['id']}/regenerate", timeout=30)
    assert nobody.status_code == 401
    assert talk.ask("GET", f"conversations/{talk.id}/items/{item['id']}/regenerate").status_code == 405

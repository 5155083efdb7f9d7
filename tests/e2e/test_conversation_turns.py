"""Chat with memory: what was said before reaches the model, in order, once, and each turn is stored once."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from openai import APIError, APIStatusError, ConflictError, NotFoundError, OpenAI, PermissionDeniedError
from websockets.sync.client import connect

from tests.provider import Provider
from tests.server import Server

pytestmark = pytest.mark.e2e
ANSWER = "word word word word word "
STREAMED = "w0 w1 w2 w3 w4 "


@pytest.fixture(scope="module")
def client(live_pg: Server):
    url = f"{live_pg.base_url}/v1"
    with OpenAI(base_url=url, api_key=live_pg.user_key(), max_retries=0, _strict_response_validation=True) as client:
        yield client


def user(text: str) -> Any:
    return {"role": "user", "content": text}


def turn(client: OpenAI, text: str, conversation: Any, **fields: Any) -> Any:
    return client.chat.completions.create(
        model=fields.pop("model", "plain"), messages=[user(text)], extra_body={"conversation": conversation}, **fields
    )


def ask(server: Server, method: str, path: str, body: Any = None, **headers: str) -> httpx2.Response:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx2.request(method, server.base_url + path, json=body, headers=names, timeout=30)


def sent(provider: Provider) -> list[tuple[str, Any]]:
    """What the provider was asked last."""
    return [(message["role"], message["content"]) for message in provider.requests[-1].body["messages"]]


def items(client: OpenAI, conversation: str) -> list[tuple[str, str, str]]:
    page = client.conversations.items.list(conversation, order="asc", limit=100)
    return [(item.role, item.status, item.content[0].text if item.content else "") for item in page]


def test_what_was_said_before_reaches_the_model(client: OpenAI, provider: Provider):
    first = turn(client, "My name is Ada.", {})
    conversation = first.model_extra["conversation_id"]
    assert conversation.startswith("conv_")
    assert first.model_extra["conversation"] == {"id": conversation, "title": None}
    assert sent(provider) == [("user", "My name is Ada.")]
    assert "conversation" not in provider.requests[-1].body

    second = turn(client, "Who am I?", conversation)
    assert (second.choices[0].message.content, second.model_extra["conversation_id"]) == (ANSWER, conversation)
    assert sent(provider) == [("user", "My name is Ada."), ("assistant", ANSWER), ("user", "Who am I?")]
    assert items(client, conversation) == [
        ("user", "completed", "My name is Ada."), ("assistant", "completed", ANSWER),
        ("user", "completed", "Who am I?"), ("assistant", "completed", ANSWER),
    ]  # fmt: skip
    assert client.conversations.retrieve(conversation).model_extra["title"] == "My name is Ada."


def test_a_client_that_sends_all_it_has_is_told_nothing_twice(client: OpenAI, provider: Provider):
    conversation = turn(client, "one", {}).model_extra["conversation_id"]
    everything = [user("one"), {"role": "assistant", "content": ANSWER}, user("two")]
    client.chat.completions.create(
        model="plain", messages=everything, extra_body={"conversation": {"id": conversation}}
    )
    assert sent(provider) == [("user", "one"), ("assistant", ANSWER), ("user", "two")]
    assert len(items(client, conversation)) == 4


def test_every_chunk_names_the_conversation_and_the_turn_is_there_at_the_end(client: OpenAI, provider: Provider):
    chunks = list(turn(client, "stream", {}, stream=True))
    named = {chunk.model_extra["conversation_id"] for chunk in chunks}
    assert len(named) == 1
    [conversation] = named
    assert items(client, conversation) == [("user", "completed", "stream"), ("assistant", "completed", STREAMED)]


def test_the_stream_helper_takes_it(client: OpenAI):
    with client.chat.completions.stream(
        model="plain", messages=[user("helper")], extra_body={"conversation": {}}
    ) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content == STREAMED


def test_the_documented_route(live_pg: Server, client: OpenAI, provider: Provider):
    key = {"x_api_key": client.api_key}
    first = ask(live_pg, "POST", "/v1/conv/chat/completions", {"model": "plain", "input": "Hello"}, **key)
    conversation = first.json()["conversation_id"]
    assert (first.status_code, sent(provider)) == (200, [("user", "Hello")])
    body = {"model": "plain", "messages": [user("Again")], "conversation_id": conversation, "max_tokens": 200}
    second = ask(live_pg, "POST", "/v1/conv/chat/completions", body, **key)
    assert (second.status_code, second.json()["conversation_id"]) == (200, conversation)
    assert sent(provider) == [("user", "Hello"), ("assistant", ANSWER), ("user", "Again")]
    streamed = ask(live_pg, "POST", "/v1/conv/mcp", {**body, "stream": True, "messages": [user("More")]}, **key)
    lines = [line for line in streamed.text.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "data: [DONE]"
    assert {json.loads(line[6:])["conversation_id"] for line in lines[:-1]} == {conversation}
    assert len(items(client, conversation)) == 6
    models = ask(live_pg, "GET", "/v1/conv/models", **key).json()["data"]
    assert {"conversation_aware", "context_retention"} <= set(models[0]["capabilities"])


def test_instructions_and_the_profile_reach_the_model_and_are_not_stored(live_pg: Server, provider: Provider):
    token = live_pg.guest_token()
    headers = {"authorization": f"Bearer {token}"}
    wanted = {"profile_settings": {"base_style": "Concise", "nick_name": "Dev"}}
    assert ask(live_pg, "PATCH", "/v1/users/me/settings", wanted, **headers).status_code == 200
    body = {"model": "plain", "messages": [{"role": "system", "content": "Be kind."}, user("hi")], "conversation": {}}
    answer = ask(live_pg, "POST", "/v1/chat/completions", body, **headers).json()
    (role, text), asked = sent(provider)
    assert (role, asked) == ("system", ("user", "hi"))
    assert ("Answer concisely" in text, "> Dev" in text, text[-9:]) == (True, True, "\nBe kind.")
    path = f"/v1/conversations/{answer['conversation_id']}/items?order=asc"
    stored = ask(live_pg, "GET", path, **headers).json()["data"]
    assert [item["role"] for item in stored] == ["user", "assistant"]


def test_no_tools_for_who_wants_none(live_pg: Server, provider: Provider):
    headers = {"authorization": f"Bearer {live_pg.guest_token()}"}
    tools = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}]
    body = {"model": "plain", "messages": [user("hi")], "conversation": {}, "tools": tools}
    ask(live_pg, "POST", "/v1/chat/completions", body, **headers)
    assert provider.requests[-1].body["tools"] == tools
    ask(live_pg, "PATCH", "/v1/users/me/settings", {"enable_tools": False}, **headers)
    ask(live_pg, "POST", "/v1/chat/completions", body, **headers)
    assert "tools" not in provider.requests[-1].body


def test_calls_of_tools_stay_with_their_results(client: OpenAI, provider: Provider):
    tools = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}]
    first = client.chat.completions.create(
        model="tools", messages=[user("sum")], tools=tools, extra_body={"conversation": {}}
    )
    conversation = first.model_extra["conversation_id"]
    calls = first.choices[0].message.tool_calls
    results = [{"role": "tool", "tool_call_id": call.id, "content": f"result {i}"} for i, call in enumerate(calls)]
    client.chat.completions.create(model="plain", messages=results, extra_body={"conversation": conversation})
    turn(client, "thanks", conversation)
    told = provider.requests[-1].body["messages"]
    assert [message["role"] for message in told] == [
        "user", "assistant", *(["tool"] * len(calls)), "assistant", "user",
    ]  # fmt: skip
    assert [call["id"] for call in told[1]["tool_calls"]] == [call.id for call in calls]


def test_what_is_not_to_be_stored_is_not(client: OpenAI, provider: Provider):
    conversation = turn(client, "kept", {}).model_extra["conversation_id"]
    before = items(client, conversation)
    turn(client, "not kept", conversation, store=False)
    assert sent(provider) == [("user", "kept"), ("assistant", ANSWER), ("user", "not kept")]
    assert items(client, conversation) == before


def test_a_failed_turn_leaves_nothing_and_can_be_tried_again(client: OpenAI, provider: Provider):
    conversation = turn(client, "fine", {}).model_extra["conversation_id"]
    before = items(client, conversation)
    for model in ("status-500", "status-400", "reset", "no-such-model"):
        with pytest.raises(APIStatusError) as refused:
            turn(client, "again", conversation, model=model)
        assert refused.value.status_code in (400, 404, 502)
        assert items(client, conversation) == before
    turn(client, "again", conversation)
    assert sent(provider)[-1] == ("user", "again")
    assert len(items(client, conversation)) == 4


def test_a_conversation_made_for_a_turn_that_failed_is_not_there(live_pg: Server, client: OpenAI):
    def count() -> int:
        return int(ask(live_pg, "GET", "/v1/conversations", x_api_key=client.api_key).json()["total"])

    before = count()
    with pytest.raises(APIError):
        turn(client, "x", {}, model="status-500")
    assert count() == before


def test_an_answer_that_breaks_is_kept_as_far_as_it_came(client: OpenAI, provider: Provider):
    conversation = turn(client, "start", {}).model_extra["conversation_id"]
    with pytest.raises(APIError):
        list(turn(client, "break", conversation, model="truncated", stream=True))
    *_, (role, status, text) = items(client, conversation)
    assert (role, status, text[:2]) == ("assistant", "incomplete", "ab")
    # Asked again, the broken answer gives way.
    list(turn(client, "break", conversation, stream=True))
    assert items(client, conversation)[-2:] == [
        ("user", "completed", "break"), ("assistant", "completed", STREAMED),
    ]  # fmt: skip
    assert len(items(client, conversation)) == 4
    assert sent(provider) == [("user", "start"), ("assistant", ANSWER), ("user", "break")]


def test_a_client_that_leaves_loses_nothing(live_pg: Server, client: OpenAI):
    conversation = turn(client, "start", {}).model_extra["conversation_id"]
    with turn(client, "leave", conversation, model="c20-d5", stream=True) as stream:
        next(iter(stream))
    with pytest.raises(ConflictError) as busy:
        turn(client, "still there?", conversation)
    assert (busy.value.code, busy.value.response.headers["x-should-retry"]) == ("conversation_locked", "true")
    turn(client.with_options(max_retries=10), "still there?", conversation)
    said = items(client, conversation)
    assert [role for role, _, _ in said] == ["user", "assistant"] * 3
    assert said[3][2].startswith("w0 ")


def test_fifty_turns_at_once(live_pg: Server, client: OpenAI):
    conversation = turn(client, "start", {}).model_extra["conversation_id"]

    def one(number: int) -> bool:
        try:
            turn(client, f"ask {number}", conversation, model="c5-d1", stream=False)
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(10) as pool:
        done = sum(pool.map(one, range(50)))
    said = items(client, conversation)
    assert done >= 1
    assert [role for role, _, _ in said] == ["user", "assistant"] * (done + 1)
    assert len({text for role, _, text in said if role == "user"}) == done + 1


def test_nobody_elses_conversation(live_pg: Server, client: OpenAI):
    conversation = turn(client, "mine", {}).model_extra["conversation_id"]
    body = {"model": "plain", "messages": [user("let me in")], "conversation": conversation}
    other = ask(live_pg, "POST", "/v1/chat/completions", body, authorization=f"Bearer {live_pg.guest_token()}")
    unknown = ask(
        live_pg, "POST", "/v1/chat/completions", {**body, "conversation": "conv_" + "0" * 24}, x_api_key=client.api_key
    )
    assert (other.status_code, other.json()["error"]["code"]) == (404, "conversation_not_found")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "conversation_not_found")
    assert len(items(client, conversation)) == 2


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"conversation": 7}, "conversation"),
        ({"conversation": {"id": 7}}, "conversation"),
        ({"conversation": ""}, "conversation"),
        ({"conversation": {}, "n": 2}, "n"),
        ({"conversation": {}, "messages": []}, "messages"),
        ({"conversation": {}, "messages": [{"role": "system", "content": "x"}]}, "messages"),
    ],
)
def test_bad_input(live_pg: Server, client: OpenAI, body: Any, param: str):
    answer = ask(
        live_pg,
        "POST",
        "/v1/chat/completions",
        {"model": "plain", "messages": [user("x")], **body},
        x_api_key=client.api_key,
    )
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_over_the_websocket(live_pg: Server, client: OpenAI, provider: Provider):
    url = live_pg.base_url.replace("http", "ws") + "/ws/v1/chat/completions"
    with connect(url, additional_headers={"x-api-key": client.api_key}) as socket:
        assert json.loads(socket.recv(10)) == {"type": "ready"}
        socket.send(json.dumps({"model": "plain", "messages": [user("socket")], "conversation": {}}))
        frames = [json.loads(socket.recv(10))]
        while frames[-1].get("type") not in ("done", "error"):
            frames.append(json.loads(socket.recv(10)))
    assert frames[-1] == {"type": "done"}
    conversation = frames[0]["conversation_id"]
    assert items(client, conversation) == [("user", "completed", "socket"), ("assistant", "completed", STREAMED)]


def test_seeds_examples(live_pg: Server, client: OpenAI):
    body = {
        "model": "plain",
        "messages": [{"role": "user", "content": "What did we discuss earlier about machine learning?"}],
        "max_tokens": 200,
        "temperature": 0.7,
    }
    answer = ask(live_pg, "POST", "/v1/conv/chat/completions", body, x_api_key=client.api_key)
    assert {"id", "object", "created", "model", "conversation_id", "choices", "usage"} <= set(answer.json())
    with pytest.raises(NotFoundError):
        client.conversations.retrieve("conv_123")


def test_a_key_for_one_conversation_answers_there_alone(live_pg: Server, client: OpenAI):
    conversation = turn(client, "mine", {}).model_extra["conversation_id"]
    body = {"kind": "ephemeral", "conversation_id": conversation}
    key = ask(live_pg, "POST", "/v1/auth/api-keys", body, x_api_key=client.api_key).json()["key"]
    bound = client.with_options(api_key=key)
    turn(bound, "hers", conversation)
    for elsewhere in ({}, "conv_" + "0" * 24):
        with pytest.raises(PermissionDeniedError) as refused:
            turn(bound, "elsewhere", elsewhere)
        assert refused.value.code == "conversation_not_allowed"
    with pytest.raises(PermissionDeniedError):
        bound.embeddings.create(model="text-embedding-small", input="x")
    assert [text for _, _, text in items(bound, conversation)] == ["mine", ANSWER, "hers", ANSWER]


def test_a_call_in_no_conversation_says_nothing_of_one_to_the_provider(
    live_pg: Server, client: OpenAI, provider: Provider
):
    key = {"x_api_key": client.api_key}
    asked = {"model": "plain", "input": "Hello", "store": False}
    answer = ask(live_pg, "POST", "/v1/conv/chat/completions", asked, **key)
    assert (answer.status_code, "conversation_id" in answer.json()) == (200, False)
    assert provider.requests[-1].body == {"model": "plain", "messages": [user("Hello")], "store": False}
    plain = {"model": "plain", "messages": [user("hi")]}
    for nothing in ({"conversation": None}, {"conversation": {}, "store": False}):
        assert ask(live_pg, "POST", "/v1/chat/completions", {**plain, **nothing}, **key).status_code == 200
        assert "conversation" not in provider.requests[-1].body

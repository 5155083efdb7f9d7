"""The official SDK in strict mode over stored completions."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from openai import BadRequestError, NotFoundError, OpenAI
from websockets.sync.client import connect

from tests.provider import Provider
from tests.server import Server

pytestmark = pytest.mark.e2e
_names = itertools.count()
ANSWER = "word word word word word "
STREAMED = "w0 w1 w2 w3 w4 "
MESSAGES: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]


@pytest.fixture(scope="module", params=["live", "live_pg"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def key(server: Server) -> str:
    return server.user_key()


@pytest.fixture
def client(server: Server, key: str) -> Iterator[OpenAI]:
    with OpenAI(
        base_url=f"{server.base_url}/v1", api_key=key, max_retries=0, _strict_response_validation=True
    ) as client:
        yield client


@pytest.fixture
def run() -> str:
    """A label of this test's calls."""
    return f"run {next(_names)}"


def ask(client: OpenAI, run: str, **fields: Any) -> Any:
    wanted = {"model": "plain", "messages": MESSAGES, "store": True, "metadata": {"run": run}, **fields}
    return client.chat.completions.create(**wanted)


def listed(client: OpenAI, run: str, **fields: Any) -> list[Any]:
    return list(client.chat.completions.list(metadata={"run": run}, **fields))


def test_a_call_is_stored_read_labelled_and_deleted(client: OpenAI, provider: Provider, run: str):
    answer = ask(client, run, temperature=0.5)
    assert not {"store", "metadata"} & set(provider.requests[-1].body)
    assert answer.id.startswith("chatcmpl-")
    stored = client.chat.completions.retrieve(answer.id)
    assert (stored.id, stored.created, stored.model) == (answer.id, answer.created, "plain")
    assert stored.choices == answer.choices
    assert stored.usage == answer.usage
    assert (stored.metadata, stored.model_extra["temperature"]) == ({"run": run}, 0.5)
    changed = client.chat.completions.update(answer.id, metadata={"run": run, "topic": "greeting"})
    assert changed.metadata == {"run": run, "topic": "greeting"}
    assert client.chat.completions.delete(answer.id).model_dump() == {
        "id": answer.id, "object": "chat.completion.deleted", "deleted": True,
    }  # fmt: skip
    for call in (client.chat.completions.retrieve, client.chat.completions.delete):
        with pytest.raises(NotFoundError) as problem:
            call(answer.id)
        assert problem.value.code == "completion_not_found"


def test_lists_are_paged_and_filtered(client: OpenAI, run: str):
    ids = [ask(client, run, metadata={"run": run, "n": str(number % 2)}).id for number in range(5)]
    assert len(set(ids)) == 5
    assert [each.id for each in listed(client, run, limit=2)] == ids
    assert [each.id for each in listed(client, run, limit=2, order="desc")] == ids[::-1]
    assert [each.id for each in client.chat.completions.list(metadata={"run": run, "n": "1"})] == [ids[1], ids[3]]
    assert listed(client, run, model="tools") == []
    page = client.chat.completions.list(metadata={"run": run}, limit=2, after=ids[1])
    assert ([each.id for each in page.data], page.has_more) == (ids[2:4], True)


def test_messages_are_those_of_the_request(client: OpenAI, server: Server, key: str, run: str):
    answer = ask(client, run)
    # The SDK's type of these messages knows the role `assistant` only, so its strict mode reads no others.
    with OpenAI(base_url=f"{server.base_url}/v1", api_key=key, max_retries=0) as lenient:
        messages = list(lenient.chat.completions.messages.list(answer.id, limit=1))
    assert [(each.id, each.role, each.content, each.content_parts) for each in messages] == [
        (f"{answer.id}-0", "system", "Be brief.", None), (f"{answer.id}-1", "user", "Hi", None),
    ]  # fmt: skip
    said = ask(client, run, messages=[{"role": "assistant", "content": "Hello"}])
    assert [each.content for each in client.chat.completions.messages.list(said.id)] == ["Hello"]


def test_a_stream_is_stored_before_it_ends(client: OpenAI, run: str):
    with ask(client, run, stream=True) as stream:
        chunks = list(stream)
    assert len({chunk.id for chunk in chunks}) == 1
    stored = client.chat.completions.retrieve(chunks[0].id)
    assert (stored.choices[0].message.content, stored.choices[0].finish_reason) == (STREAMED, "stop")
    assert stored.usage is not None
    assert stored.usage.completion_tokens > 0


def test_a_stream_that_breaks_is_not_stored(server: Server, client: OpenAI, key: str, run: str):
    body = {"model": "fin", "messages": MESSAGES, "store": True, "metadata": {"run": run}, "stream": True}
    text = httpx2.post(
        f"{server.base_url}/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {key}"}, timeout=30
    ).text
    assert '"error"' in text
    assert listed(client, run) == []


@pytest.mark.parametrize("store", [False, None])
def test_a_call_that_asks_for_nothing_is_not_stored(client: OpenAI, provider: Provider, run: str, store: bool | None):
    answer = ask(client, run, store=store)
    assert listed(client, run) == []
    assert provider.requests[-1].body["metadata"] == {"run": run}  # the provider's to judge
    with pytest.raises(NotFoundError):
        client.chat.completions.retrieve(answer.id)


def test_metadata_that_cannot_be_stored_are_refused_before_the_call(client: OpenAI, provider: Provider, run: str):
    before = len(provider.requests)
    with pytest.raises(BadRequestError) as problem:
        ask(client, run, metadata={"run": "x" * 513})
    assert (problem.value.param, len(provider.requests)) == ("metadata.run", before)


def test_a_turn_of_a_conversation_is_stored_too(client: OpenAI, run: str):
    answer = ask(client, run, extra_body={"conversation": {}})
    conversation = answer.model_extra["conversation_id"]
    again = ask(client, run, messages=[MESSAGES[1]], extra_body={"conversation": conversation}, stream=True)
    chunks = list(again)
    assert {chunk.model_extra["conversation_id"] for chunk in chunks} == {conversation}
    assert [each.id for each in listed(client, run)] == [answer.id, chunks[0].id]


def test_a_call_over_websocket_is_stored(server: Server, client: OpenAI, key: str, run: str):
    url = f"{server.base_url.replace('http', 'ws')}/ws/v1/chat/completions"
    asked = {"model": "plain", "messages": MESSAGES, "store": True, "metadata": {"run": run}}
    with connect(url, additional_headers={"Authorization": f"Bearer {key}"}) as socket:
        assert json.loads(socket.recv()) == {"type": "ready"}
        socket.send(json.dumps(asked))
        frames = [json.loads(socket.recv()) for _ in range(3)]
        while json.loads(socket.recv()) != {"type": "done"}:
            pass
    [stored] = listed(client, run)
    assert stored.id == frames[0]["id"]


def test_the_collection_takes_get_and_post_alone(server: Server, key: str):
    headers = {"Authorization": f"Bearer {key}"}
    url = f"{server.base_url}/v1/chat/completions"
    answers = {method: httpx2.request(method, url, headers=headers) for method in ("PUT", "PATCH", "DELETE")}
    assert {answer.status_code for answer in answers.values()} == {405}
    assert httpx2.get(url).status_code == 401
    assert httpx2.get(f"{server.base_url}/api/llm/v1/chat/completions", headers=headers).json()["object"] == "list"
    assert httpx2.get(f"{server.base_url}/v1/embeddings", headers=headers).status_code == 405

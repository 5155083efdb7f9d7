"""The official SDK in strict mode over conversations and items, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.conversations.web_client import shown
from tests.provider import Provider
from tests.server import Server, start_server

pytestmark = pytest.mark.e2e
PAGE = 20


@pytest.fixture(scope="module", params=["live", "live_pg"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def token(server: Server) -> str:
    return server.guest_token()


@pytest.fixture
def client(server: Server, token: str) -> Iterator[OpenAI]:
    url = f"{server.base_url}/v1"
    with OpenAI(base_url=url, api_key=token, max_retries=0, _strict_response_validation=True) as client:
        yield client


def ask(server: Server, token: str, method: str, path: str, **fields: Any) -> Any:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx2.request(method, f"{server.base_url}/v1/conversations{path}", headers=headers, timeout=30, **fields)


def said(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": text}


def test_a_conversation_from_beginning_to_end(client: OpenAI):
    made = client.conversations.create(items=[said("Hello!")], metadata={"topic": "demo"})
    assert (made.object, made.metadata, made.model_extra["title"]) == ("conversation", {"topic": "demo"}, "Hello!")
    assert client.conversations.retrieve(made.id) == made
    changed = client.conversations.update(made.id, metadata={"topic": "other"})
    assert (changed.id, changed.created_at, changed.metadata) == (made.id, made.created_at, {"topic": "other"})
    gone = client.conversations.delete(made.id)
    assert (gone.id, gone.object, gone.deleted) == (made.id, "conversation.deleted", True)
    with pytest.raises(openai.NotFoundError) as missing:
        client.conversations.retrieve(made.id)
    assert missing.value.code == "conversation_not_found"


def test_items_of_many_types(client: OpenAI):
    conversation = client.conversations.create()
    items = client.conversations.items
    given: list[Any] = [
        said("What is the weather?"),
        {"role": "user", "content": [
            {"type": "input_text", "text": "And this?"},
            {"type": "input_image", "image_url": "https://e.example/a.png", "detail": "low"},
        ]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "I look"}]},
        {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "rain"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "w"}},
        {"type": "mcp_call", "id": "mcp_1", "server_label": "jan", "name": "scrape", "arguments": "{}", "output": "x"},
        {"role": "assistant", "content": "It rains."},
    ]  # fmt: skip
    made = items.create(conversation.id, items=given)
    kinds = [item.type for item in made.data]
    assert kinds == ["message", "message", *(item["type"] for item in given[2:7]), "message"]
    assert [item.type for item in items.list(conversation.id, order="asc")] == kinds
    one = items.retrieve(made.data[1].id, conversation_id=conversation.id, include=["message.input_image.image_url"])
    assert [part.type for part in one.content] == ["input_text", "input_image"]
    left = items.delete(made.data[0].id, conversation_id=conversation.id)
    assert (left.id, left.model_extra["item_count"], left.model_extra["deleted_item_id"]) == (
        conversation.id, 7, made.data[0].id,
    )  # fmt: skip
    with pytest.raises(openai.NotFoundError):
        items.retrieve(made.data[0].id, conversation_id=conversation.id)


async def test_the_other_client_does_the_same(server: Server, token: str):
    url = f"{server.base_url}/v1"
    async with AsyncOpenAI(base_url=url, api_key=token, max_retries=0, _strict_response_validation=True) as client:
        made = await client.conversations.create(items=[said("Hello!")])
        page = await client.conversations.items.list(made.id)
        assert [item.content[0].text async for item in page] == ["Hello!"]
        assert (await client.conversations.delete(made.id)).deleted


def test_pages_follow_each_other_while_others_write(client: OpenAI):
    """Three pages, the newest first, with items added meanwhile: each that was there is seen once, in order."""
    conversation = client.conversations.create().id
    for start in range(0, 60, 20):
        client.conversations.items.create(conversation, items=[said(str(start + at)) for at in range(20)])
    seen = []
    for at, item in enumerate(client.conversations.items.list(conversation, limit=PAGE)):
        seen.append(item.content[0].text)
        if at % PAGE == 5:
            late = threading.Thread(target=client.conversations.items.create, args=(conversation,),
                                    kwargs={"items": [said("late")]})  # fmt: skip
            late.start()
            late.join()
    assert seen == [str(number) for number in range(59, -1, -1)]


def test_a_cursor_whose_item_was_deleted_is_said_to_be_unknown(client: OpenAI):
    """Not page one again, which would never end."""
    conversation = client.conversations.create().id
    for start in range(0, 60, 20):
        client.conversations.items.create(conversation, items=[said(str(start + at)) for at in range(20)])
    first = client.conversations.items.list(conversation, limit=PAGE)
    # Any other item may go.
    client.conversations.items.delete(first.data[3].id, conversation_id=conversation)
    second = first.get_next_page()
    assert [item.content[0].text for item in second.data] == [str(number) for number in range(39, 19, -1)]
    client.conversations.items.delete(second.last_id, conversation_id=conversation)
    with pytest.raises(openai.BadRequestError) as refused:
        second.get_next_page()
    assert (refused.value.code, refused.value.param) == ("invalid_value", "after")


def test_many_who_write_at_once_lose_nothing(server: Server, client: OpenAI, token: str):
    conversation = client.conversations.create().id

    def write(at: int) -> tuple[int, list[int]]:
        items = [said(f"{at} first"), said(f"{at} second")]
        answer = ask(server, token, "POST", f"/{conversation}/items", json={"items": items})
        assert answer.status_code == 200, answer.text
        return answer.status_code, [item["sequence_number"] for item in answer.json()["data"]]

    with ThreadPoolExecutor(12) as pool:
        written = list(pool.map(write, range(24)))
    assert {status for status, _ in written} == {200}
    assert all(second == first + 1 for _, (first, second) in written)
    assert sorted(number for _, numbers in written for number in numbers) == list(range(1, 49))
    assert client.conversations.retrieve(conversation).model_extra["item_count"] == 48
    seen = [item.model_extra["sequence_number"] for item in client.conversations.items.list(conversation, order="asc")]
    assert seen == list(range(1, 49))


def test_what_is_refused_is_refused_once_and_by_name(client: OpenAI):
    with pytest.raises(openai.BadRequestError) as refused:
        client.conversations.create(items=[said("x")] * 21)
    assert refused.value.param == "items"


def test_the_seeds_examples(server: Server, token: str):
    def call(method: str, path: str = "", body: Any = None) -> Any:
        answer = ask(server, token, method, path, **({} if body is None else {"json": body}))
        assert answer.status_code == 200, answer.text
        return answer.json()

    wanted = {"title": "New Conversation", "model": "jan-v1-4b", "metadata": {"category": "technical"}}
    made = call("POST", body=wanted)
    keys = {"id", "title", "model", "created_at", "updated_at", "item_count", "user_id", "metadata"}
    assert keys <= made.keys()
    assert {name: made[name] for name in wanted} == wanted
    listed = call("GET", "?limit=10&offset=0")
    assert {"conversations", "total", "limit", "offset"} <= listed.keys()
    assert keys <= listed["conversations"][0].keys()
    where = f"/{made['id']}"
    changed = {"title": "Updated Conversation Title", "metadata": {"category": "research", "tags": ["ai", "ml"]}}
    patched = call("PATCH", where, changed)
    assert (patched["title"], patched["metadata"]) == (changed["title"], changed["metadata"])
    assert call("POST", where, {"title": "Updated Title"})["title"] == "Updated Title"
    two = {"items": [
        {"role": "user", "content": "What is supervised learning?", "metadata": {"tokens": 6}},
        {"role": "assistant", "content": "Supervised learning is a type of machine learning...",
         "metadata": {"tokens": 28, "model": "jan-v1-4b"}},
    ]}  # fmt: skip
    added = call("POST", f"{where}/items", two)
    item_keys = {"id", "conversation_id", "role", "content", "created_at", "metadata"}
    assert all(item_keys <= item.keys() for item in added["items"])
    typed = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello!"}]}
    call("POST", f"{where}/items", {"items": [typed]})
    assert len(call("GET", f"{where}/items?limit=50")["data"]) == 3
    one = call("GET", f"{where}/items/{added['items'][0]['id']}")
    assert one["metadata"] == {"tokens": 6}
    call("DELETE", f"{where}/items/{one['id']}")
    texts = [message.text for message in shown(call("GET", f"{where}/messages?order=asc")["data"])]
    assert texts == [two["items"][1]["content"], "Hello!"]
    call("DELETE", where)
    assert ask(server, token, "GET", where).json()["error"]["type"] == "not_found_error"


def test_words_are_found(server: Server, client: OpenAI, token: str):
    titled = {"title": "Holidays"}
    lisbon = client.conversations.create(
        items=[said("Where do we eat Pastéis de nata in Lisbon?")], extra_body=titled
    ).id
    client.conversations.create(items=[said("Nothing of that")])

    def found(query: str) -> list[str]:
        answer = ask(server, token, "GET", "", params={"q": query})
        assert answer.status_code == 200, answer.text
        return [row["id"] for row in answer.json()["data"]]

    for query in ("pastéis", "eat nat", "LISBON", "nata? eat", 'lisb"*', "lis -* ^(near"[:3]):
        assert found(query) == [lisbon], query
    for query in ("isbon", "nata nothing", "!!!", '"', "* OR 1", "title:lisbon"):
        assert found(query) == [], query
    [item] = client.conversations.items.list(lisbon).data
    client.conversations.items.delete(item.id, conversation_id=lisbon)
    assert (found("pastéis"), found("holi")) == ([], [lisbon])
    client.conversations.delete(lisbon)
    assert found("holidays") == []


def test_twenty_deletions_a_minute(provider: Provider):
    """Whatever is deleted; reading goes on."""
    with start_server(provider, profile="sqlite", JAN_RATELIMIT_SCALE="1") as server:
        token = server.guest_token()
        statuses = [ask(server, token, "DELETE", "/conv_nobody").status_code for _ in range(20)]
        refused = ask(server, token, "DELETE", "")
        assert (statuses, refused.status_code) == ([404] * 20, 429)
        assert refused.json()["error"]["details"]["limit"] == 20
        assert ask(server, token, "GET", "").status_code == 200

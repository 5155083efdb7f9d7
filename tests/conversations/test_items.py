"""Items over HTTP: every spelling comes in, one goes out, which two kinds of client understand."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.conversations import turns
from apps.conversations.models import Conversation, Item
from apps.core.ids import new_id
from tests.api_keys.conftest import Caller
from tests.conversations.conftest import PATH, made, refused
from tests.conversations.test_turns import principal_of
from tests.conversations.web_client import Shown, shown

HELLO = {"role": "user", "content": "Hello there"}


@pytest.fixture
def path(ada: Caller) -> str:
    return f"{PATH}/{made(ada)['id']}"


def added(ada: Caller, path: str, *items: Any) -> list[dict[str, Any]]:
    answer = ada.call("POST", f"{path}/items", {"items": list(items)})
    assert answer.status_code == 200, answer.content
    return answer.json()["data"]


def user(*content: Any) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": list(content)}


def assistant(*content: Any) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": list(content)}


def said(text: str) -> list[dict[str, Any]]:
    return [{"type": "input_text", "text": text, "input_text": text}]


def answered(text: str, *annotations: Any) -> list[dict[str, Any]]:
    found = list(annotations)
    spoken = {"text": text, "annotations": found}
    return [{"type": "output_text", "text": text, "annotations": found, "output_text": spoken}]


def test_an_item_is_what_openai_and_the_seeds_say(ada: Caller, path: str):
    [document] = added(ada, path, {**HELLO, "metadata": {"tokens": 6, "tags": ["a"]}})
    row = Item.objects.get()
    assert document == {
        "id": row.public_id, "object": "conversation.item", "type": "message", "role": "user", "status": "completed",
        "content": said("Hello there"), "text": "Hello there", "conversation_id": path.removeprefix(f"{PATH}/"),
        "created_at": int(row.created_at.timestamp()), "sequence_number": 1, "metadata": {"tokens": 6, "tags": ["a"]},
        "rating": None, "model": None, "usage": None,
    }  # fmt: skip
    assert row.public_id.startswith("msg_")
    assert ada.call("GET", f"{path}/items/{row.public_id}").json() == document
    assert ada.call("GET", f"{path}/items").json()["data"] == [document]


CITED = {"type": "url_citation", "url": "https://e.example", "title": "E", "start_index": 0, "end_index": 2}
PICTURE = "https://e.example/a.png"


@pytest.mark.parametrize(
    ("given", "content"),
    [
        (HELLO, said("Hello there")),
        ({"type": "message", **HELLO}, said("Hello there")),
        (user("Hello there"), said("Hello there")),
        (user({"type": "input_text", "text": "Hi"}), said("Hi")),
        (user({"type": "input_text", "input_text": "Hi"}), said("Hi")),
        (user({"type": "text", "text": "Hi"}), said("Hi")),
        (user({"type": "text", "text": {"text": "Hi"}}), said("Hi")),
        (user({"type": "text", "text": {"value": "Hi", "annotations": []}}), said("Hi")),
        ({"role": "user", "content": {"type": "input_text", "text": "Hi"}}, said("Hi")),
        ({"role": "assistant", "content": "Yes"}, answered("Yes")),
        (assistant({"type": "text", "text": {"text": "Yes", "annotations": [CITED]}}), answered("Yes", CITED)),
        (assistant({"type": "output_text", "text": "Yes", "annotations": [CITED]}), answered("Yes", CITED)),
        (assistant({"type": "output_text", "output_text": {"text": "Yes", "annotations": []}}), answered("Yes")),
        (assistant({"type": "output_text", "text": "Yes"}), answered("Yes")),
        (
            assistant({"type": "refusal", "refusal": "No."}),
            [{"type": "refusal", "refusal": "No.", "text": "No."}],
        ),
        (
            assistant({"type": "reasoning_text", "text": "hm"}),
            [{"type": "reasoning_text", "text": "hm", "reasoning_content": "hm"}],
        ),
        *(
            (
                user(part),
                [{"type": "input_image", "image_url": PICTURE, "file_id": None, "detail": detail,
                  "image": {"url": PICTURE}}],
            )
            for part, detail in (
                ({"type": "input_image", "image_url": PICTURE}, "auto"),
                ({"type": "input_image", "image_url": PICTURE, "detail": "low"}, "low"),
                ({"type": "image_url", "image_url": {"url": PICTURE, "detail": "high"}}, "high"),
                ({"type": "image", "image": {"url": PICTURE}}, "auto"),
            )
        ),
        (
            user({"type": "input_image", "file_id": "jan_1"}),
            [{"type": "input_image", "image_url": None, "file_id": "jan_1", "detail": "auto"}],
        ),
        (
            user({"type": "file", "file": {"file_data": "data:;base64,QQ==", "filename": "a.txt"}}),
            [{"type": "input_file", "file_data": "data:;base64,QQ==", "filename": "a.txt"}],
        ),
        (
            user({"type": "input_audio", "input_audio": {"data": "QQ==", "format": "wav"}}),
            [{"type": "input_file", "filename": "audio.wav", "file_data": "data:audio/wav;base64,QQ==",
              "input_audio": {"data": "QQ==", "format": "wav"}}],
        ),
    ],
)  # fmt: skip
def test_every_spelling_of_a_message(ada: Caller, path: str, given: Any, content: Any):
    [document] = added(ada, path, given)
    assert document["content"] == content
    # What went out can be sent back.
    [again] = added(ada, path, document)
    assert {**again, "id": "", "sequence_number": 0, "created_at": 0} == {
        **document, "id": "", "sequence_number": 0, "created_at": 0,
    }  # fmt: skip


def test_messages_of_chat_completions_become_the_items_they_are(ada: Caller, path: str):
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    items = added(
        ada, path, HELLO, {"role": "assistant", "content": None, "reasoning_content": "I should look", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"}, {"role": "assistant", "content": "It rains."},
    )  # fmt: skip
    assert [(item["type"], item["role"]) for item in items] == [
        ("message", "user"), ("reasoning", "assistant"), ("function_call", "assistant"), ("function_call_output", "tool"),
        ("message", "assistant"),
    ]  # fmt: skip
    assert (items[2]["name"], items[2]["arguments"], items[2]["call_id"]) == ("weather", '{"city": "Oslo"}', "call_1")
    assert (items[3]["output"], items[3]["call_id"]) == ("rain", "call_1")
    both = added(ada, path, {"role": "assistant", "content": "Let me see.", "tool_calls": [call]})
    assert [item["type"] for item in both] == ["message", "function_call"]


def test_the_web_client_shows_what_was_said(ada: Caller, path: str):
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": {"city": "Oslo"}}}
    added(
        ada, path, user({"type": "input_text", "text": "What is this?"}, {"type": "input_image", "image_url": PICTURE}),
        {"role": "assistant", "content": "Let me see.", "reasoning_content": "I should look", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "rain"}]},
        {"role": "assistant", "content": "It rains."}, assistant({"type": "refusal", "refusal": "I cannot."}),
        {"type": "web_search_call", "action": {"type": "search", "query": "weather"}},
    )  # fmt: skip
    items = ada.call("GET", f"{path}/items?order=asc").json()["data"]
    assert shown(items) == [
        Shown("user", "What is this?", [PICTURE]),
        Shown("assistant", "<think>I should look</think>"),
        Shown("assistant", "Let me see."),
        Shown("assistant", " ", [], [
            {"id": "call_1", "name": "weather", "arguments": '{"city": "Oslo"}', "response": "rain"}
        ]),
        Shown("assistant", "It rains."),
        Shown("assistant", "I cannot."),
        Shown("assistant", " "),
    ]  # fmt: skip


def test_a_single_item_is_a_body_too(ada: Caller, path: str):
    answer = ada.call("POST", f"{path}/items", {"type": "message", **HELLO}).json()
    assert answer == {
        "object": "list", "data": answer["data"], "items": answer["data"], "first_id": answer["data"][0]["id"],
        "last_id": answer["data"][0]["id"], "has_more": False, "next_after": None, "total": 1, "limit": 1, "offset": 0,
    }  # fmt: skip


def test_twenty_items_are_one_insert(ada: Caller, path: str):
    with CaptureQueriesContext(
        connection,
    ) as queries:
        added(ada, path, *[HELLO] * 20)
    inserts = [query["sql"] for query in queries if query["sql"].startswith('INSERT INTO "conversations_item"')]
    assert (len(inserts), Item.objects.count()) == (1, 20)
    assert refused(ada.call("POST", f"{path}/items", {"items": [HELLO] * 21})) == (400, "invalid_value", "items")
    assert Item.objects.count() == 20


@pytest.mark.parametrize(
    ("given", "code", "param"),
    [
        ({}, "missing_required_parameter", "items"),
        ([], "invalid_value", None),
        ({"items": []}, "invalid_value", "items"),
        ({"items": "Hello"}, "invalid_value", "items"),
        ({"items": [HELLO], "x": 1}, "unknown_parameter", "x"),
        ({"items": ["Hello"]}, "invalid_value", "items[0]"),
        ({"items": [{"content": "Hello"}]}, "missing_required_parameter", "items[0].type"),
        ({"items": [HELLO, {"type": "message", "content": "x"}]}, "missing_required_parameter", "items[1].role"),
        ({"items": [{"role": "king", "content": "x"}]}, "invalid_value", "items[0].role"),
        ({"items": [{"role": ["user"], "content": "x"}]}, "invalid_value", "items[0].role"),
        ({"items": [{"type": "poem"}]}, "invalid_value", "items[0].type"),
        ({"items": [{"type": ["message"]}]}, "invalid_value", "items[0].type"),
        ({"role": "user"}, "missing_required_parameter", "content"),
        ({"role": "user", "content": 7}, "invalid_value", "content"),
        ({"role": "user", "content": [7]}, "invalid_value", "content[0]"),
        ({"role": "user", "content": [{}]}, "invalid_value", "content[0].type"),
        ({"role": "user", "content": [{"type": {}}]}, "invalid_value", "content[0].type"),
        ({"role": "user", "content": [{"type": "input_text"}]}, "missing_required_parameter", "content[0].text"),
        ({"role": "user", "content": [{"type": "input_text", "text": 1}]}, "invalid_value", "content[0].text"),
        ({"role": "user", "content": [{"type": "text", "text": {"text": []}}]}, "invalid_value", "content[0].text"),
        ({"role": "user", "content": [{"type": "text", "text": "a", "b": 1}]}, "unknown_parameter", "content[0].b"),
        ({"role": "user", "content": "x" * 100_001}, "invalid_value", "content[0].text"),
        ({"role": "user", "content": ["x"] * 101}, "invalid_value", "content"),
        ({"role": "user", "content": [{"type": "input_image"}]}, "missing_required_parameter", "content[0].image_url"),
        ({"role": "user", "content": [{"type": "input_image", "image_url": 1}]}, "invalid_value",
         "content[0].image_url"),
        ({"role": "user", "content": [{"type": "input_image", "file_id": "a", "detail": "x"}]}, "invalid_value",
         "content[0].detail"),
        ({"role": "user", "content": [{"type": "file", "file": {}}]}, "missing_required_parameter",
         "content[0].file_id"),
        ({"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "!", "format": "wav"}}]},
         "invalid_value", "content[0].input_audio.data"),
        ({"role": "assistant", "content": [{"type": "output_text", "text": "a", "annotations": [{}]}]},
         "invalid_value", "content[0].annotations"),
        ({**HELLO, "status": "done"}, "invalid_value", "status"),
        ({**HELLO, "metadata": "x"}, "invalid_value", "metadata"),
        ({**HELLO, "metadata": {"a": "x" * 16_384}}, "invalid_value", "metadata"),
        ({**HELLO, "colour": "red"}, "unknown_parameter", "colour"),
        ({"role": "assistant", "tool_calls": [{}]}, "invalid_value", "tool_calls[0].function"),
        ({"role": "assistant", "tool_calls": [{"function": {"name": "a"}}]}, "invalid_value",
         "tool_calls[0].call_id"),
        ({"role": "assistant", "tool_calls": [{}] * 17}, "invalid_value", "tool_calls"),
        ({"role": "tool", "tool_call_id": 1, "content": "x"}, "invalid_value", "call_id"),
        ({"type": "function_call", "name": "a"}, "missing_required_parameter", "call_id"),
        ({"type": "function_call", "call_id": "a", "name": "a", "arguments": {}}, "invalid_value", "arguments"),
        ({"type": "function_call", "call_id": "a", "name": "a", "arguments": "", "x": 1}, "unknown_parameter", "x"),
        ({"type": "web_search_call", "action": {"type": "dance"}}, "invalid_value", "action.type"),
        ({"type": "function_call_output", "call_id": "a", "output": [{"type": "refusal", "refusal": "n"}]},
         "invalid_value", "output[0].type"),
    ],
)  # fmt: skip
def test_what_is_no_item_is_refused_by_name_and_stores_nothing(
    ada: Caller, path: str, given: Any, code: str, param: str | None
):
    assert refused(ada.call("POST", f"{path}/items", given)) == (400, code, param)
    assert (Item.objects.count(), Conversation.objects.get().branch.last_sequence) == (0, 0)


def texts(answer: Any) -> list[str]:
    return [item["text"] for item in answer.json()["data"]]


def test_lists_are_paged_from_the_newest(ada: Caller, path: str):
    names = [item["id"] for item in added(ada, path, *[{"role": "user", "content": str(at)} for at in range(5)])]
    page = ada.call("GET", f"{path}/items?limit=2").json()
    assert [item["text"] for item in page["data"]] == ["4", "3"]
    assert {name: page[name] for name in page if name != "data"} == {
        "object": "list", "first_id": names[4], "last_id": names[3], "has_more": True, "next_after": names[3],
        "total": 5,
    }  # fmt: skip
    assert texts(ada.call("GET", f"{path}/items?limit=2&after={names[3]}")) == ["2", "1"]
    assert texts(ada.call("GET", f"{path}/items?limit=2&after={names[1]}")) == ["0"]
    assert texts(ada.call("GET", f"{path}/items?order=asc&after={names[0]}&before={names[4]}")) == ["1", "2", "3"]
    assert texts(ada.call("GET", f"{path}/items?cursor={names[1]}&include[]=message.output_text.logprobs")) == ["0"]
    offset = ada.call("GET", f"{path}/items?limit=2&offset=3").json()
    assert ([item["text"] for item in offset["items"]], offset["items"]) == (["1", "0"], offset["data"])
    for query, param in (("after=msg_x", "after"), ("before=a%00", "before"), ("limit=0", "limit")):
        assert refused(ada.call("GET", f"{path}/items?{query}")) == (400, "invalid_value", param)


def test_a_page_of_any_conversation_costs_the_same_queries(ada: Caller, path: str, django_assert_max_num_queries: Any):
    added(ada, path, *[HELLO] * 20)
    name = Item.objects.last().public_id
    with django_assert_max_num_queries(8):
        assert len(texts(ada.call("GET", f"{path}/items?after={name}"))) == 19


def test_messages_are_items_that_are_messages(ada: Caller, path: str):
    call = {"type": "function_call", "call_id": "call_1", "name": "a", "arguments": ""}
    first, called, second = added(ada, path, HELLO, call, {"role": "assistant", "content": "Yes"})
    page = ada.call("GET", f"{path}/messages?offset=0").json()
    assert ([item["id"] for item in page["data"]], page["total"], page["messages"]) == (
        [second["id"], first["id"]], 2, page["data"],
    )  # fmt: skip
    assert texts(ada.call("GET", f"{path}/messages?limit=1&after={second['id']}")) == ["Hello there"]
    assert ada.call("GET", f"{path}/messages/{first['id']}").json() == first
    for method in ("GET", "DELETE"):
        assert refused(ada.call(method, f"{path}/messages/{called['id']}")) == (404, "item_not_found", "item_id")
    assert ada.call("POST", f"{path}/messages", HELLO).json()["messages"][0]["text"] == "Hello there"


def test_an_item_is_rated(ada: Caller, path: str):
    [item] = added(ada, path, {"role": "assistant", "content": "Yes", "metadata": {"a": 1, "b": 2}})
    where = f"{path}/items/{item['id']}"
    assert ada.call("PATCH", where, {"rating": "like"}).json() == {**item, "rating": "like"}
    assert ada.call("POST", where, {"rating": "unlike"}).json()["rating"] == "unlike"
    assert ada.call("PATCH", where, {"metadata": {"b": None, "c": 3}}).json()["metadata"] == {"a": 1, "c": 3}
    assert ada.call("POST", where, {"metadata": {"d": 4}, "rating": None}).json() == {**item, "metadata": {"d": 4}}
    for body, expected in (
        ({"rating": "love"}, (400, "invalid_value", "rating")),
        ({"content": "No"}, (400, "unknown_parameter", "content")),
    ):
        assert refused(ada.call("PATCH", where, body)) == expected
    assert ada.call("GET", where).json() == {**item, "metadata": {"d": 4}}


def test_deleting_an_item_answers_the_conversation(ada: Caller, path: str):
    first, second = added(ada, path, HELLO, {"role": "assistant", "content": "Yes"})
    answer = ada.call("DELETE", f"{path}/items/{first['id']}").json()
    conversation = ada.call("GET", path).json()
    assert answer == {**conversation, "deleted": True, "deleted_item_id": first["id"]}
    assert conversation["item_count"] == 1
    assert refused(ada.call("DELETE", f"{path}/items/{first['id']}")) == (404, "item_not_found", "item_id")
    answer = ada.call("DELETE", f"{path}/items/{second['id']}", Prefer="return=minimal")
    assert (answer.status_code, Item.objects.count()) == (204, 0)


def test_an_item_of_another_conversation_is_not_found(ada: Caller, path: str):
    [other] = added(ada, f"{PATH}/{made(ada)['id']}", HELLO)
    for method, body in (("GET", None), ("PATCH", {"rating": "like"}), ("POST", {"rating": "like"}), ("DELETE", None)):
        for name in (other["id"], new_id("msg"), "nothing", "a%00b"):
            answer = ada.call(method, f"{path}/items/{name}", body)
            assert refused(answer) == (404, "item_not_found", "item_id")
    assert refused(ada.call("GET", f"{path}/items?after={other['id']}")) == (400, "invalid_value", "after")
    assert Item.objects.get().rating == ""


def test_while_a_turn_runs_nothing_is_added_or_taken_away(ada: Caller, path: str):
    [item] = added(ada, path, HELLO)
    row = Conversation.objects.get()
    turns.take(turns.find(principal_of(ada), row.public_id), "turn")
    for answer in (
        ada.call("POST", f"{path}/items", HELLO), ada.call("DELETE", f"{path}/items/{item['id']}"),
    ):  # fmt: skip
        assert refused(answer) == (409, "conversation_locked", None)
        assert (answer.headers["retry-after"], answer.headers["x-should-retry"]) == ("1", "true")
    assert (Item.objects.count(), Conversation.objects.get().branch.item_count) == (1, 1)
    assert ada.call("GET", f"{path}/items").status_code == 200


def test_an_archived_conversation_takes_no_items(ada: Caller, path: str):
    ada.call("PATCH", path, {"archived": True})
    assert refused(ada.call("POST", f"{path}/items", HELLO)) == (409, "conversation_archived", None)
    assert Item.objects.count() == 0

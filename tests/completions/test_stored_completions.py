"""Stored completions below the edge: kept, listed, labelled, deleted, expired."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.utils import timezone
from openai.types.chat import ChatCompletion, ChatCompletionStoreMessage

from apps.api_keys.authentication import Credentials, resolve
from apps.api_keys.tokens import KeyKind
from apps.completions.models import StoredCompletion, new_completion_id
from apps.completions.services import expire_completions, store_completion
from apps.completions.shape import string_pairs
from apps.core.errors import BadRequest
from apps.organizations.models import Organization
from apps.projects.models import Project
from tests.api_keys.conftest import Caller, ada, eve

__all__ = ["ada", "eve"]

COMPLETIONS = "/v1/chat/completions"
ANSWER: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1700000000,
    "model": "plain",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello!", "refusal": None},
            "finish_reason": "stop",
            "logprobs": None,
        }
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}
REQUEST: dict[str, Any] = {
    "model": "plain",
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi", "name": "ada"}],
    "temperature": 0.5,
    "store": True,
}


def kept(caller: Caller, answer: Any = ANSWER, **fields: Any) -> StoredCompletion | None:
    principal = resolve(Credentials(bearer=caller.secret))
    assert principal is not None
    return store_completion(
        principal=principal,
        public_id=new_completion_id(),
        request={**REQUEST, **fields},
        answer=answer,
        request_id="req_1",
    )


def stored(caller: Caller, answer: Any = ANSWER, **fields: Any) -> StoredCompletion:
    made = kept(caller, answer, **fields)
    assert made is not None
    return made


def ids(page: Any) -> list[str]:
    assert page.status_code == 200, page.content
    return [row["id"] for row in page.json()["data"]]


def rows() -> list[dict[str, Any]]:
    return list(StoredCompletion.objects.order_by("pk").values())


def test_a_call_is_kept_and_shown_as_it_was_answered(ada: Caller):
    row = stored(ada, metadata={"topic": "greeting"})
    shown = ada.call("GET", f"{COMPLETIONS}/{row.public_id}").json()
    assert shown == {
        **ANSWER, "id": row.public_id, "metadata": {"topic": "greeting"}, "request_id": "req_1", "temperature": 0.5,
    }  # fmt: skip
    ChatCompletion.model_validate(shown, strict=True)
    assert row.public_id.startswith("chatcmpl-")
    assert "store" not in row.parameters


def test_what_a_provider_left_out_is_there(ada: Caller):
    row = stored(ada, answer={"choices": [{"message": {"content": "x", "tool_calls": []}}]})
    shown = ada.call("GET", f"{COMPLETIONS}/{row.public_id}").json()
    ChatCompletion.model_validate(shown, strict=True)
    assert (shown["model"], shown["choices"][0]["finish_reason"]) == ("plain", "stop")
    assert shown["created"] == int(row.created_at.timestamp())


def test_lists_are_oldest_first_and_filtered(ada: Caller, eve: Caller):
    stored(eve)
    first = stored(ada, metadata={"topic": "a", "7": "x"})
    second = stored(ada, answer={**ANSWER, "model": "other"}, metadata={"topic": "b"})
    third = stored(ada, metadata={"topic": "a", 'od"d.[0] ключ': "it's"})
    in_order = [first.public_id, second.public_id, third.public_id]
    page = ada.call("GET", f"{COMPLETIONS}?limit=2")
    assert ids(page) == in_order[:2]
    assert (page.json()["has_more"], page.json()["last_id"], page.json()["total"]) == (True, in_order[1], 3)
    assert ids(ada.call("GET", f"{COMPLETIONS}?after={in_order[1]}")) == in_order[2:]
    assert ids(ada.call("GET", f"{COMPLETIONS}?order=desc")) == in_order[::-1]
    assert ids(ada.call("GET", f"{COMPLETIONS}?model=other")) == [in_order[1]]
    for query, found in (
        ("metadata[topic]=a", [0, 2]),
        ("metadata[topic]=a&metadata[7]=x", [0]),
        ("metadata%5B7%5D=x", [0]),
        ("metadata[od%22d.%5B0%5D%20%D0%BA%D0%BB%D1%8E%D1%87]=it's", [2]),
        ("metadata[topic]=A", []),
        ("metadata[nothing]=a", []),
        ("metadata[topic]=b&model=plain", []),
    ):
        assert ids(ada.call("GET", f"{COMPLETIONS}?{query}")) == [in_order[at] for at in found], query


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"), ("limit=101", "limit"), ("order=up", "order"), ("after=chatcmpl-none", "after"),
        ("model=" + "x" * 600, "model"), ("metadata[k]=" + "x" * 600, "metadata"),
        ("&".join(f"metadata[{n}]=x" for n in range(17)), "metadata"),
    ],
)  # fmt: skip
def test_what_a_list_cannot_be_asked_is_named(ada: Caller, query: str, param: str):
    answer = ada.call("GET", f"{COMPLETIONS}?{query}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_metadata_are_replaced_or_merged(ada: Caller):
    path = f"{COMPLETIONS}/{stored(ada, metadata={'a': '1', 'b': '2'}).public_id}"
    assert ada.call("PATCH", path, {"metadata": {"b": None, "c": "3"}}).json()["metadata"] == {"a": "1", "c": "3"}
    assert ada.call("POST", path, {"metadata": {"d": {"deep": [1]}}}).json()["metadata"] == {"d": '{"deep": [1]}'}
    assert ada.call("POST", path, {"metadata": None}).json()["metadata"] == {}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "metadata"), ({"metadata": []}, "metadata"), ({"metadata": "x"}, "metadata"),
        ({"metadata": {str(n): "x" for n in range(17)}}, "metadata"),
        ({"metadata": {"k" * 65: "x"}}, "metadata"), ({"metadata": {"": "x"}}, "metadata"),
        ({"metadata": {"k": "x" * 513}}, "metadata.k"),
        ({"metadata": {}, "model": "x"}, "model"), ([], None),
    ],
)  # fmt: skip
def test_metadata_that_cannot_be_change_nothing(ada: Caller, body: Any, param: str | None):
    path = f"{COMPLETIONS}/{stored(ada, metadata={'a': '1'}).public_id}"
    before = rows()
    for method in ("POST", "PATCH"):
        answer = ada.call(method, path, body)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert rows() == before


def test_deleting(ada: Caller):
    row = stored(ada)
    path = f"{COMPLETIONS}/{row.public_id}"
    gone = ada.call("DELETE", path)
    assert gone.json() == {"id": row.public_id, "object": "chat.completion.deleted", "deleted": True}
    for method in ("GET", "DELETE"):
        answer = ada.call(method, path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "completion_not_found")


def test_a_strangers_completion_is_not_found_and_untouched(ada: Caller, eve: Caller):
    theirs = stored(eve)
    before = rows()
    for method, tail, body in (
        ("GET", "", None), ("POST", "", {"metadata": {}}), ("PATCH", "", {"metadata": {}}), ("DELETE", "", None),
        ("GET", "/messages", None),
    ):  # fmt: skip
        for name in (theirs.public_id, "chatcmpl-" + "0" * 24, "%00"):
            answer = ada.call(method, f"{COMPLETIONS}/{name}{tail}", body)
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "completion_not_found")
    assert rows() == before


def test_a_keys_completions_are_the_projects(ada: Caller):
    key = ada.with_key(kind=KeyKind.PROJECT)
    reader = ada.with_key(kind=KeyKind.PROJECT, name="reader", scopes=frozenset({"conversations.read"}))
    own, shared = stored(ada), stored(key)
    assert ids(ada.call("GET", COMPLETIONS)) == [own.public_id]
    assert ids(reader.call("GET", COMPLETIONS)) == [shared.public_id]
    path = f"{COMPLETIONS}/{shared.public_id}"
    assert reader.call("DELETE", path).status_code == 403
    assert reader.call("POST", path, {"metadata": {"a": "b"}}).status_code == 403
    assert StoredCompletion.objects.get(pk=shared.pk).metadata == {}


def test_messages_are_listed_with_ids_and_parts(ada: Caller):
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    parts = [
        {"type": "text", "text": "What is"}, {"type": "text", "text": "this?"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "image_url", "image_url": "https://example.com/b.png"},
        {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}, "nonsense",
    ]  # fmt: skip
    messages = [
        {"role": "user", "content": parts, "name": "ada"},
        {"role": "assistant", "content": None, "tool_calls": [call, "nonsense", {}]},
        {"role": "tool", "content": "seen", "tool_call_id": "call_1"},
        {"role": 7, "content": 7, "tool_calls": 7, "name": 7},
    ]
    row = stored(ada, messages=messages)
    path = f"{COMPLETIONS}/{row.public_id}/messages"
    page = ada.call("GET", path).json()
    assert [each["id"] for each in page["data"]] == [f"{row.public_id}-{number}" for number in range(4)]
    first, second, third, fourth = page["data"]
    images = [
        {"type": "image_url", "image_url": {"url": f"https://example.com/{name}.png", "detail": "auto"}}
        for name in ("a", "b")
    ]
    assert first == {
        "id": f"{row.public_id}-0", "role": "user", "content": "What is\nthis?",
        "content_parts": [*parts[:2], *images], "name": "ada", "refusal": None,
    }  # fmt: skip
    empty = {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
    assert (second["content"], second["content_parts"], second["tool_calls"]) == (None, None, [call, empty])
    assert (third["role"], third["content"], third["tool_call_id"]) == ("tool", "seen", "call_1")
    assert (fourth["content"], fourth["name"], "tool_calls" in fourth) == (None, None, False)
    for each in page["data"]:  # its type knows no role but this
        ChatCompletionStoreMessage.model_validate({**each, "role": "assistant"}, strict=True)
    rest = ada.call("GET", f"{path}?after={third['id']}&limit=1").json()
    assert ([each["id"] for each in rest["data"]], rest["has_more"]) == ([fourth["id"]], False)
    assert ids(ada.call("GET", f"{path}?order=desc"))[0] == fourth["id"]


@pytest.mark.parametrize("place", ["project", "organization"])
def test_where_only_metadata_may_be_kept_no_words_are(ada: Caller, place: str):
    _storing(ada, place, "metadata")
    row = stored(ada, tools=[{"type": "function", "function": {"name": "secret"}}], metadata={"topic": "a"})
    assert row.messages == [{"role": "system", "content": None}, {"role": "user", "content": None}]
    shown = ada.call("GET", f"{COMPLETIONS}/{row.public_id}").json()
    ChatCompletion.model_validate(shown, strict=True)
    assert shown["choices"][0]["message"] == {"role": "assistant", "content": None, "refusal": None}
    assert (shown["usage"], shown["metadata"], row.parameters) == (ANSWER["usage"], {"topic": "a"}, {})
    assert not any(word in str(rows()) for word in ("Hello!", "Be brief", "Hi'", "secret"))


@pytest.mark.parametrize("place", ["project", "organization"])
def test_where_nothing_may_be_kept_nothing_is(ada: Caller, place: str):
    _storing(ada, place, "none")
    assert kept(ada) is None
    assert rows() == []


def _storing(caller: Caller, place: str, mode: str) -> None:
    if place == "project":
        Project.objects.filter(pk=caller.project.pk).update(settings={"storage": mode})
    else:
        Organization.objects.filter(pk=caller.organization.pk).update(settings={"storage": mode})


@pytest.mark.parametrize("given", [["a"], {str(n): "" for n in range(17)}, {"": ""}, {"k" * 65: ""}, {"k": "v" * 513}])
def test_metadata_that_cannot_be_stored_are_refused(given: Any):
    with pytest.raises(BadRequest) as problem:
        string_pairs(given)
    assert (problem.value.param or "").startswith("metadata")


def test_what_its_project_or_organization_keeps_no_longer_is_deleted(ada: Caller, eve: Caller):
    for caller in (ada, eve):
        for days in (5, 20, 40):
            row = stored(caller, metadata={"days": str(days)})
            ago = timezone.now() - datetime.timedelta(days=days)
            StoredCompletion.objects.filter(pk=row.pk).update(created_at=ago)
    Project.objects.filter(pk=ada.project.pk).update(settings={"retention_days": 10})
    Organization.objects.filter(pk=ada.organization.pk).update(settings={"retention_days": 30})
    Organization.objects.filter(pk=eve.organization.pk).update(settings={"retention_days": 30})
    assert (expire_completions(), expire_completions()) == (3, 0)
    left = [(row.user_id, row.metadata["days"]) for row in StoredCompletion.objects.order_by("-created_at")]
    assert sorted(left) == sorted([(ada.user.pk, "5"), (eve.user.pk, "5"), (eve.user.pk, "20")])


def test_an_account_takes_them_along(ada: Caller):
    stored(ada)
    ada.user.delete()
    assert rows() == []

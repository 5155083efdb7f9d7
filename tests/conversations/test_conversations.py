"""Conversations over HTTP: what can be done with one, and who may."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from apps.api_keys.tokens import KeyKind
from apps.conversations.models import Branch, ChatProject, Conversation, Item
from apps.core.ids import new_id
from apps.projects.models import Project
from tests.api_keys.conftest import Caller, sign_up
from tests.conversations.conftest import PATH, made, refused

HELLO = {"role": "user", "content": "Hello there"}


def chat_project(caller: Caller, **fields: Any) -> ChatProject:
    return ChatProject.objects.create(
        organization=caller.organization, project=caller.project, user=caller.user, name="Work", **fields
    )


def test_a_conversation_is_made_and_read(ada: Caller):
    folder = chat_project(ada, instruction="Be brief.")
    body = {
        "title": "Machine learning", "model": "jan-v1-4b", "referrer": "web", "project_id": folder.public_id,
        "metadata": {"category": "technical", "tags": ["ai", {"deep": 1}]}, "items": [HELLO],
    }  # fmt: skip
    document = made(ada, **body)
    row = Conversation.objects.get()
    assert document == {
        "id": row.public_id, "object": "conversation", "created_at": int(row.created_at.timestamp()),
        "updated_at": int(row.updated_at.timestamp()), "title": "Machine learning", "description": None,
        "model": "jan-v1-4b", "metadata": body["metadata"], "project_id": folder.public_id, "instruction": "Be brief.",
        "item_count": 1, "branch": "MAIN", "user_id": ada.user.pk, "archived": False, "archived_at": None,
        "referrer": "web",
    }  # fmt: skip
    assert ada.call("GET", f"{PATH}/{row.public_id}").json() == document
    expanded = ada.call("GET", f"{PATH}/{row.public_id}?expand=items").json()
    assert ([item["text"] for item in expanded["items"]], expanded["has_more_items"]) == (["Hello there"], False)
    iso = ada.call("GET", f"{PATH}/{row.public_id}?timestamps=iso").json()
    assert iso["created_at"] == row.created_at.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_nothing_has_to_be_given(ada: Caller):
    document = made(ada)
    assert (document["title"], document["metadata"], document["item_count"]) == ("", {}, 0)
    nulls = made(ada, title=None, model=None, metadata=None, items=None, project_id=None, referrer=None)
    assert (nulls["title"], nulls["metadata"], nulls["model"], nulls["referrer"]) == ("", {}, None, None)


def test_a_title_comes_of_the_first_message(ada: Caller):
    assert made(ada, items=[HELLO])["title"] == "Hello there"
    assert made(ada, items=[HELLO], title="Chosen")["title"] == "Chosen"


def test_a_description_is_metadata(ada: Caller):
    document = made(ada, description="What it is about", metadata={"a": 1})
    assert (document["description"], document["metadata"]) == (
        "What it is about", {"a": 1, "description": "What it is about"},
    )  # fmt: skip
    path = f"{PATH}/{document['id']}"
    assert ada.call("POST", path, {"description": "Another"}).json()["metadata"] == {"a": 1, "description": "Another"}
    assert ada.call("POST", path, {"description": None}).json()["metadata"] == {"a": 1}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"title": "x" * 513}, (400, "invalid_value", "title")),
        ({"referrer": "x" * 65}, (400, "invalid_value", "referrer")),
        ({"model": "x" * 256}, (400, "invalid_value", "model")),
        ({"metadata": {"a": "x" * 16_384}}, (400, "invalid_value", "metadata")),
        ({"metadata": ["a"]}, (400, "invalid_value", "metadata")),
        ({"metadata": "a"}, (400, "invalid_value", "metadata")),
        ({"items": [HELLO] * 21}, (400, "invalid_value", "items")),
        ({"items": {"role": "user"}}, (400, "invalid_value", "items")),
        ({"items": [{"role": "user"}]}, (400, "missing_required_parameter", "items[0].content")),
        ({"project_id": "cproj_nobody"}, (404, "project_not_found", "project_id")),
        ({"archived": True, "is_archived": False}, (400, "invalid_value", "archived")),
        ({"archived": "maybe"}, (400, "invalid_value", "archived")),
        ({"colour": "red"}, (400, "unknown_parameter", "colour")),
        ([], (400, "invalid_value", None)),
    ],
)
def test_what_cannot_be_a_conversation_makes_none(ada: Caller, body: Any, expected: tuple[int, str, str | None]):
    status, code, param = refused(ada.call("POST", PATH, body))
    assert (status, code) == expected[:2]
    assert expected[0] == 404 or param == expected[2]
    assert (Conversation.objects.count(), Branch.objects.count(), Item.objects.count()) == (0, 0, 0)


def test_metadata_of_16_kilobytes_are_kept(ada: Caller):
    metadata = {"a": "x" * (16_384 - len('{"a": ""}'))}
    assert made(ada, metadata=metadata)["metadata"] == metadata


def test_post_replaces_metadata_and_patch_merges(ada: Caller):
    path = f"{PATH}/{made(ada, metadata={'a': 1, 'b': 2})['id']}"
    assert ada.call("PATCH", path, {"metadata": {"b": None, "c": [3]}}).json()["metadata"] == {"a": 1, "c": [3]}
    assert ada.call("POST", path, {"metadata": {"d": None}}).json()["metadata"] == {"d": None}
    big = {"metadata": {"a": "x" * 10_000}}
    assert ada.call("POST", path, big).status_code == 200
    assert refused(ada.call("PATCH", path, {"metadata": {"b": "x" * 10_000}})) == (400, "invalid_value", "metadata")
    assert Conversation.objects.get().metadata == big["metadata"]


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_what_is_given_is_changed_and_nothing_else(ada: Caller, method: str):
    folder = chat_project(ada)
    before = made(ada, title="Old", model="m", metadata={"a": 1}, referrer="web")
    path = f"{PATH}/{before['id']}"
    changed = ada.call(method, path, {"title": "New", "project_id": folder.public_id, "archived": True}).json()
    row = Conversation.objects.get()
    assert changed == {
        **before, "title": "New", "project_id": folder.public_id, "archived": True,
        "archived_at": int(row.archived_at.timestamp()), "updated_at": int(row.updated_at.timestamp()),
    }  # fmt: skip
    ada.call(method, path, {"is_archived": True})
    assert Conversation.objects.get().archived_at == row.archived_at
    back = ada.call(method, path, {"project_id": None, "archived": False, "title": None}).json()
    assert (back["project_id"], back["archived"], back["archived_at"], back["title"]) == (None, False, None, "")
    assert ada.call(method, path, {}).json() == back


def test_a_title_that_was_taken_away_comes_of_the_next_message(ada: Caller):
    path = f"{PATH}/{made(ada, title='Old')['id']}"
    ada.call("PATCH", path, {"title": ""})
    ada.call("POST", f"{path}/items", HELLO)
    assert ada.call("GET", path).json()["title"] == "Hello there"


def test_a_conversation_goes_with_all_that_is_in_it(ada: Caller):
    kept, gone = made(ada, items=[HELLO]), made(ada, items=[HELLO])
    answer = ada.call("DELETE", f"{PATH}/{gone['id']}")
    assert (answer.status_code, answer.json()) == (
        200, {"id": gone["id"], "object": "conversation.deleted", "deleted": True},
    )  # fmt: skip
    assert refused(ada.call("DELETE", f"{PATH}/{gone['id']}")) == (404, "conversation_not_found", "conversation")
    assert [item.conversation.public_id for item in Item.objects.all()] == [kept["id"]]
    answer = ada.call("DELETE", f"{PATH}/{kept['id']}", Prefer="return=minimal")
    assert (answer.status_code, answer.content, Conversation.objects.count()) == (204, b"", 0)


def test_all_of_ones_own_go_at_once(ada: Caller):
    bob = sign_up("bob@example.com")
    theirs = made(bob, items=[HELLO])
    for _ in range(3):
        made(ada, items=[HELLO])
    ada.call("PATCH", f"{PATH}/{Conversation.objects.first().public_id}", {"archived": True})
    answer = ada.call("DELETE", PATH).json()
    assert answer == {"object": "conversation.list.deleted", "deleted": True, "deleted_count": 3}
    assert [row.public_id for row in Conversation.objects.all()] == [theirs["id"]]


def ids(answer: Any) -> list[str]:
    return [row["id"] for row in answer.json()["data"]]


def test_lists_are_paged_from_the_newest(ada: Caller):
    names = [made(ada, title=str(at))["id"] for at in range(5)]
    page = ada.call("GET", f"{PATH}?limit=2").json()
    assert [row["title"] for row in page["data"]] == ["4", "3"]
    assert {name: page[name] for name in page if name != "data"} == {
        "object": "list", "first_id": names[4], "last_id": names[3], "has_more": True, "next_after": names[3],
        "total": 5,
    }  # fmt: skip
    assert ids(ada.call("GET", f"{PATH}?limit=3&after={names[3]}")) == names[2::-1]
    assert ids(ada.call("GET", f"{PATH}?order=asc&after={names[1]}&before={names[4]}")) == names[2:4]
    offset = ada.call("GET", f"{PATH}?limit=2&offset=3").json()
    assert (offset["conversations"], offset["limit"], offset["offset"]) == (offset["data"], 2, 3)
    assert [row["id"] for row in offset["data"]] == names[1::-1]


@pytest.mark.parametrize(
    ("query", "param"),
    [("limit=0", "limit"), ("limit=101", "limit"), ("order=up", "order"), ("offset=-1", "offset"), ("after=x", "after"),
     ("before=conv_x", "before"), ("after=a%00b", "after"), ("archived=1", "archived"), ("offset=1&after=x", "offset")],
)  # fmt: skip
def test_a_bad_parameter_is_named(ada: Caller, query: str, param: str):
    assert refused(ada.call("GET", f"{PATH}?{query}")) == (400, "invalid_value", param)


def test_the_archive_is_apart(ada: Caller):
    kept, archived = made(ada)["id"], made(ada, archived=True)["id"]
    assert ids(ada.call("GET", PATH)) == [kept]
    assert ids(ada.call("GET", f"{PATH}?archived=false")) == [kept]
    assert ids(ada.call("GET", f"{PATH}?archived=true")) == [archived]
    assert ids(ada.call("GET", f"{PATH}?archived=all")) == [archived, kept]


def test_lists_are_of_one_chat_project(ada: Caller):
    folder = chat_project(ada)
    made(ada)
    inside = made(ada, project_id=folder.public_id)["id"]
    assert ids(ada.call("GET", f"{PATH}?project_id={folder.public_id}")) == [inside]
    unknown = refused(ada.call("GET", f"{PATH}?project_id={new_id('cproj')}"))
    theirs = refused(ada.call("GET", f"{PATH}?project_id={chat_project(sign_up('bob@example.com')).public_id}"))
    assert unknown == theirs == (404, "project_not_found", unknown[2])


METHODS = [("GET", None), ("POST", {"title": "mine"}), ("PATCH", {"title": "mine"}), ("DELETE", None)]


@pytest.mark.parametrize(("method", "body"), METHODS)
def test_a_strangers_conversation_is_not_found_and_untouched(ada: Caller, method: str, body: Any):
    theirs = made(sign_up("bob@example.com"), title="Secret", items=[HELLO])["id"]
    item = Item.objects.get().public_id
    nobodys = new_id("conv")
    for below in ("", "/items", f"/items/{item}", "/messages", f"/messages/{item}"):
        if below.endswith("s") and method in ("PATCH", "DELETE"):
            continue
        sent = body if not body or below == "" else HELLO if below.endswith("s") else {"rating": "like"}
        answer, other = (ada.call(method, f"{PATH}/{name}{below}", sent) for name in (theirs, nobodys))
        assert refused(answer) == refused(other) == (404, "conversation_not_found", "conversation")
        assert answer.json()["error"]["message"] == other.json()["error"]["message"]
    row = Conversation.objects.get()
    assert (row.title, row.branch.item_count, Item.objects.get().rating) == ("Secret", 1, "")


def test_a_key_of_a_project_sees_the_projects_and_no_persons(ada: Caller):
    mine = made(ada)["id"]
    key = ada.with_key(kind=KeyKind.PROJECT)
    document = made(key)
    assert document["user_id"] is None
    assert ids(key.call("GET", PATH)) == [document["id"]]
    assert ids(ada.call("GET", PATH)) == [mine]
    assert ids(ada.with_key(kind=KeyKind.PROJECT, name="another").call("GET", PATH)) == [document["id"]]
    assert ids(ada.with_key().call("GET", PATH)) == [mine]


def test_a_guest_has_conversations(guest: Caller):
    document = made(guest, items=[HELLO])
    assert document["user_id"] == guest.user.pk
    assert ids(guest.call("GET", PATH)) == [document["id"]]


def test_an_archived_project_is_read_only(ada: Caller):
    attic = Project.objects.create(organization=ada.organization, name="Attic")
    there = {"OpenAI_Project": attic.public_id}
    name = ada.call("POST", PATH, {"title": "Kept"}, **there).json()["id"]
    Project.objects.filter(pk=attic.pk).update(archived_at=timezone.now())
    assert ada.call("GET", f"{PATH}/{name}", **there).status_code == 200
    assert refused(ada.call("PATCH", f"{PATH}/{name}", {"title": "x"}, **there)) == (403, "project_archived", None)
    assert refused(ada.call("DELETE", PATH, **there)) == (403, "project_archived", None)
    assert Conversation.objects.get().title == "Kept"


def test_what_a_project_kept_can_be_read_and_deleted_when_it_keeps_nothing_more(ada: Caller):
    name = made(ada, items=[HELLO])["id"]
    Project.objects.filter(pk=ada.project.pk).update(settings={"storage": "none"})
    assert refused(ada.call("POST", PATH, {})) == (403, "storage_disabled", None)
    assert refused(ada.call("POST", f"{PATH}/{name}/items", HELLO)) == (403, "storage_disabled", None)
    assert len(ada.call("GET", f"{PATH}/{name}/items").json()["data"]) == 1
    assert ada.call("DELETE", f"{PATH}/{name}").status_code == 200


@pytest.mark.parametrize("count", [1, 20])
def test_a_list_costs_the_same_number_of_queries(ada: Caller, count: int, django_assert_max_num_queries: Any):
    folder = chat_project(ada)
    for _ in range(count):
        made(ada, project_id=folder.public_id)
    ada.call("GET", PATH)
    with django_assert_max_num_queries(8):
        assert len(ids(ada.call("GET", PATH))) == count

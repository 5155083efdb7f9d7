"""Branches of a conversation: what they read, what may be done with them, and that no word gets from one to another."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from apps.conversations import branches, turns
from apps.conversations.integrity import inspect
from apps.conversations.models import Branch, Conversation, Item
from apps.conversations.paths import page_of
from tests.api_keys.conftest import Caller, sign_up
from tests.conversations.conftest import PATH, made, refused
from tests.conversations.test_turns import answered, principal_of
from tests.conversations.test_turns import said as message


def said(*texts: str) -> list[dict[str, str]]:
    """Messages of a person and a model by turns."""
    return [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(texts)]


def items(caller: Caller, conversation: str, query: str = "") -> list[dict[str, Any]]:
    answer = caller.call("GET", f"{PATH}/{conversation}/items?order=asc&limit=100{query}")
    assert answer.status_code == 200, answer.content
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


def texts(caller: Caller, conversation: str, query: str = "") -> list[str]:
    return [item["text"] for item in items(caller, conversation, query)]


def fork(caller: Caller, conversation: str, **body: Any) -> dict[str, Any]:
    answer = caller.call("POST", f"{PATH}/{conversation}/branches", body)
    assert answer.status_code == 201, answer.content
    found: dict[str, Any] = answer.json()
    return found


def activate(caller: Caller, conversation: str, name: str) -> dict[str, Any]:
    answer = caller.call("POST", f"{PATH}/{conversation}/branches/{name}/activate")
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def add(caller: Caller, conversation: str, *what: str) -> None:
    assert caller.call("POST", f"{PATH}/{conversation}/items", {"items": said(*what)}).status_code == 200


@pytest.fixture
def talk(ada: Caller) -> str:
    conversation: str = made(ada, items=said("q1", "a1", "q2", "a2"))["id"]
    return conversation


def test_a_conversation_begins_with_one_branch(ada: Caller, talk: str):
    row = Branch.objects.get()
    main = {
        "object": "conversation.branch", "name": "MAIN", "is_active": True, "parent": None, "forked_after": None,
        "item_count": 4, "created_at": int(row.created_at.timestamp()),
    }  # fmt: skip
    assert ada.call("GET", f"{PATH}/{talk}/branches").json() == {
        "object": "list", "data": [main], "first_id": "MAIN", "last_id": "MAIN", "has_more": False,
        "next_after": None, "total": 1,
    }  # fmt: skip
    assert ada.call("GET", f"{PATH}/{talk}/branches/MAIN").json() == main
    iso = ada.call("GET", f"{PATH}/{talk}/branches/MAIN?timestamps=iso").json()
    assert iso["created_at"] == row.created_at.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_fork_reads_what_was_said_before_it_and_copies_nothing(ada: Caller, talk: str):
    first, second, *_ = items(ada, talk)
    other = fork(ada, talk, name="other", from_item=second["id"])
    assert (other["name"], other["is_active"], other["parent"]) == ("other", False, "MAIN")
    assert (other["forked_after"], other["item_count"]) == (second["id"], 2)
    assert texts(ada, talk) == ["q1", "a1", "q2", "a2"]

    assert activate(ada, talk, "other")["is_active"] is True
    assert texts(ada, talk) == ["q1", "a1"]
    add(ada, talk, "q3", "a3")
    assert texts(ada, talk) == ["q1", "a1", "q3", "a3"]
    assert [item["sequence_number"] for item in items(ada, talk)] == [1, 2, 3, 4]
    assert ada.call("GET", f"{PATH}/{talk}").json()["branch"] == "other"
    assert ada.call("GET", f"{PATH}/{talk}").json()["item_count"] == 4
    assert Item.objects.count() == 6

    assert activate(ada, talk, "MAIN")["item_count"] == 4
    assert texts(ada, talk) == ["q1", "a1", "q2", "a2"]
    assert texts(ada, talk, "&branch=other") == ["q1", "a1", "q3", "a3"]
    assert ada.call("GET", f"{PATH}/{talk}/items?branch=other&offset=0").json()["total"] == 4
    hers = items(ada, talk, "&branch=other")[-1]
    assert ada.call("GET", f"{PATH}/{talk}/items/{hers['id']}?branch=other").json() == hers
    assert ada.call("GET", f"{PATH}/{talk}/items/{hers['id']}").status_code == 404
    after = ada.call("GET", f"{PATH}/{talk}/items?branch=other&order=asc&after={second['id']}").json()
    assert [item["text"] for item in after["data"]] == ["q3", "a3"]
    assert refused(ada.call("GET", f"{PATH}/{talk}/items?branch=none")) == (404, "branch_not_found", "branch")
    assert first["id"] != second["id"]


def test_a_fork_of_a_fork_and_one_before_it(ada: Caller, talk: str):
    a1 = items(ada, talk)[1]["id"]
    fork(ada, talk, name="b", from_item=a1)
    activate(ada, talk, "b")
    add(ada, talk, "q3", "a3")
    q3 = items(ada, talk)[2]["id"]
    assert fork(ada, talk, name="c", from_item=q3)["parent"] == "b"
    # The item is the first branch's: so is the fork, and the other one is free to go.
    assert fork(ada, talk, name="d", from_item=a1)["parent"] == "MAIN"
    assert texts(ada, talk, "&branch=c") == ["q1", "a1", "q3"]
    assert texts(ada, talk, "&branch=d") == ["q1", "a1"]
    # Also from an item of a branch that is not the active one.
    activate(ada, talk, "MAIN")
    assert fork(ada, talk, name="e", from_item=q3)["item_count"] == 3


def test_without_an_item_it_is_the_last_one_and_without_a_name_one_is_made_up(ada: Caller, talk: str):
    made_up = fork(ada, talk)
    assert (made_up["forked_after"], made_up["item_count"]) == (items(ada, talk)[-1]["id"], 4)
    assert made_up["name"].startswith("branch_")
    assert fork(ada, talk, name=None, from_item=None)["name"] != made_up["name"]
    empty = made(ada)["id"]
    assert fork(ada, empty)["forked_after"] is None
    assert fork(ada, empty)["item_count"] == 0


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"name": "MAIN"}, (409, "branch_exists", "name")),
        ({"name": "a b"}, (400, "invalid_value", "name")),
        ({"name": "x" * 65}, (400, "invalid_value", "name")),
        ({"name": "x\ny"}, (400, "invalid_value", "name")),
        ({"name": "\x00"}, (400, "invalid_json", None)),
        ({"name": ["x"]}, (400, "invalid_value", "name")),
        ({"from_item": "msg_" + "0" * 24}, (404, "item_not_found", "item_id")),
        ({"from_item": 7.5}, (404, "item_not_found", "item_id")),
        ({"from_item": {}}, (400, "invalid_value", "from_item")),
        ({"from_items": "x"}, (400, "unknown_parameter", "from_items")),
    ],
)
def test_bad_input(ada: Caller, talk: str, body: Any, expected: Any):
    assert refused(ada.call("POST", f"{PATH}/{talk}/branches", body)) == expected
    assert Branch.objects.count() == 1


def test_an_item_of_another_conversation_is_not_there(ada: Caller, talk: str):
    other = items(ada, made(ada, items=said("x"))["id"])[0]["id"]
    unknown = ada.call("POST", f"{PATH}/{talk}/branches", {"from_item": other})
    assert refused(unknown) == (404, "item_not_found", "item_id")
    assert Branch.objects.count() == 2


def test_nobody_elses_branches(ada: Caller, talk: str):
    fork(ada, talk, name="other")
    bob = sign_up("bob@example.com")
    path = f"{PATH}/{talk}/branches"
    for method, at, body in (
        ("GET", path, None), ("POST", path, {}), ("GET", f"{path}/other", None), ("DELETE", f"{path}/other", None),
        ("POST", f"{path}/other/activate", None),
    ):  # fmt: skip
        assert refused(bob.call(method, at, body)) == (404, "conversation_not_found", "conversation")
    assert Branch.objects.count() == 2
    assert Conversation.objects.get().active_branch.name == "MAIN"  # type: ignore[union-attr]


def test_which_branches_can_be_deleted(ada: Caller, talk: str):
    a1 = items(ada, talk)[1]["id"]
    fork(ada, talk, name="b", from_item=a1)
    activate(ada, talk, "b")
    add(ada, talk, "q3", "a3")
    fork(ada, talk, name="c", from_item=items(ada, talk)[2]["id"])
    path = f"{PATH}/{talk}/branches"

    assert refused(ada.call("DELETE", f"{path}/MAIN")) == (409, "branch_is_main", None)
    assert refused(ada.call("DELETE", f"{path}/b")) == (409, "branch_is_active", None)
    activate(ada, talk, "MAIN")
    held = ada.call("DELETE", f"{path}/b")
    assert refused(held) == (409, "branch_has_branches", None)
    assert "'b': c." in held.json()["error"]["message"]
    assert refused(ada.call("DELETE", f"{path}/x")) == (404, "branch_not_found", "branch")
    assert refused(ada.call("DELETE", f"{path}/{'x' * 65}")) == (404, "branch_not_found", "branch")
    assert (Branch.objects.count(), Item.objects.count()) == (3, 6)

    gone = ada.call("DELETE", f"{path}/c")
    assert (gone.status_code, gone.json()) == (
        200, {"id": "c", "object": "conversation.branch.deleted", "deleted": True},
    )  # fmt: skip
    assert ada.call("DELETE", f"{path}/b", Prefer="return=minimal").status_code == 204
    assert (Branch.objects.count(), Item.objects.count()) == (1, 4)
    assert texts(ada, talk) == ["q1", "a1", "q2", "a2"]


def test_a_running_turn_keeps_branches_as_they_are(ada: Caller, talk: str):
    fork(ada, talk, name="b")
    conversation = Conversation.objects.get()
    turns.take(conversation, "turn-1")
    path = f"{PATH}/{talk}/branches"
    for method, at in (("POST", path), ("DELETE", f"{path}/b"), ("POST", f"{path}/b/activate")):
        assert refused(ada.call(method, at)) == (409, "conversation_locked", None)
    assert ada.call("GET", path).json()["total"] == 2
    assert Conversation.objects.get().active_branch == conversation.active_branch


def test_an_archived_conversation_gets_no_branches(ada: Caller, talk: str):
    fork(ada, talk, name="b")
    Conversation.objects.update(archived_at=timezone.now())
    path = f"{PATH}/{talk}/branches"
    for at in (path, f"{path}/b/activate"):
        assert refused(ada.call("POST", at)) == (409, "conversation_archived", None)
    assert (Branch.objects.count(), Conversation.objects.get().branch.name) == (2, "MAIN")


def test_a_hundred_branches_are_enough(ada: Caller, talk: str):
    main = Branch.objects.get()
    Branch.objects.bulk_create(
        Branch(organization=main.organization, conversation=main.conversation, name=f"b{i}", parent=main)
        for i in range(branches.MAX_BRANCHES - 1)
    )
    assert refused(ada.call("POST", f"{PATH}/{talk}/branches")) == (409, "too_many_branches", None)
    assert Branch.objects.count() == 100
    page = ada.call("GET", f"{PATH}/{talk}/branches?order=asc&limit=2").json()
    assert ([row["name"] for row in page["data"]], page["total"]) == (["MAIN", "b0"], 100)
    after = ada.call("GET", f"{PATH}/{talk}/branches?order=asc&limit=1&after=b0").json()
    assert [row["name"] for row in after["data"]] == ["b1"]


def test_a_deleted_item_is_gone_from_each_branch_that_had_it(ada: Caller, talk: str):
    q1, a1, *_ = items(ada, talk)
    fork(ada, talk, name="b", from_item=a1["id"])
    assert ada.call("DELETE", f"{PATH}/{talk}/items/{a1['id']}").status_code == 200
    other = ada.call("GET", f"{PATH}/{talk}/branches/b").json()
    assert (other["item_count"], other["forked_after"]) == (1, q1["id"])
    assert texts(ada, talk, "&branch=b") == ["q1"]
    activate(ada, talk, "b")
    add(ada, talk, "q3")
    assert [(item["text"], item["sequence_number"]) for item in items(ada, talk)] == [("q1", 1), ("q3", 3)]


@pytest.mark.parametrize(
    ("told", "from_item", "is_kept"), [(2, 1, True), (2, 0, False), (1, 0, True), (3, 1, False), (4, 3, True)]
)
def test_a_summary_says_nothing_of_another_branch(ada: Caller, talk: str, told: int, from_item: int, is_kept: bool):
    Conversation.objects.update(summary="They said things.", summary_sequence=told)
    fork(ada, talk, name="b", from_item=items(ada, talk)[from_item]["id"])
    assert Conversation.objects.get().summary == "They said things."
    activate(ada, talk, "MAIN")
    assert Conversation.objects.get().summary == "They said things."
    activate(ada, talk, "b")
    row = Conversation.objects.get()
    assert (row.summary, row.summary_sequence) == (("They said things.", told) if is_kept else ("", 0))
    assert row.branch.name == "b"


def test_a_page_of_a_branch_lies_across_its_fork(ada: Caller, talk: str):
    fork(ada, talk, name="b", from_item=items(ada, talk)[1]["id"])
    activate(ada, talk, "b")
    add(ada, talk, "q3", "a3")
    branch = Branch.objects.get(name="b")
    for skip in range(5):
        page = page_of(branch, limit=2, descending=False, skip=skip)
        assert [item.text for item in page] == ["q1", "a1", "q3", "a3"][skip : skip + 2]


@pytest.mark.parametrize("is_deleted", [False, True])
def test_a_turn_that_lost_its_hold_says_nothing_on_another_branch(ada: Caller, talk: str, is_deleted: bool):
    fork(ada, talk, name="b", from_item=items(ada, talk)[1]["id"])
    activate(ada, talk, "b")
    conversation = turns.find(principal_of(ada), talk)
    turns.take(conversation, "late")
    Conversation.objects.update(turn_expires_at=timezone.now())
    activate(ada, talk, "MAIN")
    if is_deleted:
        assert ada.call("DELETE", f"{PATH}/{talk}/branches/b").status_code == 200
    stored = turns.finish(conversation, "late", [message("q3"), answered("a3")], model="m")
    assert len(stored) == (0 if is_deleted else 2)
    assert Conversation.objects.get().turn_expires_at is None
    assert texts(ada, talk) == ["q1", "a1", "q2", "a2"]
    assert ada.call("GET", f"{PATH}/{talk}").json()["branch"] == "MAIN"
    if not is_deleted:
        assert texts(ada, talk, "&branch=b") == ["q1", "a1", "q3", "a3"]
    assert inspect() == []

"""Searching one's conversations by what was said in them."""

from __future__ import annotations

import pytest
from django.db import connection

from apps.conversations.models import Conversation, Item
from apps.conversations.search import matching, vector
from apps.core.wall import widened
from tests.api_keys.conftest import Caller, sign_up
from tests.conversations.conftest import PATH, made, refused


def found(caller: Caller, query: str, **more: str) -> list[str]:
    parameters = "&".join(f"{name}={value}" for name, value in more.items())
    answer = caller.call("GET", f"{PATH}?q={query}&{parameters}")
    assert answer.status_code == 200, answer.content
    page = answer.json()
    assert page["total"] == len(page["data"])
    return [row["title"] for row in page["data"]]


@pytest.fixture
def talk(ada: Caller) -> None:
    made(ada, title="Lisbon", items=[{"role": "user", "content": "Where do we eat Pastéis de nata?"}])
    made(ada, title="Quarterly budget", items=[
        {"role": "user", "content": "How much is left?"},
        {"role": "assistant", "content": "About 3500 euros, said ada@example.com; see budget-2026.xlsx"},
    ])  # fmt: skip
    made(ada, title="Nothing")


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ("lisbon", ["Lisbon"]),
        ("LISB", ["Lisbon"]),
        ("pastéis", ["Lisbon"]),
        ("eat nata", ["Lisbon"]),
        ("nata eat", ["Lisbon"]),
        ("we eat pas", ["Lisbon"]),
        ("ea nata", []),
        ("isbon", []),
        ("lisbon budget", []),
        ("budget", ["Quarterly budget"]),
        ("3500", ["Quarterly budget"]),
        ("ada@example.com", ["Quarterly budget"]),
        ("budget-2026", ["Quarterly budget"]),
        ("xlsx", ["Quarterly budget"]),
        ("example.c", ["Quarterly budget"]),
        ("!!!", []),
        ("", []),
        ("²", []),
        ("' %26 | ! \\ :* (", []),
        ("left? '", ["Quarterly budget"]),
        ("lisbon:*", ["Lisbon"]),
        ("@1", []),
        ("'@1'", []),
    ],
)
def test_all_words_occur_in_a_title_or_an_item_the_last_as_a_beginning(
    ada: Caller, talk: None, query: str, titles: list[str]
):
    assert found(ada, query) == titles


def test_what_is_found_is_a_list_like_any_other(ada: Caller):
    names = [made(ada, title=f"talk {at}")["title"] for at in range(5)]
    made(ada, title="talk in the archive", archived=True)
    assert found(ada, "talk") == names[::-1]
    page = ada.call("GET", f"{PATH}?q=talk&limit=2").json()
    assert ([row["title"] for row in page["data"]], page["total"], page["has_more"]) == (["talk 4", "talk 3"], 5, True)
    rest = ada.call("GET", f"{PATH}?q=talk&after={page['last_id']}").json()
    assert [row["title"] for row in rest["data"]] == ["talk 2", "talk 1", "talk 0"]
    assert found(ada, "talk", archived="true") == ["talk in the archive"]


def test_the_index_follows_what_is_said(ada: Caller, talk: None):
    row = Conversation.objects.get(title="Lisbon")
    path = f"{PATH}/{row.public_id}"
    ada.call("PATCH", path, {"title": "Porto"})
    assert (found(ada, "lisbon"), found(ada, "porto")) == ([], ["Porto"])
    ada.call("DELETE", f"{path}/items/{row.items.get().public_id}")
    assert found(ada, "nata") == []


def test_nobody_finds_what_others_said(ada: Caller, talk: None):
    bob = sign_up("bob@example.com")
    made(bob, title="Lisbon of Bob")
    assert found(bob, "lisbon") == ["Lisbon of Bob"]
    assert found(ada, "lisbon") == ["Lisbon"]
    with widened("test"):
        theirs = matching(Conversation.objects.all(), bob.organization.pk, "budget")
        assert list(theirs) == []


@pytest.mark.parametrize("query", ["x" * 201, " ".join(["a"] * 17), "a%00b"])
def test_too_long_a_query_is_refused(ada: Caller, query: str):
    assert refused(ada.call("GET", f"{PATH}?q={query}")) == (400, "invalid_value", "q")


def test_a_very_long_message_is_stored_and_found_by_its_beginning(ada: Caller):
    parts = ["".join(chr(0x4E00 + (at * 7919 + part * 31) % 20000) + " " for at in range(50_000)) for part in range(20)]
    made(ada, title="long", items=[{"role": "user", "content": ["needle", "x" * 100_000, *parts]}])
    assert found(ada, "needle") == ["long"]
    assert Item.objects.get().text.startswith("needle")


@pytest.mark.parametrize(
    ("table", "column", "index"),
    [
        ("conversations_conversation", "title", "conversation_title_search"),
        ("conversations_item", "text", "item_text_search"),
    ],
)
def test_the_index_is_of_what_is_asked(db: None, table: str, column: str, index: str):
    with widened("test"), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN SELECT id FROM {table} WHERE {vector(column)} @@ '''@1'' & a'::tsquery")
        assert f"Bitmap Index Scan on {index}" in "\n".join(line for (line,) in cursor.fetchall())

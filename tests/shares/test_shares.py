"""Shares: a copy of a conversation for whoever has the link, until it is taken back."""

from __future__ import annotations

import datetime
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import User
from apps.api_keys.tokens import KeyKind
from apps.audit.models import AuditEvent
from apps.conversations.models import Conversation
from apps.core.logs import redact
from apps.organizations.models import Organization
from apps.projects.models import Project
from apps.ratelimit.policy import Caller as Looker
from apps.ratelimit.policy import windows_for
from apps.shares.models import Share
from apps.shares.services import MAX_SHARES
from apps.shares.snapshot import MAX_ENTRIES
from tests.api_keys.conftest import Caller, ada, eve, sign_up

__all__ = ["ada", "eve"]

CONVERSATIONS = "/v1/conversations"
PUBLIC = "/v1/public/shares"
PIXEL = "data:image/png;base64,iVBORw0KGgo="


def user(*parts: Any) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [*parts]}


def said(text: str, role: str = "user") -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    part = {"type": kind, "text": text, **({"annotations": []} if role == "assistant" else {})}
    return {"type": "message", "role": role, "content": [part]}


def talk(caller: Caller, *items: dict[str, Any], **fields: Any) -> str:
    """A conversation with these items."""
    wanted = list(items) or [said("Where should I eat?"), said("In **Alfama**.", "assistant")]
    answer = caller.call("POST", CONVERSATIONS, {"items": wanted, "title": "A trip to Lisbon", **fields})
    assert answer.status_code == 200, answer.content
    return str(answer.json()["id"])


def shared(caller: Caller, conversation: str, **body: Any) -> dict[str, Any]:
    answer = caller.call("POST", f"{CONVERSATIONS}/{conversation}/share", body)
    assert answer.status_code == 200, answer.content
    return dict(answer.json())


def read(share: dict[str, Any]) -> Any:
    return Client().get(f"{PUBLIC}/{share['slug']}")


def texts(share: dict[str, Any]) -> list[str]:
    return [part["text"] for item in read(share).json()["items"] for part in item["parts"]]


def rows() -> list[dict[str, Any]]:
    return list(Share.objects.order_by("pk").values())


def is_gone(share: dict[str, Any]) -> bool:
    """Whether nobody can tell that there ever was such a share."""
    pages = [Client().get(f"/share/{slug}") for slug in (share["slug"], "0" * 32)]
    answers = [Client().get(f"{PUBLIC}/{slug}") for slug in (share["slug"], "0" * 32)]
    assert {page.status_code for page in [*pages, *answers]} <= {200, 404}
    assert pages[0].status_code == answers[0].status_code
    if answers[0].status_code == 200:
        return False
    assert pages[0].content == pages[1].content
    assert answers[0].content == answers[1].content
    assert answers[0].json()["error"]["code"] == "share_not_found"
    return True


def test_whoever_has_the_link_reads_what_was_said(ada: Caller):
    conversation = talk(ada)
    share = shared(ada, conversation)
    assert re.fullmatch(r"[0-9A-Za-z]{32}", share["slug"])
    assert share == {
        "id": share["id"],
        "object": "conversation.share",
        "conversation_id": conversation,
        "title": "A trip to Lisbon",
        "slug": share["slug"],
        "url": f"http://localhost:8000/share/{share['slug']}",
        "item_count": 2,
        "view_count": 0,
        "expires_at": None,
        "created_at": share["created_at"],
    }
    answer = read(share)
    shown = answer.json()
    times = [item.pop("created_at") for item in shown["items"]]
    assert all(isinstance(time, int) for time in times)
    assert shown == {
        "object": "public_share",
        "title": "A trip to Lisbon",
        "items": [
            {"type": "message", "role": "user", "parts": [{"type": "text", "text": "Where should I eat?"}]},
            {"type": "message", "role": "assistant", "parts": [{"type": "text", "text": "In **Alfama**."}]},
        ],
        "created_at": share["created_at"],
        "expires_at": None,
    }
    assert (answer["X-Robots-Tag"], answer["Referrer-Policy"]) == ("noindex, nofollow", "no-referrer")
    assert not any(name in answer.content.decode() for name in (ada.user.pk, "ada", conversation, share["id"]))


def test_a_share_does_not_change(ada: Caller):
    conversation = talk(ada)
    share = shared(ada, conversation)
    path = f"{CONVERSATIONS}/{conversation}"
    items = ada.call("GET", f"{path}/items?order=asc").json()["data"]
    ada.call("POST", path, {"title": "Another title"})
    ada.call("POST", f"{path}/items", {"items": [said("A secret said later")]})
    ada.call("DELETE", f"{path}/items/{items[0]['id']}")
    assert texts(share) == ["Where should I eat?", "In **Alfama**."]
    assert read(share).json()["title"] == "A trip to Lisbon"
    assert texts(shared(ada, conversation)) == ["In **Alfama**.", "A secret said later"]


def test_it_can_end_before_the_last_item_and_show_another_branch(ada: Caller):
    conversation = talk(ada, said("one"), said("two", "assistant"), said("three"))
    path = f"{CONVERSATIONS}/{conversation}"
    items = ada.call("GET", f"{path}/items?order=asc").json()["data"]
    up_to = {"item_id": items[1]["id"]}
    assert texts(shared(ada, conversation, **up_to)) == ["one", "two"]
    made = ada.call("POST", f"{path}/branches", {"name": "other", "from_item": items[0]["id"]})
    assert made.status_code in (200, 201), made.content
    assert texts(shared(ada, conversation, branch="other")) == ["one"]
    assert texts(shared(ada, conversation, branch="MAIN")) == ["one", "two", "three"]
    before = rows()
    elsewhere = ada.call("GET", f"{CONVERSATIONS}/{talk(ada)}/items").json()["data"][0]["id"]
    for body, code in (
        ({"branch": "none"}, "branch_not_found"), ({"branch": "\u0000" * 0 + "é"}, "branch_not_found"),
        ({"item_id": "msg_none"}, "item_not_found"), ({"item_id": elsewhere}, "item_not_found"),
        ({"branch": "other", **up_to}, "item_not_found"),
    ):  # fmt: skip
        answer = ada.call("POST", f"{path}/share", body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, code), body
    assert rows() == before


def test_instructions_reasoning_and_tools_are_left_out(ada: Caller):
    reasoning = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hidden thought"}]}
    call = {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": '{"where": "hidden place"}'}
    output = {"type": "function_call_output", "call_id": "call_1", "output": "hidden result"}
    instructions = [said("hidden instruction", "system"), said("hidden instruction", "developer")]
    conversation = talk(ada, *instructions, said("Hi"), reasoning, call, output, said("Hello", "assistant"))
    plain = shared(ada, conversation)
    assert "hidden" not in read(plain).content.decode()
    assert "hidden" not in Client().get(f"/share/{plain['slug']}").content.decode()
    assert plain["item_count"] == 2
    both = shared(ada, conversation, include_reasoning=True, include_tools=True)
    items = [
        {name: value for name, value in item.items() if name != "created_at"} for item in read(both).json()["items"]
    ]
    assert items[1:4] == [
        {"type": "reasoning", "text": "hidden thought"},
        {"type": "tool_call", "name": "look", "text": '{"where": "hidden place"}'},
        {"type": "tool_result", "text": "hidden result"},
    ]
    page = Client().get(f"/share/{both['slug']}").content.decode()
    assert all(word in page for word in ("hidden thought", "Tool call: look", "hidden place", "hidden result"))
    assert "hidden instruction" not in page


def test_of_images_and_files_only_references_are_shown(ada: Caller):
    conversation = talk(
        ada,
        user(
            {"type": "input_text", "text": "What is this?"},
            {"type": "input_image", "image_url": PIXEL},
            {"type": "input_image", "image_url": "https://example.com/a.png"},
            {"type": "input_file", "filename": "plan.pdf", "file_data": "data:application/pdf;base64,SECRET"},
        ),
    )
    share = shared(ada, conversation)
    [item] = read(share).json()["items"]
    assert item["parts"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image"},
        {"type": "image", "url": "https://example.com/a.png"},
        {"type": "file", "filename": "plan.pdf"},
    ]
    page = Client().get(f"/share/{share['slug']}").content.decode()
    assert "<img" not in page.partition("<main>")[2]
    assert '<a href="https://example.com/a.png" rel="noopener nofollow">' in page
    assert "iVBOR" not in page
    assert "SECRET" not in page


def test_shares_are_listed_and_revoked(ada: Caller):
    conversation = talk(ada)
    first, second = shared(ada, conversation), shared(ada, conversation, title="Again")
    path = f"{CONVERSATIONS}/{conversation}/shares"
    page = ada.call("GET", f"{path}?limit=1").json()
    assert (page["data"], page["has_more"], page["total"]) == ([second], True, 2)
    assert ada.call("GET", f"{path}?after={second['id']}").json()["data"] == [first]
    gone = ada.call("DELETE", f"{path}/{first['id']}")
    assert gone.json() == {"id": first["id"], "object": "conversation.share.deleted", "deleted": True}
    assert is_gone(first)
    assert not is_gone(second)
    again = ada.call("DELETE", f"{path}/{first['id']}")
    assert (again.status_code, again.json()["error"]["code"]) == (404, "share_not_found")
    assert [row["id"] for row in ada.call("GET", path).json()["data"]] == [second["id"]]
    events = AuditEvent.objects.filter(action__startswith="share.").order_by("pk")
    assert [(event.action, event.target_id) for event in events] == [
        ("share.created", first["id"]), ("share.created", second["id"]), ("share.deleted", first["id"]),
    ]  # fmt: skip
    assert not any(first["slug"] in str(vars(event)) for event in events)


def test_a_share_ends_when_its_time_is_over(ada: Caller):
    conversation = talk(ada)
    in_days = shared(ada, conversation, expires_in_days=30)
    assert in_days["expires_at"] - in_days["created_at"] == pytest.approx(30 * 86400, abs=2)
    tomorrow = int(timezone.now().timestamp()) + 86400
    at_a_time = shared(ada, conversation, expires_at=tomorrow)
    assert at_a_time["expires_at"] == tomorrow
    spelled = datetime.datetime.fromtimestamp(tomorrow, datetime.UTC).isoformat()
    assert shared(ada, conversation, expires_at=spelled)["expires_at"] == tomorrow
    assert not is_gone(at_a_time)
    Share.objects.filter(public_id=at_a_time["id"]).update(expires_at=timezone.now())
    assert is_gone(at_a_time)
    assert not is_gone(in_days)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"title": "x" * 513}, "title"), ({"title": ["x"]}, "title"),
        ({"expires_in_days": 0}, "expires_in_days"), ({"expires_in_days": 3651}, "expires_in_days"),
        ({"expires_in_days": "soon"}, "expires_in_days"),
        ({"expires_at": 1}, "expires_at"), ({"expires_at": -1}, "expires_at"), ({"expires_at": 10**20}, "expires_at"),
        ({"expires_at": True}, "expires_at"), ({"expires_at": "2099-01-01"}, "expires_at"),
        ({"expires_at": "2099-01-01T00:00:00"}, "expires_at"), ({"expires_at": "soon"}, "expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-14:00"}, "expires_at"), ({"expires_at": [1]}, "expires_at"),
        ({"expires_at": 4102444800, "expires_in_days": 3}, "expires_at"),
        ({"include_tools": "perhaps"}, "include_tools"), ({"branch": 5.5}, None), ({"slug": "mine"}, "slug"), ([], None),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_and_named(ada: Caller, body: Any, param: str | None):
    answer = ada.call("POST", f"{CONVERSATIONS}/{talk(ada)}/share", body)
    assert answer.status_code in (400, 404), answer.content
    if param is not None:
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert rows() == []


@pytest.mark.parametrize(
    "slug", ["x", "0" * 32, "share_" + "0" * 24, "%00", "%ED%A0%80", "a" * 5000, "é", "..", "' OR 1=1"]
)
def test_a_link_that_never_was_leads_nowhere(db: None, slug: str):
    page, answer = Client().get(f"/share/{slug}"), Client().get(f"{PUBLIC}/{slug}")
    assert (page.status_code, answer.status_code) == (404, 404)


def test_an_id_opens_nothing(ada: Caller):
    share = shared(ada, talk(ada))
    assert Client().get(f"{PUBLIC}/{share['id']}").status_code == 404
    stored = Share.objects.get(public_id=share["id"])
    assert share["slug"] not in str(vars(stored))
    assert Client().get(f"{PUBLIC}/{stored.slug_digest}").status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_link_gives_nothing_but_reading(ada: Caller, method: str):
    share = shared(ada, talk(ada))
    before = rows()
    for path in (f"/share/{share['slug']}", f"{PUBLIC}/{share['slug']}"):
        assert Client().generic(method, path).status_code == 405
    assert rows() == before


def test_strangers_cannot_share_list_or_revoke(ada: Caller, eve: Caller):
    conversation = talk(ada)
    share = shared(ada, conversation)
    mine = talk(eve)
    before = rows()
    for method, path in (
        ("POST", f"{conversation}/share"), ("GET", f"{conversation}/shares"),
        ("DELETE", f"{conversation}/shares/{share['id']}"), ("DELETE", f"{mine}/shares/{share['id']}"),
    ):  # fmt: skip
        answer = eve.call(method, f"{CONVERSATIONS}/{path}", {} if method == "POST" else None)
        assert answer.status_code == 404, path
    assert rows() == before


def test_keys_that_only_read_list_and_change_nothing(ada: Caller):
    conversation = talk(ada)
    share = shared(ada, conversation)
    reader = ada.with_key(scopes=frozenset({"conversations.read"}))
    before = rows()
    path = f"{CONVERSATIONS}/{conversation}"
    assert reader.call("GET", f"{path}/shares").json()["data"] == [share]
    assert reader.call("POST", f"{path}/share", {}).status_code == 403
    assert reader.call("DELETE", f"{path}/shares/{share['id']}").status_code == 403
    assert rows() == before


def test_a_projects_key_shares_what_is_the_projects(ada: Caller):
    key = ada.with_key(kind=KeyKind.PROJECT)
    share = shared(key, talk(key))
    assert not is_gone(share)
    assert Share.objects.get().user_id is None


def test_a_share_goes_with_its_conversation(ada: Caller):
    one, two = talk(ada), talk(ada)
    first, second = shared(ada, one), shared(ada, two)
    ada.call("DELETE", f"{CONVERSATIONS}/{one}")
    assert is_gone(first)
    assert not is_gone(second)
    ada.call("DELETE", CONVERSATIONS)
    assert is_gone(second)
    assert rows() == []


@pytest.mark.parametrize("end", ["deleted", "disabled", "organization"])
def test_a_share_does_not_outlive_whose_it_is(ada: Caller, end: str):
    share = shared(ada, talk(ada))
    if end == "deleted":
        ada.user.delete()
    elif end == "disabled":
        User.objects.filter(pk=ada.user.pk).update(is_active=False)
    else:
        Organization.objects.filter(pk=ada.organization.pk).update(deleted_at=timezone.now())
    assert is_gone(share)


def test_a_share_does_not_outlive_its_project(ada: Caller):
    project = Project.objects.create(organization=ada.organization, name="another")
    key = ada.with_key(kind=KeyKind.PROJECT, project=project)
    share = shared(key, talk(key))
    assert not is_gone(share)
    Project.objects.filter(pk=project.pk).update(deleted_at=timezone.now())
    assert is_gone(share)


@pytest.mark.parametrize("mode", ["metadata", "none"])
def test_where_no_text_is_kept_nothing_is_shared(ada: Caller, mode: str):
    conversation = talk(ada)
    Project.objects.filter(pk=ada.project.pk).update(settings={"storage": mode})
    answer = ada.call("POST", f"{CONVERSATIONS}/{conversation}/share", {})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "storage_disabled")
    assert rows() == []


def test_what_no_page_can_show_is_not_shared(ada: Caller):
    conversation = talk(ada, *[said("x" * 100_000)] * 19)
    share = shared(ada, conversation)
    ada.call("POST", f"{CONVERSATIONS}/{conversation}/items", {"items": [said("x" * 100_000)]})
    assert not is_gone(share)
    answer = ada.call("POST", f"{CONVERSATIONS}/{conversation}/share", {})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "share_too_large")
    first = ada.call("GET", f"{CONVERSATIONS}/{conversation}/items?order=asc").json()["data"][0]["id"]
    assert shared(ada, conversation, item_id=first)["item_count"] == 1
    assert MAX_ENTRIES == 2000


def test_a_conversation_has_so_many_shares_at_once(ada: Caller):
    conversation = talk(ada)
    shared(ada, conversation)
    row = Share.objects.get()
    copies = []
    for number in range(MAX_SHARES - 1):
        copy = Share(**{field.attname: getattr(row, field.attname) for field in Share._meta.concrete_fields})
        copy.pk, copy.public_id, copy.slug_digest = None, f"share_{number}", f"digest-{number}"
        copies.append(copy)
    Share.objects.bulk_create(copies)
    answer = ada.call("POST", f"{CONVERSATIONS}/{conversation}/share", {})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "too_many_shares")
    Share.objects.filter(public_id="share_0").update(revoked_at=timezone.now())
    shared(ada, conversation)


def test_a_list_costs_the_same_however_long_it_is(ada: Caller):
    conversation = talk(ada)

    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert ada.call("GET", f"{CONVERSATIONS}/{conversation}/shares").status_code == 200
            return len(queries)

    shared(ada, conversation)
    few = cost()
    for _ in range(5):
        shared(ada, conversation)
    assert cost() == few


@pytest.mark.django_db(transaction=True)
def test_each_look_is_counted_once():
    caller = sign_up("ada@example.com")
    conversation = talk(caller)
    share = shared(caller, conversation)

    def look(number: int) -> int:
        try:
            path = f"/share/{share['slug']}" if number % 2 else f"{PUBLIC}/{share['slug']}"
            return int(Client().get(path).status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(look, range(20))) == [200] * 20
    Client().get(f"{PUBLIC}/{'0' * 32}")
    listed = caller.call("GET", f"{CONVERSATIONS}/{conversation}/shares").json()["data"]
    assert [row["view_count"] for row in listed] == [20]
    assert Conversation.objects.count() == 1


@pytest.mark.parametrize("path", ["/share/abc", "/v1/public/shares/abc"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_looks_are_counted_by_address(path: str, method: str):
    windows = windows_for(method, path, Looker(address="192.0.2.1", user_id=None, key_id=None, is_guest=False))
    assert [(window.amount, window.unit) for window in windows if window.name == "public_shares"] == [
        (100, "minute"), (1000, "hour"),
    ]  # fmt: skip


@pytest.mark.parametrize("prefix", ["/share/", "/v1/public/shares/", "/api/llm/v1/public/shares/"])
def test_no_log_has_a_link(prefix: str):
    assert redact(f"GET {prefix}7Kq0b1Jq8sT2vW5yZ7aC9dE3fG6hJ8kL 200") == f"GET {prefix}[redacted] 200"

"""Chat projects at /v1/projects: folders of conversations with an instruction."""

from __future__ import annotations

import datetime
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.api_keys.authentication import Credentials, resolve
from apps.api_keys.tokens import KeyKind
from apps.conversations import services, turns
from apps.conversations.chat_project_services import purge_chat_projects
from apps.conversations.content import items_of_message
from apps.conversations.models import ChatProject, Conversation, Item
from apps.organizations.principal import Principal
from apps.projects.models import Project
from tests.api_keys.conftest import Caller, ada, eve, guest, sign_up

__all__ = ["ada", "eve", "guest"]

PROJECTS = "/v1/projects"


def principal_of(caller: Caller) -> Principal:
    found = resolve(Credentials(bearer=caller.secret))
    assert found is not None
    return found


def made(caller: Caller, name: str = "Marketing", **fields: Any) -> dict[str, Any]:
    answer = caller.call("POST", PROJECTS, {"name": name, **fields})
    assert answer.status_code == 201, answer.content
    return dict(answer.json())


def conversation_in(caller: Caller, project_id: str) -> Conversation:
    row = ChatProject.objects.get(public_id=project_id)
    items = items_of_message({"role": "user", "content": "hello"})
    return services.create_conversation(principal=principal_of(caller), chat_project=row, items=items)


def rows() -> list[dict[str, Any]]:
    return list(ChatProject.objects.order_by("pk").values())


def test_a_project_is_made_shown_changed_and_deleted(ada: Caller):
    answer = ada.call("POST", PROJECTS, {"name": " Marketing ", "instruction": "You are an expert.\n"})
    project = answer.json()
    assert answer.status_code == 201
    assert project["id"].startswith("cproj_")
    assert isinstance(project["created_at"], int)
    assert project == {
        "id": project["id"],
        "object": "project",
        "name": "Marketing",
        "instruction": "You are an expert.\n",
        "is_favorite": False,
        "archived": False,
        "is_archived": False,
        "archived_at": None,
        "created_at": project["created_at"],
        "updated_at": project["created_at"],
    }
    path = f"{PROJECTS}/{project['id']}"
    assert ada.call("GET", path).json() == project

    changed = ada.call("PATCH", path, {"name": "Sales", "is_favorite": True}).json()
    assert changed == {**project, "name": "Sales", "is_favorite": True, "updated_at": changed["updated_at"]}
    archived = ada.call("POST", path, {"archived": True, "instruction": None}).json()
    assert (archived["archived"], archived["is_archived"], archived["instruction"]) == (True, True, "")
    again = ada.call("PATCH", path, {"is_archived": True}).json()
    assert again["archived_at"] == archived["archived_at"]
    assert ada.call("PATCH", path, {"is_archived": False}).json()["archived_at"] is None
    assert ada.call("GET", f"{path}?timestamps=iso").json()["created_at"].endswith("Z")

    gone = ada.call("DELETE", path)
    assert (gone.status_code, gone.json()) == (200, {"id": project["id"], "object": "project.deleted", "deleted": True})
    for method in ("GET", "PATCH", "POST", "DELETE"):
        answer = ada.call(method, path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "project_not_found")
    assert ada.call("GET", PROJECTS).json()["data"] == []


def test_a_name_may_be_given_again_also_after_a_deletion(ada: Caller):
    first, second = made(ada), made(ada)
    assert ada.call("DELETE", f"{PROJECTS}/{first['id']}", Prefer="return=minimal").status_code == 204
    third = made(ada)
    assert {first["name"], second["name"], third["name"]} == {"Marketing"}
    assert len({first["id"], second["id"], third["id"]}) == 3


def test_lists_are_pages_of_ones_own(ada: Caller, eve: Caller):
    ids = [made(ada, f"p{number}")["id"] for number in range(5)]
    made(eve)
    newest_first = list(reversed(ids))
    page = ada.call("GET", f"{PROJECTS}?limit=2").json()
    assert [row["id"] for row in page["data"]] == newest_first[:2]
    assert {name: value for name, value in page.items() if name != "data"} == {
        "object": "list", "first_id": newest_first[0], "last_id": newest_first[1], "has_more": True,
        "next_after": newest_first[1], "total": 5,
    }  # fmt: skip
    rest = ada.call("GET", f"{PROJECTS}?limit=3&after={page['last_id']}").json()
    assert ([row["id"] for row in rest["data"]], rest["has_more"]) == (newest_first[2:], False)
    assert [row["id"] for row in ada.call("GET", f"{PROJECTS}?order=asc").json()["data"]] == ids
    by_offset = ada.call("GET", f"{PROJECTS}?offset=4").json()
    assert (by_offset["projects"], by_offset["limit"], by_offset["offset"]) == (by_offset["data"], 20, 4)

    ada.call("PATCH", f"{PROJECTS}/{ids[1]}", {"archived": True})
    archived, others = (ada.call("GET", f"{PROJECTS}?archived={word}").json() for word in ("true", "false"))
    assert [row["id"] for row in archived["data"]] == [ids[1]]
    assert ids[1] not in [row["id"] for row in others["data"]]
    assert (archived["total"], others["total"]) == (1, 4)


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "order=up", "after=cproj_none", "archived=1", "offset=-1"])
def test_what_a_list_cannot_be_asked_is_named(ada: Caller, query: str):
    answer = ada.call("GET", f"{PROJECTS}?{query}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, query.partition("=")[0])


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({}, "name", "missing_required_parameter"),
        ({"name": ""}, "name", "invalid_value"),
        ({"name": "   "}, "name", "invalid_value"),
        ({"name": None}, "name", "invalid_value"),
        ({"name": ["x"]}, "name", "invalid_value"),
        ({"name": "x" * 121}, "name", "invalid_value"),
        ({"name": "two\nlines"}, "name", "invalid_value"),
        ({"name": "bell\a"}, "name", "invalid_value"),
        ({"name": "turned \u202egnp.exe"}, "name", "invalid_value"),
        ({"name": "\u200b\u200d"}, "name", "invalid_value"),
        ({"name": "x", "instruction": "y" * 32_769}, "instruction", "invalid_value"),
        ({"name": "x", "instruction": {"a": 1}}, "instruction", "invalid_value"),
        ({"name": "x", "archived": "perhaps"}, "archived", "invalid_value"),
        ({"name": "x", "archived": True, "is_archived": False}, "archived", "invalid_value"),
        ({"name": "x", "colour": "red"}, "colour", "unknown_parameter"),
        ([], None, "invalid_value"),
    ],
)
def test_what_cannot_be_is_refused_and_named(ada: Caller, body: Any, param: str | None, code: str):
    answer = ada.call("POST", PROJECTS, body)
    assert answer.status_code == 400, answer.content
    assert (answer.json()["error"]["param"], answer.json()["error"]["code"]) == (param, code)
    assert not ChatProject.objects.exists()
    if isinstance(body, dict) and body:
        project = made(ada)
        before = rows()
        answer = ada.call("PATCH", f"{PROJECTS}/{project['id']}", body)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
        assert rows() == before


@pytest.mark.parametrize(
    "body", [b'{"name": "a\\u0000b"}', b'{"name": "\\ud800"}', b"{", b'{"name": "a", "name": "b"}']
)
def test_unreadable_bodies_are_refused(ada: Caller, body: bytes):
    assert ada.call("POST", PROJECTS, body).status_code == 400
    assert not ChatProject.objects.exists()


@pytest.mark.parametrize("name", ["x" * 120, "日本語", "👩‍👩‍👧 family", "é", "Ünï cödé — ok", "<b>bold</b>"])
def test_names_of_all_kinds_are_kept(ada: Caller, name: str):
    assert made(ada, name, instruction="y" * 32_768)["name"] == name


def test_a_strangers_project_is_not_found_and_untouched(ada: Caller, eve: Caller):
    theirs = made(eve)
    before = rows()
    for method, body in (("GET", None), ("PATCH", {"name": "mine"}), ("POST", {"name": "mine"}), ("DELETE", None)):
        answers = [ada.call(method, f"{PROJECTS}/{name}", body) for name in (theirs["id"], "cproj_" + "0" * 24, "%00")]
        assert [answer.status_code for answer in answers] == [404] * 3
        assert answers[0].json()["error"]["code"] == "project_not_found"
        first, second = (
            json.dumps(answer.json()).replace(answer.json()["error"]["request_id"] or "-", "") for answer in answers[:2]
        )
        assert first == second
    assert rows() == before


def test_a_persons_projects_are_its_own_and_a_keys_are_the_projects(ada: Caller):
    project_key = ada.with_key(kind=KeyKind.PROJECT)
    other_key = ada.with_key(kind=KeyKind.PROJECT, name="another")
    service_key = ada.with_key(kind=KeyKind.SERVICE_ACCOUNT, name="robot")
    personal_key = ada.with_key()
    own, shared = made(ada, "own"), made(project_key, "shared")
    seen = {
        name: [row["name"] for row in caller.call("GET", PROJECTS).json()["data"]]
        for name, caller in (
            ("token", ada), ("personal", personal_key), ("key", project_key), ("other", other_key), ("service", service_key),
        )
    }  # fmt: skip
    assert seen == {
        "token": ["own"], "personal": ["own"], "key": ["shared"], "other": ["shared"], "service": ["shared"],
    }  # fmt: skip
    assert project_key.call("GET", f"{PROJECTS}/{own['id']}").status_code == 404
    assert ada.call("GET", f"{PROJECTS}/{shared['id']}").status_code == 404


def test_another_organization_of_ones_own_has_other_projects(ada: Caller):
    made(ada)
    other = ada.call("POST", "/v1/organization", {"name": "Acme"}).json()
    there = ada.call("GET", PROJECTS, OpenAI_Organization=other["id"]).json()
    assert (there["data"], there["total"]) == ([], 0)


def test_keys_that_only_read_change_nothing(ada: Caller):
    project = made(ada)
    reader = ada.with_key(scopes=frozenset({"conversations.read"}))
    before = rows()
    assert reader.call("GET", f"{PROJECTS}/{project['id']}").json() == project
    answers = [
        reader.call(*call)
        for call in (
            ("POST", PROJECTS, {"name": "x"}),
            ("PATCH", f"{PROJECTS}/{project['id']}", {"name": "x"}),
            ("DELETE", f"{PROJECTS}/{project['id']}"),
        )
    ]
    assert [answer.status_code for answer in answers] == [403] * 3
    assert rows() == before


def test_guests_have_projects_and_admin_keys_do_not(guest: Caller, ada: Caller):
    made(guest)
    admin_key = ada.with_key(kind=KeyKind.ADMIN)
    answer = admin_key.call("GET", PROJECTS)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "wrong_key_kind")


def test_a_project_that_keeps_nothing_keeps_no_folders(ada: Caller):
    kept = made(ada)
    Project.objects.filter(pk=ada.project.pk).update(settings={"storage": "none"})
    answer = ada.call("POST", PROJECTS, {"name": "x"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "storage_disabled")
    assert ChatProject.objects.count() == 1
    assert ada.call("DELETE", f"{PROJECTS}/{kept['id']}").status_code == 200


def test_deleting_keeps_the_conversations_in_no_project(ada: Caller):
    project = made(ada, instruction="Be brief.")
    conversation = conversation_in(ada, project["id"])
    found = turns.find(principal_of(ada), conversation.public_id)
    assert found.folder is not None
    assert found.folder.instruction == "Be brief."

    ada.call("DELETE", f"{PROJECTS}/{project['id']}")
    assert turns.find(principal_of(ada), conversation.public_id).folder is None
    assert Item.objects.filter(conversation=conversation).count() == 1


def test_deleting_takes_the_conversations_along_when_asked(ada: Caller):
    project, other = made(ada), made(ada)
    inside, outside = conversation_in(ada, project["id"]), conversation_in(ada, other["id"])
    loose = services.create_conversation(principal=principal_of(ada))
    wrong = ada.call("DELETE", f"{PROJECTS}/{project['id']}?conversations=all")
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "conversations")
    assert Conversation.objects.count() == 3

    assert ada.call("DELETE", f"{PROJECTS}/{project['id']}?conversations=delete").status_code == 200
    assert set(Conversation.objects.values_list("pk", flat=True)) == {outside.pk, loose.pk}
    assert not Item.objects.filter(conversation_id=inside.pk).exists()


def test_its_conversations_are_listed(ada: Caller, eve: Caller):
    project, other = made(ada), made(ada)
    inside = [conversation_in(ada, project["id"]).public_id for _ in range(3)]
    conversation_in(ada, other["id"])
    path = f"{PROJECTS}/{project['id']}/conversations"
    page = ada.call("GET", f"{path}?limit=2&order=asc").json()
    assert ([row["id"] for row in page["data"]], page["has_more"], page["total"]) == (inside[:2], True, 3)
    assert ada.call("GET", path).json() == ada.call("GET", f"/v1/conversations?project_id={project['id']}").json()
    assert [row["id"] for row in ada.call("GET", f"{path}?after={inside[1]}").json()["data"]] == inside[:1]
    assert ada.call("GET", f"{path}?archived=true").json()["data"] == []
    assert ada.call("GET", f"{path}?archived=x").status_code == 400
    assert eve.call("GET", path).status_code == 404
    ada.call("DELETE", f"{PROJECTS}/{project['id']}")
    assert ada.call("GET", path).status_code == 404


def test_what_was_deleted_long_ago_is_purged(ada: Caller, settings: Any):
    settings.PROJECT_PURGE_DAYS = 30
    old, young, present = made(ada, "old"), made(ada, "young"), made(ada, "present")
    conversation = conversation_in(ada, old["id"])
    for project, days in ((old, 31), (young, 29)):
        ada.call("DELETE", f"{PROJECTS}/{project['id']}")
        ago = timezone.now() - datetime.timedelta(days=days)
        ChatProject.objects.filter(public_id=project["id"]).update(deleted_at=ago)
    assert (purge_chat_projects(), purge_chat_projects()) == (1, 0)
    assert set(ChatProject.objects.values_list("public_id", flat=True)) == {young["id"], present["id"]}
    conversation.refresh_from_db()
    assert conversation.chat_project_id is None


def test_an_account_takes_its_projects_along(ada: Caller):
    made(ada)
    ada.user.delete()
    assert not ChatProject.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_changes_at_once_are_all_kept():
    caller = sign_up("ada@example.com")
    path = f"{PROJECTS}/{made(caller)['id']}"
    changes = [{"name": "n"}, {"instruction": "i"}, {"is_favorite": True}, {"archived": True}] * 3

    def change(body: dict[str, Any]) -> int:
        try:
            return int(caller.call("PATCH", path, body).status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(change, changes)) == [200] * len(changes)
    after = caller.call("GET", path).json()
    assert [after[name] for name in ("name", "instruction", "is_favorite", "archived")] == ["n", "i", True, True]


def test_a_list_costs_the_same_however_long_it_is(ada: Caller):
    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert ada.call("GET", PROJECTS).status_code == 200
            return len(queries)

    made(ada)
    few = cost()
    for number in range(10):
        made(ada, f"p{number}")
    assert cost() == few

"""Personal keys over the API: made, read, deleted, and never more than their maker."""

from __future__ import annotations

import datetime
import itertools
import threading
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.db import connection
from django.utils import timezone

from apps.accounts.models import User
from apps.api_keys.models import ApiKey
from apps.api_keys.services import Holder, create_key
from apps.api_keys.tokens import KeyKind, is_well_formed
from apps.audit.models import AuditEvent
from apps.core.errors import Conflict
from apps.organizations.principal import CALLING
from apps.organizations.roles import PERMISSION_SCOPES, READING, ROLE_SCOPES, Permission, Role, Scope, permissions_of
from apps.projects.models import Project
from tests.api_keys.conftest import Caller, join, sign_up, token_of

KEYS = "/v1/auth/api-keys"
FIELDS = {
    "id", "object", "name", "description", "kind", "prefix", "suffix", "permissions", "scopes", "status",
    "allowed_addresses", "allowed_models", "conversation_id", "created_at", "expires_at", "last_used_at", "previous_expires_at",
}  # fmt: skip
BOTH_NAMES = pytest.mark.parametrize("path", [KEYS, "/v1/user/api-keys", "/api/v1/user/api-keys", "/llm/auth/api-keys"])


def refusal(answer: Any) -> tuple[int, str, str | None]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["param"]


def days_ahead(text: str) -> float:
    return (datetime.datetime.fromisoformat(text) - timezone.now()) / datetime.timedelta(days=1)


@BOTH_NAMES
def test_a_key_is_made_read_listed_and_deleted(ada: Caller, path: str):
    answer = ada.call("POST", path, {"name": "Development Key", "permissions": ["read", "write"]})
    made = answer.json()
    secret = made.pop("key")
    assert (answer.status_code, set(made), is_well_formed(secret)) == (201, FIELDS, True)
    assert (made["prefix"], made["suffix"], made["status"]) == ("sk_", secret[-4:], "active")
    assert (made["permissions"], made["kind"], made["expires_at"]) == (["read", "write"], "user", None)
    assert secret.startswith("sk_")
    assert ada.call("GET", f"{path}/{made['id']}").json() == made
    listed = ada.call("GET", path).json()
    assert listed == {
        "object": "list",
        "data": [made],
        "items": [made],
        "first_id": made["id"],
        "last_id": made["id"],
        "has_more": False,
        "next_after": None,
        "next": None,
        "total": 1,
        "limit": 20,
        "offset": 0,
    }
    deleted = ada.call("DELETE", f"{path}/{made['id']}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert ada.call("GET", f"{path}/{made['id']}").json()["status"] == "revoked"
    assert refusal(Caller(ada.user, secret).call("GET", "/v1/auth/me")) == (401, "invalid_api_key", None)


def test_both_names_are_the_same_keys(ada: Caller):
    made = ada.call("POST", KEYS, {"name": "one"}).json()
    assert ada.call("GET", f"/v1/user/api-keys/{made['id']}").json()["name"] == "one"


@pytest.mark.parametrize(
    ("permissions", "scopes", "shown"),
    [
        (["read"], {"models.read", "conversations.read", "api_keys.read"}, ["read"]),
        (["write"], set(CALLING), ["read", "write"]),
        (["read", "write"], set(CALLING), ["read", "write"]),
        (None, set(CALLING), ["read", "write"]),
    ],
)
def test_permissions_stand_for_scopes(ada: Caller, permissions: Any, scopes: set[str], shown: list[str]):
    body = {"name": "k"} if permissions is None else {"name": "k", "permissions": permissions}
    made = ada.call("POST", KEYS, body).json()
    assert (set(made["scopes"]), made["permissions"]) == (scopes, shown)


def test_a_reading_key_reads_and_changes_nothing(ada: Caller):
    reader = ada.with_key(scopes=CALLING & READING)
    assert reader.call("GET", "/v1/models").status_code == 200
    assert reader.call("GET", KEYS).json()["total"] == 1
    refused = [
        reader.call("POST", KEYS, {"name": "k"}),
        reader.call("DELETE", f"{KEYS}/{reader.key.public_id}"),
        reader.call("POST", f"{KEYS}/{reader.key.public_id}/rotate"),
    ]
    assert [refusal(answer)[:2] for answer in refused] == [(403, "insufficient_permissions")] * 3
    assert ApiKey.objects.get().status == "active"


@pytest.mark.parametrize(
    ("body", "days"),
    [
        ({"expires_in_days": 30}, 30),
        ({"expires_in_days": 3650}, 3650),
        ({"expires_at": (timezone.now() + datetime.timedelta(days=7)).isoformat()}, 7),
    ],
)
def test_a_key_ends_when_it_was_said_to(ada: Caller, body: dict[str, Any], days: int):
    made = ada.call("POST", KEYS, {"name": "k", **body}).json()
    assert days - 0.01 < days_ahead(made["expires_at"]) <= days


def test_an_expired_key_opens_nothing_and_says_so_in_the_list(ada: Caller):
    caller = ada.with_key(expires_at=timezone.now() + datetime.timedelta(days=1))
    ApiKey.objects.update(expires_at=timezone.now())
    assert refusal(caller.call("GET", "/v1/auth/me")) == (401, "invalid_api_key", None)
    assert ada.call("GET", KEYS).json()["data"][0]["status"] == "expired"


AHEAD = (timezone.now() + datetime.timedelta(days=1)).isoformat()


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, "missing_required_parameter", "name"),
        ({"name": ""}, "invalid_value", "name"),
        ({"name": "  "}, "invalid_value", "name"),
        ({"name": None}, "invalid_value", "name"),
        ({"name": ["k"]}, "invalid_value", "name"),
        ({"name": True}, "invalid_value", "name"),
        ({"name": "k" * 129}, "invalid_value", "name"),
        ({"name": "k", "user_id": "user_1"}, "unknown_parameter", "user_id"),
        ({"name": "k", "organization": "org_1"}, "unknown_parameter", "organization"),
        ({"name": "k", "kind": "admin"}, "invalid_value", "kind"),
        ({"name": "k", "permissions": []}, "invalid_value", "permissions"),
        ({"name": "k", "permissions": "read"}, "invalid_value", "permissions"),
        ({"name": "k", "permissions": ["admin"]}, "invalid_value", "permissions"),
        ({"name": "k", "permissions": [["read"]]}, "invalid_value", "permissions"),
        ({"name": "k", "permissions": {"read": True}}, "invalid_value", "permissions"),
        ({"name": "k", "permissions": ["read"] * 1000}, "invalid_value", "permissions"),
        ({"name": "k", "permissions": ["read"], "scopes": ["inference"]}, "invalid_value", "scopes"),
        ({"name": "k", "scopes": [None]}, "invalid_value", "scopes"),
        ({"name": "k", "scopes": ["*"]}, "invalid_value", "scopes"),
        ({"name": "k", "expires_in_days": 0}, "invalid_value", "expires_in_days"),
        ({"name": "k", "expires_in_days": -1}, "invalid_value", "expires_in_days"),
        ({"name": "k", "expires_in_days": 3651}, "invalid_value", "expires_in_days"),
        ({"name": "k", "expires_in_days": 10**400}, "invalid_value", "expires_in_days"),
        ({"name": "k", "expires_in_days": 1.5}, "invalid_value", "expires_in_days"),
        ({"name": "k", "expires_in_days": "soon"}, "invalid_value", "expires_in_days"),
        ({"name": "k", "expires_in_days": True}, "invalid_value", "expires_in_days"),
        ({"name": "k", "expires_in_days": 1, "expires_at": AHEAD}, "invalid_value", "expires_in_days"),
        ({"name": "k", "expires_at": "2020-01-01T00:00:00Z"}, "invalid_value", "expires_at"),
        ({"name": "k", "expires_at": "9999-12-31T23:59:59Z"}, "invalid_value", "expires_at"),
        ({"name": "k", "expires_at": "9999-12-31T23:59:59-14:00"}, "invalid_value", "expires_at"),
        ({"name": "k", "expires_at": "0001-01-01T00:00:00+14:00"}, "invalid_value", "expires_at"),
        ({"name": "k", "expires_at": 1_900_000_000}, "invalid_value", "expires_at"),
        ({"name": "k", "expires_at": "tomorrow"}, "invalid_value", "expires_at"),
        ([], "invalid_value", None),
        ("name", "invalid_value", None),
        (None, "missing_required_parameter", "name"),
        (b'{"name": "a\\u0000b"}', "invalid_json", None),
        (b'{"name": "\\ud800"}', "invalid_json", None),
        (b'{"name": "\xff"}', "invalid_json", None),
        (b'{"name": "a", "name": "b"}', "invalid_json", None),
        (b'{"name": ', "invalid_json", None),
    ],
)
def test_a_wrong_body_is_refused_and_makes_nothing(ada: Caller, body: Any, code: str, param: str | None):
    status, got, where = refusal(ada.call("POST", KEYS, body))
    assert (status, got, (where or "").partition(".")[0] or None) == (400, code, param)
    assert (ApiKey.objects.count(), AuditEvent.objects.count()) == (0, 0)


STRANGE_IDS = ["key_" + "0" * 24, "key_", "..", "%ED%A0%80", "%F0%9F%92%A9", "k" * 5000, "1"]


@pytest.mark.parametrize("key_id", STRANGE_IDS)
@pytest.mark.parametrize(("method", "tail"), [("GET", ""), ("DELETE", ""), ("POST", "/rotate")])
def test_a_strange_id_names_nothing(ada: Caller, method: str, tail: str, key_id: str):
    answer = ada.call(method, f"{KEYS}/{key_id}{tail}")
    assert answer.status_code == 404


@pytest.mark.parametrize(("method", "tail"), [("GET", ""), ("DELETE", ""), ("POST", "/rotate")])
def test_a_strangers_key_is_like_none_at_all(ada: Caller, eve: Caller, method: str, tail: str):
    hers = ada.with_key().key
    before = ApiKey.objects.values().get()
    theirs = eve.call(method, f"{KEYS}/{hers.public_id}{tail}")
    none = eve.call(method, f"{KEYS}/key_{'0' * 24}{tail}")
    assert (theirs.status_code, theirs.json()) == (none.status_code, none.json())
    assert refusal(theirs) == (404, "api_key_not_found", None)
    assert ApiKey.objects.values().get() == before
    assert eve.call("GET", KEYS).json()["total"] == 0


def test_a_colleague_sees_the_projects_keys_and_not_the_personal_ones(ada: Caller, eve: Caller):
    join(eve.user, ada.organization)
    personal, shared = ada.with_key().key, ada.with_key(kind=KeyKind.PROJECT).key
    here = {"OpenAI_Organization": ada.organization.public_id}
    assert [key["id"] for key in eve.call("GET", KEYS, **here).json()["data"]] == [shared.public_id]
    assert eve.call("DELETE", f"{KEYS}/{personal.public_id}", **here).status_code == 404
    assert ApiKey.objects.get(pk=personal.pk).status == "active"


def test_a_key_sees_no_further_than_its_project(ada: Caller):
    second = Project.objects.create(organization=ada.organization, name="second")
    here, there = ada.with_key(name="here"), ada.with_key(name="there", project=second)
    machine = ada.with_key(name="machine", kind=KeyKind.PROJECT)

    def seen(caller: Caller) -> set[str]:
        return {key["name"] for key in caller.call("GET", KEYS).json()["data"]}

    assert seen(ada) == {"here", "there", "machine"}
    assert (seen(here), seen(there), seen(machine)) == ({"here", "machine"}, {"there"}, {"machine"})
    assert refusal(machine.call("POST", KEYS, {"name": "k"})) == (403, "insufficient_permissions", "kind")
    assert machine.call("POST", KEYS, {"name": "k", "kind": "project"}).status_code == 201


SETS = [
    frozenset(some) for size in range(1, len(CALLING) + 1) for some in itertools.combinations(sorted(CALLING), size)
]


@pytest.mark.parametrize("held", [some for some in SETS if Scope.API_KEYS_WRITE in some])
def test_no_key_makes_a_wider_one(ada: Caller, held: frozenset[Scope]):
    caller = ada.with_key(scopes=held)
    for wanted in SETS:
        answer = caller.call("POST", KEYS, {"name": "k", "scopes": sorted(wanted)})
        assert answer.status_code == (201 if wanted <= held else 403)
        assert answer.status_code == 403 or set(answer.json()["scopes"]) == wanted
        ApiKey.objects.exclude(pk=caller.key.pk).delete()
    for words in (["read"], ["write"], ["read", "write"]):
        answer = caller.call("POST", KEYS, {"name": "k", "permissions": words})
        assert set(answer.json().get("scopes", [])) <= held
        ApiKey.objects.exclude(pk=caller.key.pk).delete()


def test_a_key_lends_its_rights_no_longer_than_it_lives(ada: Caller):
    ends = timezone.now() + datetime.timedelta(days=2)
    caller = ada.with_key(expires_at=ends)
    assert refusal(caller.call("POST", KEYS, {"name": "k", "expires_in_days": 3})) == (
        403, "insufficient_permissions", "expires_at",
    )  # fmt: skip
    assert ApiKey.objects.count() == 1
    inherited = caller.call("POST", KEYS, {"name": "k"}).json()["expires_at"]
    assert datetime.datetime.fromisoformat(inherited) == ends
    assert caller.call("POST", KEYS, {"name": "k", "expires_in_days": 1}).status_code == 201


def test_a_key_can_no_more_than_its_user_by_now(ada: Caller, eve: Caller):
    membership = join(eve.user, ada.organization)
    key = eve.with_key(project=ada.project)
    assert key.call("POST", KEYS, {"name": "k"}).status_code == 201
    membership.role = Role.VIEWER
    membership.save()
    assert refusal(key.call("POST", KEYS, {"name": "k"}))[:2] == (403, "insufficient_permissions")
    membership.delete()
    assert refusal(key.call("GET", "/v1/auth/me")) == (401, "invalid_api_key", None)


def test_nobody_makes_a_key_before_an_address_is_confirmed(guest: Caller):
    assert refusal(guest.call("POST", KEYS, {"name": "k"}))[:2] == (403, "insufficient_permissions")
    assert guest.call("POST", "/v1/auth/upgrade", {"email": "g@example.com"}).status_code == 200
    assert refusal(guest.call("POST", KEYS, {"name": "k"}))[:2] == (403, "insufficient_permissions")
    assert (guest.call("GET", KEYS).json()["total"], ApiKey.objects.count()) == (0, 0)
    EmailAddress.objects.get(user=guest.user).set_verified()
    User.objects.filter(pk=guest.user.pk).update(email="g@example.com")
    assert guest.call("POST", KEYS, {"name": "k"}).status_code == 201


def test_nobody_has_more_keys_than_the_limit(ada: Caller, settings: Any):
    settings.MAX_KEYS_PER_USER = 2
    ids = [ada.call("POST", KEYS, {"name": "k"}).json()["id"] for _ in range(2)]
    answer = ada.call("POST", KEYS, {"name": "k"})
    assert refusal(answer) == (409, "too_many_api_keys", None)
    assert answer.json()["error"]["details"] == {"limit": 2}
    assert answer["x-should-retry"] == "false"
    assert ApiKey.objects.count() == 2
    assert ada.call("POST", KEYS, {"name": "k", "kind": "project"}).status_code == 201
    ada.call("DELETE", f"{KEYS}/{ids[0]}")
    assert ada.call("POST", KEYS, {"name": "k"}).status_code == 201
    ApiKey.objects.filter(public_id=ids[1]).update(expires_at=timezone.now())
    assert ada.call("POST", KEYS, {"name": "k"}).status_code == 201


@pytest.mark.django_db(transaction=True)
def test_two_at_once_for_the_last_place_make_one_key(settings: Any):
    settings.MAX_KEYS_PER_USER = 20
    ada = sign_up("ada@example.com")
    for _ in range(19):
        ada.with_key()
    together, outcomes = threading.Barrier(2), []
    project = ada.project

    def create() -> None:
        together.wait()
        try:
            create_key(kind=KeyKind.USER, name="last", place=project, holder=Holder(ada.user))
            outcomes.append("made")
        except Conflict as refused:
            outcomes.append(refused.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=create) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sorted(outcomes), ApiKey.objects.count()) == (["made", "too_many_api_keys"], 20)


def test_what_happens_to_keys_is_in_the_audit_log(ada: Caller):
    made = ada.call("POST", KEYS, {"name": "k", "permissions": ["write"]}).json()
    rotated = Caller(ada.user, made["key"]).call("POST", f"{KEYS}/{made['id']}/rotate", {"overlap_seconds": 60}).json()
    ada.call("DELETE", f"{KEYS}/{made['id']}")
    ada.call("DELETE", f"{KEYS}/{made['id']}")
    events = list(AuditEvent.objects.order_by("id"))
    assert [(event.action, event.actor_kind, event.actor_id) for event in events] == [
        ("api_key.created", "user", ada.user.pk),
        ("api_key.rotated", "api_key", made["id"]),
        ("api_key.deleted", "user", ada.user.pk),
    ]
    assert {(event.organization, event.target_kind, event.target_id) for event in events} == {
        (ada.organization.public_id, "api_key", made["id"])
    }
    written = str([event.__dict__ for event in events])
    assert made["key"] not in written
    assert rotated["key"] not in written


def test_every_right_has_its_word():
    read, write, everything = (PERMISSION_SCOPES[word] for word in Permission)
    assert read == {scope for scope in Scope if scope.endswith(".read")}
    assert (read < write, everything) == (True, frozenset(Scope))
    held = (frozenset(), ROLE_SCOPES[Role.VIEWER], CALLING, write, ROLE_SCOPES[Role.OWNER])
    assert [permissions_of(some) for some in held] == [
        [], ["read"], ["read", "write"], ["read", "write"], ["read", "write", "admin"],
    ]  # fmt: skip


def test_a_list_asks_the_database_no_more_with_more_keys(ada: Caller, django_assert_max_num_queries: Any):
    for _ in range(3):
        ada.with_key()
    ada.secret = token_of(ada.user)
    with django_assert_max_num_queries(7):
        assert len(ada.call("GET", KEYS).json()["data"]) == 3

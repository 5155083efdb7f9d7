"""Ephemeral keys: short-lived, made by another credential, never more than it, gone with it."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.utils import timezone

from apps.api_keys.models import ApiKey
from apps.api_keys.services import Holder, create_key, revoke_key, rotate_key
from apps.api_keys.tokens import KeyKind
from apps.audit.models import AuditEvent
from apps.audit.services import SYSTEM
from apps.core.errors import BadRequest
from apps.organizations.roles import Role, Scope
from apps.projects.models import Project
from tests.api_keys.conftest import Caller, join, sign_up
from tests.api_keys.test_managed_keys import state
from tests.api_keys.test_personal_keys import KEYS, refusal

ME = "/v1/auth/me"
MAKERS = [kind for kind in KeyKind if kind is not KeyKind.EPHEMERAL]


def minted(maker: Caller, **fields: Any) -> Any:
    return maker.call("POST", KEYS, {"kind": "ephemeral", **fields})


def seconds_left(made: dict[str, Any]) -> float:
    return (datetime.datetime.fromisoformat(made["expires_at"]) - timezone.now()).total_seconds()


def opens(made: dict[str, Any], user: Any) -> bool:
    return bool(Caller(user, made["key"]).call("GET", ME).status_code == 200)


@pytest.mark.parametrize("kind", [None, *MAKERS])
def test_a_token_and_every_other_key_makes_them(ada: Caller, kind: KeyKind | None):
    maker = ada if kind is None else ada.with_key(kind=kind)
    answer = minted(maker)
    made = answer.json()
    assert (answer.status_code, made["kind"], made["prefix"], made["name"]) == (
        201, "ephemeral", "jan_ek_", "ephemeral",
    )  # fmt: skip
    everything = ["conversations.read", "conversations.write", "inference", "models.read"]
    assert (made["scopes"], 590 < seconds_left(made) <= 600) == (everything, True)
    short = Caller(ada.user, made["key"])
    me = short.call("GET", ME).json()
    assert (me["key_kind"], me["scopes"], me["organization_scopes"]) == ("ephemeral", made["scopes"], [])
    assert short.call("GET", "/v1/models").status_code == 200
    row = ApiKey.objects.get(public_id=made["id"])
    assert (row.parent, row.project) == (maker.key, ada.project)


@pytest.mark.parametrize("seconds", [10, 86_400])
def test_one_lives_as_long_as_was_said(ada: Caller, seconds: int):
    assert seconds - 5 < seconds_left(minted(ada, expires_in_seconds=seconds).json()) <= seconds


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"expires_in_seconds": 9}, "expires_in_seconds"),
        ({"expires_in_seconds": 86_401}, "expires_in_seconds"),
        ({"expires_in_seconds": -1}, "expires_in_seconds"),
        ({"expires_in_days": 2}, "expires_in_seconds"),
        ({"expires_at": "2030-01-01T00:00:00Z"}, "expires_in_seconds"),
        ({"scopes": ["api_keys.write"]}, "scopes"),
        ({"scopes": ["projects.read"]}, "scopes"),
        ({"permissions": ["admin"]}, "permissions"),
        ({"allowed_models": []}, "allowed_models"),
        ({"name": ""}, "name"),
    ],
)
def test_a_wrong_wish_makes_none(ada: Caller, fields: dict[str, Any], param: str):
    before = state()
    assert refusal(minted(ada, **fields)) == (400, "invalid_value", param)
    assert state() == before


@pytest.mark.parametrize(("method", "path", "body"), [
    ("POST", KEYS, {"kind": "ephemeral"}),
    ("POST", KEYS, {"name": "k"}),
    ("POST", KEYS, {"name": "k", "kind": "project"}),
    ("GET", KEYS, None),
    ("POST", "{itself}", {"expires_in_seconds": 86_400}),
    ("POST", "{itself}/rotate", {}),
    ("DELETE", "{itself}", None),
    ("GET", "/v1/organization/admin_api_keys", None),
])  # fmt: skip
def test_it_makes_and_changes_nothing(ada: Caller, method: str, path: str, body: Any):
    short = ada.with_key(kind=KeyKind.EPHEMERAL)
    before = state()
    answer = short.call(method, path.format(itself=f"{KEYS}/{short.key.public_id}"), body)
    assert refusal(answer)[:2] == (403, "wrong_key_kind")
    assert "Use the credential that made it" in answer.json()["error"]["message"]
    assert state() == before


@pytest.mark.parametrize("end", ["revoked", "expired", "holder disabled", "holder left"])
def test_it_ends_with_the_key_that_made_it(ada: Caller, end: str):
    bob = sign_up("bob@example.com")
    membership = join(bob.user, ada.organization)
    maker = bob.with_key(project=ada.project)
    made = minted(maker).json()
    assert opens(made, bob.user)
    if end == "revoked":
        revoke_key(key=maker.key, actor=SYSTEM)
    elif end == "expired":
        ApiKey.objects.filter(pk=maker.key.pk).update(expires_at=timezone.now())
    elif end == "holder disabled":
        bob.user.is_active = False
        bob.user.save()
    else:
        membership.delete()
    assert not opens(made, bob.user)


def test_it_outlives_a_rotation_of_its_maker(ada: Caller):
    maker = ada.with_key()
    made = minted(maker).json()
    rotate_key(key=maker.key, actor=SYSTEM, overlap=datetime.timedelta(0))
    assert opens(made, ada.user)


def test_it_lives_no_longer_than_its_maker(ada: Caller):
    maker = ada.with_key(expires_at=timezone.now() + datetime.timedelta(seconds=120))
    assert seconds_left(minted(maker).json()) <= 120
    before = state()
    assert refusal(minted(maker, expires_in_seconds=600)) == (403, "insufficient_permissions", "expires_at")
    assert state() == before
    assert minted(maker, expires_in_seconds=60).status_code == 201


def test_it_can_no_more_than_its_maker_then_and_later(ada: Caller):
    maker = ada.with_key(scopes={Scope.INFERENCE, Scope.MODELS_READ, Scope.API_KEYS_WRITE})
    made = minted(maker).json()
    reader = ada.with_key(scopes={Scope.MODELS_READ, Scope.API_KEYS_WRITE})
    assert minted(reader).json()["scopes"] == ["models.read"]
    assert refusal(minted(reader, scopes=["inference"])) == (403, "insufficient_permissions", "scopes")
    ada.call("POST", f"{KEYS}/{maker.key.public_id}", {"scopes": ["models.read"]})
    assert Caller(ada.user, made["key"]).call("GET", ME).json()["scopes"] == ["models.read"]


def test_its_maker_sees_and_ends_it_and_others_do_not(ada: Caller):
    one, other = ada.with_key(name="one"), ada.with_key(name="other")
    made = minted(one).json()
    path = f"{KEYS}/{made['id']}"
    assert [caller.call("GET", path).status_code for caller in (one, ada, other)] == [200, 200, 404]
    assert {row["id"] for row in other.call("GET", KEYS).json()["data"]} == {one.key.public_id, other.key.public_id}
    bob = sign_up("bob@example.com")
    join(bob.user, ada.organization, Role.ADMIN)
    assert bob.call("GET", path, OpenAI_Organization=ada.organization.public_id).status_code == 404
    assert one.call("DELETE", path).status_code == 204
    assert not opens(made, ada.user)


def test_its_life_is_never_made_longer_than_a_day_in_all(ada: Caller):
    made = minted(ada, expires_in_seconds=3600).json()
    path = f"{KEYS}/{made['id']}"
    assert ada.call("PATCH", path, {"expires_in_seconds": 7200}).status_code == 200
    ApiKey.objects.update(created_at=timezone.now() - datetime.timedelta(hours=23))
    before = state()
    for body in ({"expires_in_seconds": 7200}, {"expires_at": None}):
        assert refusal(ada.call("PATCH", path, body)) == (400, "invalid_value", "expires_in_seconds")
    assert state() == before


def test_none_is_made_in_an_archived_project_and_those_there_call_nothing(ada: Caller):
    second = Project.objects.create(organization=ada.organization, name="second")
    maker = ada.with_key(project=second)
    made = minted(maker).json()
    Project.objects.filter(pk=second.pk).update(archived_at=timezone.now())
    assert Caller(ada.user, made["key"]).call("GET", ME).json()["scopes"] == ["conversations.read", "models.read"]
    before = state()
    assert refusal(minted(maker)) == (403, "project_archived", None)
    by_token = ada.call("POST", KEYS, {"kind": "ephemeral"}, OpenAI_Project=second.public_id)
    assert refusal(by_token) == (403, "project_archived", None)
    assert state() == before


def test_a_project_has_no_more_of_them_than_its_limit(ada: Caller, settings: Any):
    settings.MAX_EPHEMERAL_KEYS = 2
    maker = ada.with_key()
    for _ in range(2):
        assert minted(maker).status_code == 201
    answer = minted(maker)
    assert (refusal(answer), answer.json()["error"]["details"]) == ((409, "too_many_api_keys", None), {"limit": 2})
    ApiKey.objects.filter(kind=KeyKind.EPHEMERAL).update(expires_at=timezone.now())
    assert minted(maker).status_code == 201


def test_the_service_makes_none_without_an_end(ada: Caller):
    key = ada.with_key().key
    with pytest.raises(BadRequest):
        create_key(
            kind=KeyKind.EPHEMERAL,
            name="k",
            place=ada.project,
            holder=Holder(ada.user),
            expires_at=timezone.now() + datetime.timedelta(days=2),
        )
    assert ApiKey.objects.get() == key


def test_making_one_is_audited_as_its_makers_deed(ada: Caller):
    maker = ada.with_key()
    made = minted(maker).json()
    event = AuditEvent.objects.get(target_id=made["id"])
    assert (event.action, event.actor_kind, event.actor_id, event.details["kind"]) == (
        "api_key.created", "api_key", maker.key.public_id, "ephemeral",
    )  # fmt: skip

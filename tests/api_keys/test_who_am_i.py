"""Who a caller is, told to itself and to services that were handed its credential."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.sessions import sign_out_everywhere
from apps.api_keys.authentication import Credentials, resolve
from apps.api_keys.identity import profile_of
from apps.api_keys.models import ApiKey
from apps.api_keys.services import project_behind, revoke_key, rotate_key
from apps.api_keys.tokens import KeyKind
from apps.audit.services import SYSTEM
from apps.core.errors import NotFound, Unauthenticated
from apps.organizations.actors import user_behind
from apps.organizations.principal import CALLING, TALKING
from apps.organizations.roles import ALL, Role, Scope
from apps.projects.models import Project
from apps.projects.services import delete_account
from tests.api_keys.conftest import Caller, join
from tests.api_keys.test_personal_keys import refusal

ME, VALIDATE, VALIDATE_KEY = "/v1/auth/me", "/v1/auth/validate", "/v1/auth/validate-api-key"
ME_FIELDS = {
    "id", "object", "email", "email_verified", "name", "username", "picture", "is_guest", "created_at", "updated_at",
    "organizations", "key_kind", "scopes", "organization_scopes", "service_account_id", "is_archived",
}  # fmt: skip
INFO_FIELDS = {
    "valid", "principal_id", "user_id", "subject", "username", "name", "email", "email_verified", "is_guest",
    "auth_method", "organization_id", "project_id", "roles", "scopes", "permissions", "key_id", "key_kind",
    "expires_at", "user_info", "organization_scopes", "service_account_id", "is_archived", "allowed_addresses",
    "allowed_models",
}  # fmt: skip


def ask(path: str, body: Any = None, **headers: str) -> Any:
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return Client().post(path, data, content_type="application/json", headers=sent)


@pytest.mark.parametrize("path", [ME, "/v1/user/profile", "/api/v1/user/profile", "/auth/me", "/llm/auth/me"])
def test_a_person_is_told_who_it_is(ada: Caller, path: str):
    EmailAddress.objects.create(user=ada.user, email="ada@example.com", verified=True, primary=True)
    answer = ada.call("GET", path)
    me = answer.json()
    assert (answer.status_code, set(me)) == (200, ME_FIELDS)
    assert (me["id"], me["email"], me["email_verified"], me["name"], me["username"], me["picture"], me["is_guest"]) == (
        ada.user.pk, "ada@example.com", True, "Ada", "ada", None, False,
    )  # fmt: skip
    assert me["organizations"] == [
        {"id": ada.organization.public_id, "name": "Ada's organization", "role": "owner", "is_personal": True}
    ]
    assert datetime.datetime.fromisoformat(me["created_at"]) == ada.user.created_at


def test_every_kind_of_credential_is_answered(ada: Caller, guest: Caller):
    kinds = [kind for kind in KeyKind if kind is not KeyKind.SERVICE_ACCOUNT]
    callers = [ada, ada.with_key(scopes={Scope.INFERENCE}), *(ada.with_key(kind=kind) for kind in kinds)]
    for caller in callers:
        me, told = caller.call("GET", ME).json(), caller.call("POST", VALIDATE).json()
        assert (set(me), set(told)) == (ME_FIELDS, INFO_FIELDS)
        kind = caller.key.kind if caller.key else None
        assert (me["id"], me["object"], me["key_kind"], me["service_account_id"]) == (ada.user.pk, "user", kind, None)
        assert (told["user_id"], told["key_kind"], told["organization_scopes"]) == (
            ada.user.pk, kind, me["organization_scopes"],
        )  # fmt: skip
    me = guest.call("GET", ME).json()
    assert (me["id"], me["is_guest"], me["email"], me["email_verified"]) == (guest.user.pk, True, None, False)


def test_a_key_is_told_its_rights_at_both_places(ada: Caller):
    admin, wide = (ada.with_key(kind=kind).call("GET", ME).json() for kind in (KeyKind.ADMIN, KeyKind.ORGANIZATION))
    assert (set(admin["organization_scopes"]), set(admin["scopes"])) == (set(ALL - TALKING),) * 2
    assert (set(wide["organization_scopes"]), set(wide["scopes"])) == (set(CALLING),) * 2
    assert ada.with_key(kind=KeyKind.PROJECT).call("GET", ME).json()["organization_scopes"] == []
    assert set(ada.call("GET", ME).json()["organization_scopes"]) == set(ALL)


def test_a_service_account_is_told_who_it_is(ada: Caller):
    key = ada.with_key(kind=KeyKind.SERVICE_ACCOUNT, name="CI")
    account = key.key.service_account
    me, told = key.call("GET", ME).json(), key.call("POST", VALIDATE_KEY, {"api_key": key.secret}).json()
    assert (set(me), set(told)) == (ME_FIELDS, INFO_FIELDS)
    assert (me["id"], me["object"], me["name"], me["email"], me["service_account_id"], me["key_kind"]) == (
        account.public_id, "service_account", "CI", None, account.public_id, "service_account",
    )  # fmt: skip
    assert me["organizations"] == [
        {"id": ada.organization.public_id, "name": "Ada's organization", "role": None, "is_personal": True}
    ]
    assert (told["principal_id"], told["user_id"], told["roles"], told["name"]) == (account.public_id, None, [], "CI")
    assert "ada" not in key.call("GET", ME).content.decode().replace("Ada's organization", "")
    account.delete()
    assert refusal(key.call("GET", ME)) == (401, "invalid_api_key", None)


def test_an_archived_project_is_told_as_such(ada: Caller):
    second = Project.objects.create(organization=ada.organization, name="second", archived_at=timezone.now())
    told = ada.call("POST", VALIDATE, OpenAI_Project=second.public_id).json()
    assert (told["is_archived"], "inference" in told["scopes"], "models.read" in told["scopes"]) == (True, False, True)


def test_where_a_key_may_be_used_from_is_told_to_those_who_are_handed_it(ada: Caller):
    key = ada.with_key(allowed_addresses=["192.0.2.0/24"], allowed_models=["b", "a"])
    told = ask(VALIDATE, {"token": key.secret}).json()
    assert (told["allowed_addresses"], told["allowed_models"]) == (["192.0.2.0/24"], ["a", "b"])


def test_an_address_is_told_to_its_owner_before_it_is_confirmed_and_to_nobody_else(guest: Caller):
    guest.call("POST", "/v1/auth/upgrade", {"email": "g@example.com"})
    me, told = guest.call("GET", ME).json(), guest.call("POST", VALIDATE).json()
    assert (me["email"], me["email_verified"], me["is_guest"]) == ("g@example.com", False, False)
    assert (told["email"], told["email_verified"], told["is_guest"], told["user_info"]["email"]) == (
        None, False, False, None,
    )  # fmt: skip


def test_all_organizations_are_listed_the_personal_one_first(ada: Caller, eve: Caller):
    join(ada.user, eve.organization, Role.VIEWER)
    assert [(each["id"], each["role"]) for each in ada.call("GET", ME).json()["organizations"]] == [
        (ada.organization.public_id, "owner"),
        (eve.organization.public_id, "viewer"),
    ]


@pytest.mark.parametrize("kind", [kind for kind in KeyKind if kind is not KeyKind.SERVICE_ACCOUNT])
def test_a_key_sees_no_organization_but_its_own(ada: Caller, eve: Caller, kind: KeyKind):
    join(ada.user, eve.organization, Role.ADMIN)
    EmailAddress.objects.create(user=ada.user, email="ada@example.com", verified=True, primary=True)
    answer = ada.with_key(kind=kind, project=eve.project).call("GET", ME)
    assert [(each["id"], each["role"]) for each in answer.json()["organizations"]] == [
        (eve.organization.public_id, "admin")
    ]
    assert ada.organization.public_id not in answer.content.decode()


@pytest.mark.parametrize("kind", [KeyKind.PROJECT, KeyKind.ORGANIZATION, KeyKind.EPHEMERAL])
def test_a_shared_key_is_not_told_who_made_it(ada: Caller, kind: KeyKind):
    EmailAddress.objects.create(user=ada.user, email="ada@example.com", verified=True, primary=True)
    User.objects.get_queryset().filter(pk=ada.user.pk).update(picture="https://example.com/ada.png")
    key = ada.with_key(kind=kind)
    me, told = key.call("GET", ME).json(), key.call("POST", VALIDATE).json()
    names = ("email", "name", "username", "picture", "email_verified")
    assert (me["id"], *(me[name] for name in names)) == (ada.user.pk, None, None, None, None, False)
    assert (told["user_id"], told["email"], told["name"], told["username"]) == (ada.user.pk, None, None, None)
    assert told["user_info"] == {"id": ada.user.pk, "username": None, "name": None, "is_guest": False, "email": None}
    assert told["roles"] == ["owner"]


@pytest.mark.parametrize("by_key", [True, False])
def test_an_account_deleted_a_moment_ago_is_nobody(ada: Caller, by_key: bool):
    """A process may know a principal for two seconds longer than its rows stand."""
    caller = ada.with_key() if by_key else ada
    principal = resolve(Credentials(bearer=caller.secret))
    delete_account(user=ada.user, actor=SYSTEM, reason="test")
    for asked in (profile_of, user_behind):
        with pytest.raises(Unauthenticated):
            asked(principal)
    with pytest.raises(NotFound):
        project_behind(principal)


def test_nobody_is_answered_without_a_credential(db: None):
    assert refusal(Client().get(ME)) == (401, "missing_credentials", None)
    for path in (VALIDATE, VALIDATE_KEY):
        answer = ask(path)
        assert refusal(answer) == (401, "missing_credentials", None)
        assert answer["WWW-Authenticate"] == "Bearer"


WAYS = {
    "token": lambda secret: ({"token": secret}, {}),
    "api_key": lambda secret: ({"api_key": secret}, {}),
    "Bearer": lambda secret: (None, {"Authorization": f"Bearer {secret}"}),
    "X-API-Key": lambda secret: (None, {"X_API_Key": secret}),
    "empty body": lambda secret: ({}, {"Authorization": f"Bearer {secret}"}),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_credential_is_looked_at_wherever_it_stands(ada: Caller, way: str):
    EmailAddress.objects.create(user=ada.user, email="ada@example.com", verified=True, primary=True)
    ends = timezone.now() + datetime.timedelta(days=1)
    caller = ada.with_key(scopes={Scope.INFERENCE, Scope.MODELS_READ}, expires_at=ends)
    body, headers = WAYS[way](caller.secret)
    answer = ask(VALIDATE, body, **headers)
    told = answer.json()
    assert (answer.status_code, set(told)) == (200, INFO_FIELDS)
    assert told == {
        "valid": True,
        "principal_id": ada.user.pk,
        "user_id": ada.user.pk,
        "subject": ada.user.pk,
        "username": "ada",
        "name": "Ada",
        "email": "ada@example.com",
        "email_verified": True,
        "is_guest": False,
        "auth_method": "api_key",
        "organization_id": ada.organization.public_id,
        "project_id": ada.project.public_id,
        "roles": ["owner"],
        "scopes": ["inference", "models.read"],
        "organization_scopes": [],
        "permissions": ["read", "write"],
        "service_account_id": None,
        "is_archived": False,
        "allowed_addresses": None,
        "allowed_models": None,
        "key_id": caller.key.public_id,
        "key_kind": "user",
        "expires_at": int(ends.timestamp()),
        "user_info": {
            "id": ada.user.pk, "username": "ada", "name": "Ada", "email": "ada@example.com", "is_guest": False,
        },
    }  # fmt: skip
    assert ApiKey.objects.get().last_used_at is not None


def test_a_token_is_looked_at_too(ada: Caller):
    told = ask(VALIDATE, {"token": ada.secret}).json()
    assert (told["auth_method"], told["key_id"], told["user_id"]) == ("jwt", None, ada.user.pk)
    assert 3500 < told["expires_at"] - timezone.now().timestamp() <= 3600


@pytest.mark.parametrize("body", [True, False])
def test_the_route_for_keys_takes_keys_alone(ada: Caller, body: bool):
    for secret, status in ((ada.with_key().secret, 200), (ada.secret, 401)):
        answer = ask(VALIDATE_KEY, {"api_key": secret}) if body else ask(VALIDATE_KEY, Authorization=f"Bearer {secret}")
        assert answer.status_code == status
        assert answer.json().get("valid") is (True if status == 200 else None)


def test_the_body_is_asked_about_and_not_the_one_who_asks(ada: Caller, eve: Caller):
    asked = ask(VALIDATE, {"token": ada.with_key().secret}, Authorization=f"Bearer {eve.secret}")
    assert asked.json()["user_id"] == ada.user.pk


def test_a_sidecar_names_the_tenant_its_client_named(ada: Caller, eve: Caller):
    join(ada.user, eve.organization, Role.VIEWER)
    told = ask(VALIDATE, {"token": ada.secret}, OpenAI_Organization=eve.organization.public_id).json()
    assert (told["organization_id"], told["roles"], told["permissions"]) == (
        eve.organization.public_id, ["viewer"], ["read"],
    )  # fmt: skip


def test_what_ended_is_no_longer_valid(ada: Caller):
    revoked, expired, rotated = ada.with_key(), ada.with_key(), ada.with_key()
    revoke_key(key=revoked.key, actor=SYSTEM)
    ApiKey.objects.filter(pk=expired.key.pk).update(expires_at=timezone.now())
    rotate_key(key=rotated.key, actor=SYSTEM, overlap=datetime.timedelta(0))
    for caller in (revoked, expired, rotated):
        for path in (VALIDATE, VALIDATE_KEY):
            assert refusal(ask(path, {"api_key": caller.secret})) == (401, "invalid_api_key", None)
    sign_out_everywhere(user=ada.user, actor=SYSTEM)
    assert refusal(ask(VALIDATE, {"token": ada.secret})) == (401, "invalid_token", None)
    User.objects.filter(pk=ada.user.pk).update(is_active=False)
    assert refusal(ask(VALIDATE, {"token": ada.with_key().secret})) == (401, "invalid_api_key", None)


@pytest.mark.parametrize("path", [VALIDATE, VALIDATE_KEY])
@pytest.mark.parametrize("secret", ["sk_", "sk_" + "0" * 38, "x", "a.b.c", "é" * 40, "' OR 1=1 --", "k" * 8192])
def test_nonsense_is_invalid(db: None, path: str, secret: str):
    status, code, _ = refusal(ask(path, {"api_key": secret}))
    assert (status, code in ("invalid_api_key", "invalid_token")) == (401, True)


def test_a_refresh_token_says_nothing(db: None):
    tokens = Client().post("/v1/auth/guest-login").json()
    assert refusal(ask(VALIDATE, {"token": tokens["refresh_token"]})) == (401, "invalid_token", None)


@pytest.mark.parametrize("path", [VALIDATE, VALIDATE_KEY])
@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"api_key": None}, "invalid_value"),
        ({"api_key": ""}, "invalid_value"),
        ({"api_key": ["sk_"]}, "invalid_value"),
        ({"api_key": {"a": 1}}, "invalid_value"),
        ({"api_key": True}, "invalid_value"),
        ({"api_key": "k" * 8193}, "invalid_value"),
        ({"key": "sk_"}, "unknown_parameter"),
        ([], "invalid_value"),
        (b'{"api_key": "a\\u0000"}', "invalid_json"),
        (b'{"api_key": "\\udc00"}', "invalid_json"),
        (b"\xff", "invalid_json"),
    ],
)
def test_a_wrong_body_is_refused(db: None, path: str, body: Any, code: str):
    assert refusal(ask(path, body))[:2] == (400, code)


def test_one_credential_at_a_time(ada: Caller):
    both = {"token": ada.secret, "api_key": ada.with_key().secret}
    assert refusal(ask(VALIDATE, both)) == (400, "invalid_value", "token")

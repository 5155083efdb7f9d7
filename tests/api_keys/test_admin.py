"""Keys in the operator's admin: rotated with the secret shown once, found by what they are."""

from __future__ import annotations

import datetime
import re
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.api_keys.models import WIDE, ApiKey
from apps.api_keys.services import CAN_HOLD, revoke_key
from apps.api_keys.tokens import PREFIXES, KeyKind
from apps.audit.models import AuditEvent
from apps.audit.services import SYSTEM
from apps.organizations.principal import CALLING
from apps.organizations.roles import READING, Role
from apps.projects.models import ServiceAccount
from tests.api_keys.conftest import Caller, join, sign_up

KEYS = "/admin/api_keys/apikey/"
SIGN_IN = "apps.accounts.backends.ProvenAddressBackend"
PASSWORD = "correct-horse-9"


@pytest.fixture
def operator(db: None) -> Client:
    """Signed in by password just now, so that nothing asks again."""
    cache.clear()
    user = User.objects.create_superuser("op@example.com", PASSWORD, name="Operator")
    user.emailaddress_set.create(email=user.email, verified=True, primary=True)
    client = Client()
    signed_in = client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    assert signed_in.status_code == 302
    return client


def address(key: ApiKey, page: str) -> str:
    return f"{KEYS}{key.pk}/{page}/"


def for_token(token: str) -> ApiKey | None:
    return ApiKey.objects.get_queryset().for_token(token)


@pytest.mark.parametrize("seconds", [0, 3600, 86_400, 604_800])
def test_a_new_secret_is_shown_once(operator: Client, ada: Caller, seconds: int):
    caller = ada.with_key()
    url = next(
        iter(re.findall(r'href="([^"]+/rotate/)"', operator.get(address(caller.key, "change")).content.decode()))
    )
    asked = operator.get(url).content.decode()
    assert "Make a new secret" in asked
    assert for_token(caller.secret) == caller.key
    page = operator.post(url, {"overlap": seconds})
    [token] = re.findall(r"sk_\w+", page.content.decode())
    assert (page.status_code, "no-store" in page["Cache-Control"], for_token(token)) == (200, True, caller.key)
    assert (for_token(caller.secret) is None) is (seconds == 0)
    for again in (KEYS, address(caller.key, "change"), address(caller.key, "history")):
        assert token not in operator.get(again).content.decode()
    event = AuditEvent.objects.get(action="api_key.rotated")
    assert (event.actor_label, event.target_id, event.details) == (
        "op@example.com", caller.key.public_id, {"overlap_seconds": seconds},
    )  # fmt: skip


def test_an_operator_who_signed_in_long_ago_is_asked_who_it_is(ada: Caller, settings: Any):
    user = User.objects.create_superuser("op@example.com", PASSWORD)
    client = Client()
    client.force_login(user, backend=SIGN_IN)
    caller = ada.with_key()
    answer = client.post(f"{KEYS}{caller.key.pk}/rotate/", {"overlap": 0})
    assert (answer.status_code, answer.url.partition("?")[0]) == (302, "/accounts/reauthenticate/")
    assert for_token(caller.secret) == caller.key


@pytest.mark.parametrize("overlap", ["", "x", "5", "-1", "99999999999999999999"])
def test_an_overlap_that_is_not_offered_rotates_nothing(operator: Client, ada: Caller, overlap: str):
    caller = ada.with_key()
    before = ApiKey.objects.values().get()
    page = operator.post(f"{KEYS}{caller.key.pk}/rotate/", {"overlap": overlap})
    assert (page.status_code, "overlap" in page.context["form"].errors) == (200, True)
    assert ApiKey.objects.values().get() == before


def test_an_ended_key_is_not_rotated(operator: Client, ada: Caller):
    caller = ada.with_key()
    revoke_key(key=caller.key, actor=SYSTEM)
    page = operator.post(f"{KEYS}{caller.key.pk}/rotate/", {"overlap": 0})
    assert "was revoked" in page.content.decode()
    assert not AuditEvent.objects.filter(action="api_key.rotated").exists()


@pytest.mark.parametrize("number", [1, 2])
def test_the_list_leads_to_the_page_one_key_at_a_time(operator: Client, ada: Caller, number: int):
    keys = [ada.with_key().key for _ in range(number)]
    answer = operator.post(KEYS, {"action": "rotate", "_selected_action": [key.pk for key in keys]})
    assert answer.status_code == 302
    assert answer.url == (f"{KEYS}{keys[0].pk}/rotate/" if number == 1 else KEYS)


def test_a_person_rotates_nothing_here(ada: Caller):
    caller, client = ada.with_key(), Client()
    client.force_login(ada.user, backend=SIGN_IN)
    answer = client.post(f"{KEYS}{caller.key.pk}/rotate/", {"overlap": 0})
    assert (answer.status_code, answer.url.partition("?")[0]) == (302, "/admin/login/")
    assert for_token(caller.secret) == caller.key


def test_what_operators_do_to_keys_is_audited(operator: Client, ada: Caller):
    project = ada.project
    form = {"kind": "user", "name": "Made", "project": project.pk, "user": ada.user.pk, "scopes": ["inference"]}
    assert operator.post(f"{KEYS}add/", form).status_code == 200
    key = ApiKey.objects.get(name="Made")
    operator.post(KEYS, {"action": "revoke", "_selected_action": [key.pk]})
    events = AuditEvent.objects.filter(target_id=key.public_id).order_by("id")
    assert [(event.action, event.actor_label) for event in events] == [
        ("api_key.created", "op@example.com"),
        ("api_key.deleted", "op@example.com"),
    ]


def new_key(ada: Caller, kind: KeyKind, /, **changes: Any) -> dict[str, Any]:
    """The form for a key of a kind, with what that kind needs."""
    form = {"kind": kind.value, "name": "Made", "description": "d", "user": ada.user.pk}
    if kind in WIDE:
        return {**form, "organization": ada.organization.pk, **changes}
    if kind is KeyKind.SERVICE_ACCOUNT:
        account = ServiceAccount.objects.create(organization=ada.organization, project=ada.project, name="robot")
        return {**form, "user": "", "service_account": account.pk, **changes}
    return {**form, "project": ada.project.pk, **changes}


@pytest.mark.parametrize("kind", list(KeyKind))
def test_an_operator_makes_keys_of_every_kind(operator: Client, ada: Caller, kind: KeyKind):
    form = new_key(ada, kind, allowed_addresses="192.0.2.7\r\n10.0.0.0/8", allowed_models="b\na")
    page = operator.post(f"{KEYS}add/", form)
    key = ApiKey.objects.get()
    [token] = set(re.findall(PREFIXES[kind] + r"\w{38}", page.content.decode()))
    assert (page.status_code, for_token(token), key.kind, key.description) == (200, key, kind, "d")
    assert (key.organization, key.project) == (ada.organization, None if kind in WIDE else ada.project)
    assert (key.user is None) is (key.service_account is not None) is (kind is KeyKind.SERVICE_ACCOUNT)
    assert (key.rights, key.allowed_addresses, key.allowed_models) == (
        CAN_HOLD[kind], ["10.0.0.0/8", "192.0.2.7"], ["a", "b"],
    )  # fmt: skip
    assert (key.expires_at is not None) is (kind is KeyKind.EPHEMERAL)
    assert AuditEvent.objects.get(target_id=key.public_id).actor_label == "op@example.com"
    rotated = operator.post(f"{KEYS}{key.pk}/rotate/", {"overlap": 0}).content.decode()
    [newer] = set(re.findall(PREFIXES[kind] + r"\w{38}", rotated))
    assert (for_token(token), for_token(newer)) == (None, key)
    operator.post(KEYS, {"action": "revoke", "_selected_action": [key.pk]})
    assert for_token(newer) is None


@pytest.mark.parametrize(
    ("kind", "changes", "field"),
    [
        (KeyKind.ADMIN, {"organization": ""}, "organization"),
        (KeyKind.ORGANIZATION, {"project": "its"}, "project"),
        (KeyKind.ADMIN, {"user": ""}, "user"),
        (KeyKind.PROJECT, {"project": ""}, "project"),
        (KeyKind.PROJECT, {"organization": "its"}, "organization"),
        (KeyKind.PROJECT, {"user": ""}, "user"),
        (KeyKind.SERVICE_ACCOUNT, {"service_account": ""}, "service_account"),
        (KeyKind.SERVICE_ACCOUNT, {"project": "its"}, "project"),
        (KeyKind.PROJECT, {"scopes": ["projects.write"]}, "scopes"),
        (KeyKind.EPHEMERAL, {"expires_at_0": "2030-01-01", "expires_at_1": "00:00"}, "expires_at"),
        (KeyKind.USER, {"allowed_addresses": "10.0.0.5/8"}, "allowed_addresses"),
        (KeyKind.USER, {"allowed_addresses": "192.0.2.7 " * 101}, "allowed_addresses"),
        (KeyKind.USER, {"kind": "odd"}, "kind"),
        (KeyKind.USER, {"user": "eve"}, "user"),
    ],
)
def test_a_form_that_fits_no_key_makes_none(
    operator: Client, ada: Caller, eve: Caller, kind: KeyKind, changes: dict[str, Any], field: str
):
    theirs = {"organization": ada.organization.pk, "project": ada.project.pk}
    meant = {name: theirs[name] if value == "its" else value for name, value in changes.items()}
    if meant.get("user") == "eve":
        meant["user"] = eve.user.pk
    page = operator.post(f"{KEYS}add/", new_key(ada, kind, **meant))
    assert (page.status_code, list(page.context["adminform"].errors)) == (200, [field])
    assert (ApiKey.objects.count(), AuditEvent.objects.filter(action="api_key.created").count()) == (0, 0)


def test_a_kind_that_its_owner_could_not_use_is_not_made(operator: Client, ada: Caller):
    bob = sign_up("bob@example.com")
    join(bob.user, ada.organization, Role.VIEWER)
    page = operator.post(f"{KEYS}add/", new_key(ada, KeyKind.EPHEMERAL, user=bob.user.pk, scopes=["inference"]))
    assert list(page.context["adminform"].errors) == ["scopes"]
    assert ApiKey.objects.count() == 0


def test_one_key_too_many_is_said_and_not_made(operator: Client, ada: Caller, settings: Any):
    settings.MAX_KEYS_PER_USER = 1
    ada.with_key()
    form = {"kind": "user", "name": "more", "project": ada.project.pk, "user": ada.user.pk, "scopes": ["inference"]}
    answer = operator.post(f"{KEYS}add/", form, follow=True)
    assert "at most 1 API keys" in answer.content.decode()
    assert ApiKey.objects.count() == 1


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, {"writer", "reader", "machine", "expired", "revoked", "governor"}),
        ({"kind__exact": "admin"}, {"governor"}),
        ({"kind__exact": "user"}, {"writer", "reader", "expired", "revoked"}),
        ({"kind__exact": "project"}, {"machine"}),
        ({"permissions": "read"}, {"reader"}),
        ({"permissions": "write"}, {"writer", "machine", "expired", "revoked"}),
        ({"permissions": "admin"}, {"governor"}),
        ({"permissions": "odd"}, {"writer", "reader", "machine", "expired", "revoked", "governor"}),
        ({"state": "active"}, {"writer", "reader", "machine", "governor"}),
        ({"state": "expired"}, {"expired"}),
        ({"state": "revoked"}, {"revoked"}),
        ({"used": "day"}, {"reader"}),
        ({"used": "month"}, {"reader", "machine"}),
        ({"used": "before"}, {"expired"}),
        ({"used": "never"}, {"writer", "revoked", "governor"}),
        ({"used": "odd"}, {"writer", "reader", "machine", "expired", "revoked", "governor"}),
        ({"state": "active", "permissions": "write", "kind__exact": "user", "used": "never"}, {"writer"}),
    ],
)
def test_keys_are_found_by_what_they_are(operator: Client, ada: Caller, query: dict[str, str], found: set[str]):
    ada.with_key(name="writer")
    reader = ada.with_key(name="reader", scopes=CALLING & READING).key
    machine = ada.with_key(name="machine", kind=KeyKind.PROJECT).key
    expired = ada.with_key(name="expired").key
    ada.with_key(name="governor", kind=KeyKind.ADMIN)
    revoke_key(key=ada.with_key(name="revoked").key, actor=SYSTEM)
    ApiKey.objects.filter(pk=expired.pk).update(expires_at=timezone.now() - datetime.timedelta(days=1))
    for key, days in ((reader, 0), (machine, 7), (expired, 70)):
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=timezone.now() - datetime.timedelta(days=days))
    answer = operator.get(KEYS, query)
    assert answer.status_code == 200
    assert {key.name for key in answer.context["cl"].result_list} == found

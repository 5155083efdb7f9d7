"""Admin keys, organization keys and project keys over the API: made, read, changed, rotated, deleted."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.utils import timezone

from apps.api_keys.models import ApiKey
from apps.api_keys.services import CAN_HOLD
from apps.api_keys.tokens import PREFIXES, KeyKind, is_well_formed
from apps.audit.models import AuditEvent
from apps.core.ids import new_id
from apps.organizations.models import Membership
from apps.organizations.principal import CALLING, TALKING
from apps.organizations.roles import ALL, PERMISSION_SCOPES, READING, Permission, ProjectRole, Role, Scope
from apps.projects.models import Project, ProjectMembership
from tests.api_keys.conftest import Caller, join, sign_up
from tests.api_keys.test_personal_keys import STRANGE_IDS, refusal

ADMIN, ORGANIZATION, PROJECT = KeyKind.ADMIN, KeyKind.ORGANIZATION, KeyKind.PROJECT
MANAGED = [ADMIN, ORGANIZATION, PROJECT]
OBJECTS = {
    ADMIN: "organization.admin_api_key",
    ORGANIZATION: "organization.api_key",
    PROJECT: "organization.project.api_key",
}
FIELDS = {
    "id", "object", "kind", "name", "description", "redacted_value", "permissions", "scopes", "is_active", "status",
    "allowed_addresses", "allowed_models", "created_at", "expires_at", "last_used_at", "last_used",
    "previous_expires_at", "owner",
}  # fmt: skip
EACH_KIND = pytest.mark.parametrize("kind", MANAGED)


def path_of(kind: KeyKind, caller: Caller, *, by_id: bool = False) -> str:
    """Where the keys of a kind are, of the caller's own organization."""
    start = f"/v1/organization/{caller.organization.public_id}" if by_id else "/v1/organization"
    ends = {ADMIN: "admin_api_keys", ORGANIZATION: "api_keys"}
    return f"{start}/{ends.get(kind) or f'projects/{caller.project.public_id}/api_keys'}"


def state() -> list[Any]:
    """Everything about keys that a refusal must leave as it is."""
    return [list(ApiKey.objects.order_by("id").values()), AuditEvent.objects.count()]


@EACH_KIND
@pytest.mark.parametrize("by_id", [False, True])
def test_a_key_lives_from_its_making_to_its_end(ada: Caller, kind: KeyKind, by_id: bool):
    path = path_of(kind, ada, by_id=by_id)
    answer = ada.call("POST", path, {"name": "CI", "description": "builds"})
    made = answer.json()
    secret, same = made.pop("value"), made.pop("key")
    extra = {"project_id", "owner_project_access"} if kind is PROJECT else set()
    assert (answer.status_code, set(made)) == (200, FIELDS | extra)
    assert (secret == same, is_well_formed(secret), secret.startswith(PREFIXES[kind])) == (True, True, True)
    assert (made["object"], made["kind"], made["name"], made["description"]) == (OBJECTS[kind], kind, "CI", "builds")
    assert made["redacted_value"] == f"{PREFIXES[kind]}…{secret[-4:]}"
    assert (made["is_active"], made["status"], made["expires_at"], made["last_used"]) == (True, "active", None, None)
    assert set(made["scopes"]) == CAN_HOLD[kind]
    assert made["permissions"] == (["read", "write", "admin"] if kind is ADMIN else ["read", "write"])
    assert made["created_at"] == int(ApiKey.objects.get().created_at.timestamp())
    assert ada.call("GET", f"{path}/{made['id']}").json() == made
    listed = ada.call("GET", path).json()
    assert (listed["api_keys"], listed["data"], listed["total"], listed["limit"], listed["offset"]) == (
        [made], [made], 1, 20, 0,
    )  # fmt: skip
    answer = ada.call("DELETE", f"{path}/{made['id']}")
    assert (answer.status_code, answer.json()) == (
        200, {"id": made["id"], "object": f"{OBJECTS[kind]}.deleted", "deleted": True},
    )  # fmt: skip
    for gone in (ada.call("GET", f"{path}/{made['id']}"), ada.call("DELETE", f"{path}/{made['id']}")):
        assert refusal(gone) == (404, "api_key_not_found", None)
    assert ada.call("GET", path).json()["data"] == []
    assert refusal(Caller(ada.user, secret).call("GET", "/v1/auth/me")) == (401, "invalid_api_key", None)
    assert ApiKey.objects.get().status == "revoked"


@EACH_KIND
def test_a_deletion_may_be_answered_with_nothing(ada: Caller, kind: KeyKind):
    path = path_of(kind, ada)
    made = ada.call("POST", path, {"name": "k"}).json()
    answer = ada.call("DELETE", f"{path}/{made['id']}", Prefer="return=minimal")
    assert (answer.status_code, answer.content) == (204, b"")


@EACH_KIND
def test_times_are_numbers_or_iso(ada: Caller, kind: KeyKind):
    path = path_of(kind, ada)
    made = ada.call("POST", path, {"name": "k", "expires_at": "2030-12-31T23:59:59Z"}).json()
    used = timezone.now().replace(microsecond=0)
    ApiKey.objects.update(last_used_at=used)
    first = ada.call("GET", f"{path}/{made['id']}").json()
    assert (first["expires_at"], first["last_used_at"]) == (1924991999, int(used.timestamp()))
    assert first["last_used"] == used.strftime("%Y-%m-%dT%H:%M:%SZ")
    [row] = ada.call("GET", f"{path}?timestamps=iso").json()["api_keys"]
    assert (row["expires_at"], row["last_used_at"]) == ("2030-12-31T23:59:59Z", first["last_used"])
    owner = row["owner"]["user"] if kind is PROJECT else row["owner"]
    assert owner["created_at"] == ada.user.created_at.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize("kind", [ADMIN, ORGANIZATION])
def test_the_owner_is_named_with_its_role(ada: Caller, kind: KeyKind):
    boss = sign_up("boss@example.com", name="Boss")
    join(boss.user, ada.organization, Role.ADMIN)
    path = path_of(kind, ada)
    ada.call("POST", path, {"name": "hers"})
    boss.call("POST", path, {"name": "his"}, OpenAI_Organization=ada.organization.public_id)
    rows = {row["name"]: row["owner"] for row in ada.call("GET", path).json()["data"]}
    assert rows == {
        name: {
            "type": "user", "object": "organization.user", "id": user.pk, "name": user.name, "role": role,
            "created_at": int(user.created_at.timestamp()),
        }
        for name, user, role in (("hers", ada.user, "owner"), ("his", boss.user, "admin"))
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "scopes", "words"),
    [
        ({"permissions": ["read"]}, READING, ["read"]),
        ({"permissions": ["write"]}, PERMISSION_SCOPES[Permission.WRITE], ["read", "write"]),
        ({"permissions": ["admin", "read", "write"]}, ALL, ["read", "write", "admin"]),
        ({"scopes": ["projects.read", "inference"]}, {Scope.PROJECTS_READ, Scope.INFERENCE}, ["read", "write"]),
        ({}, ALL, ["read", "write", "admin"]),
    ],
)
def test_an_admin_key_has_what_was_asked_for(ada: Caller, body: dict[str, Any], scopes: Any, words: list[str]):
    made = ada.call("POST", path_of(ADMIN, ada), {"name": "k", **body}).json()
    assert (set(made["scopes"]), made["permissions"]) == (set(scopes), words)


def test_an_admin_cannot_give_what_an_owner_has(ada: Caller):
    boss = sign_up("boss@example.com")
    join(boss.user, ada.organization, Role.ADMIN)
    here = {"OpenAI_Organization": ada.organization.public_id}
    path = path_of(ADMIN, ada)
    made = boss.call("POST", path, {"name": "k"}, **here).json()
    assert set(made["scopes"]) == ALL - {Scope.ORGANIZATION_DELETE}
    before = state()
    for body in ({"scopes": ["organization.delete"]}, {"scopes": [scope.value for scope in Scope]}):
        assert refusal(boss.call("POST", path, {"name": "k", **body}, **here)) == (
            403, "insufficient_permissions", "scopes",
        )  # fmt: skip
    assert state() == before
    words = boss.call("POST", path, {"name": "k", "permissions": ["admin"]}, **here).json()["scopes"]
    assert set(words) == ALL - {Scope.ORGANIZATION_DELETE}


def test_an_admin_changes_no_key_that_can_more_but_may_end_it(ada: Caller):
    boss = sign_up("boss@example.com")
    join(boss.user, ada.organization, Role.ADMIN)
    here, path = {"OpenAI_Organization": ada.organization.public_id}, path_of(ADMIN, ada)
    hers = ada.with_key(kind=ADMIN).key
    before = state()
    for tail, body in (("", {"name": "mine now"}), ("", {"scopes": ["projects.read"]}), ("/rotate", {})):
        answer = boss.call("POST", f"{path}/{hers.public_id}{tail}", body, **here)
        assert refusal(answer) == (403, "insufficient_permissions", "scopes")
    assert state() == before
    assert boss.call("DELETE", f"{path}/{hers.public_id}", **here).status_code == 200


@EACH_KIND
def test_nobody_keeps_the_secret_of_somebody_elses_key(ada: Caller, kind: KeyKind):
    """It would work on when who rotated it has lost its place."""
    bob = sign_up("bob@example.com")
    place = join(bob.user, ada.organization, Role.MEMBER if kind is PROJECT else Role.ADMIN)
    hers = ada.with_key(kind=kind, scopes={Scope.API_KEYS_READ})
    path, here = path_of(kind, ada, by_id=True), {"OpenAI_Organization": ada.organization.public_id}
    paths = [path, *(["/v1/auth/api-keys"] if kind is PROJECT else [])]
    before = state()
    for one in paths:
        answer = bob.call("POST", f"{one}/{hers.key.public_id}/rotate", {}, **here)
        assert refusal(answer) == (403, "not_your_key", None)
    assert state() == before
    own = bob.call("POST", path, {"name": "k"}).json()
    assert bob.call("POST", f"{path}/{own['id']}/rotate", {}).status_code == 200
    Membership.objects.filter(pk=place.pk).update(role=Role.ADMIN)
    answer = bob.call("POST", f"{path}/{hers.key.public_id}/rotate", {})
    assert answer.status_code == (200 if kind is PROJECT else 403)


@EACH_KIND
def test_an_admin_key_manages_keys_within_itself(ada: Caller, kind: KeyKind):
    path = path_of(kind, ada)
    admin = ada.with_key(kind=ADMIN, scopes={Scope.ADMIN_KEYS_WRITE, Scope.API_KEYS_WRITE, Scope.MODELS_READ})
    made = admin.call("POST", path, {"name": "k"}).json()
    assert set(made["scopes"]) == admin.key.rights & CAN_HOLD[kind]
    before = state()
    answer = admin.call("POST", path, {"name": "k", "scopes": ["inference"]})
    assert refusal(answer) == (403, "insufficient_permissions", "scopes")
    assert state() == before


@EACH_KIND
def test_an_admin_key_hands_on_calling_models_which_it_cannot(ada: Caller, kind: KeyKind):
    admin = ada.with_key(kind=ADMIN)
    made = admin.call("POST", path_of(kind, ada), {"name": "k", "scopes": ["inference"]}).json()
    assert (made["scopes"], ApiKey.objects.get(public_id=made["id"]).user) == (["inference"], ada.user)


@EACH_KIND
@pytest.mark.parametrize("verb", ["POST", "PATCH"])
def test_a_key_is_changed_and_the_log_says_how(ada: Caller, kind: KeyKind, verb: str):
    path = path_of(kind, ada)
    made = ada.call("POST", path, {"name": "old", "permissions": ["read"]}).json()
    ends = timezone.now().replace(microsecond=0) + datetime.timedelta(days=9)
    body = {
        "name": "new", "description": "d", "scopes": ["models.read"], "expires_at": ends.isoformat(),
        "allowed_addresses": ["192.0.2.0/24"], "allowed_models": ["m"],
    }  # fmt: skip
    answer = ada.call(verb, f"{path}/{made['id']}", body)
    expected = {
        **{name: value for name, value in made.items() if name not in ("value", "key")}, **body,
        "permissions": ["read"], "expires_at": int(ends.timestamp()),
    }  # fmt: skip
    assert (answer.status_code, answer.json()) == (200, expected)
    event = AuditEvent.objects.get(action="api_key.updated")
    assert (event.actor_id, event.target_id, event.details) == (
        ada.user.pk, made["id"],
        {
            "name": ["old", "new"], "description": ["", "d"], "scopes": [made["scopes"], ["models.read"]],
            "expires_at": [None, ends.isoformat()], "allowed_addresses": [[], ["192.0.2.0/24"]],
            "allowed_models": [None, ["m"]],
        },
    )  # fmt: skip
    assert event.project == (ada.project.public_id if kind is PROJECT else "")
    again = ada.call(verb, f"{path}/{made['id']}", body)
    assert (again.json(), AuditEvent.objects.filter(action="api_key.updated").count()) == (expected, 1)
    opened = ada.call(
        verb,
        f"{path}/{made['id']}",
        {"scopes": [], "expires_at": None, "allowed_addresses": [], "allowed_models": None},
    ).json()
    assert (set(opened["scopes"]), opened["expires_at"], opened["allowed_addresses"], opened["allowed_models"]) == (
        CAN_HOLD[kind], None, [], None,
    )  # fmt: skip


@EACH_KIND
def test_a_length_of_life_counts_from_the_change(ada: Caller, kind: KeyKind):
    path = path_of(kind, ada)
    made = ada.call("POST", path, {"name": "k", "expires_in_seconds": 60}).json()
    assert 0 <= made["expires_at"] - made["created_at"] - 60 <= 2
    changed = ada.call("POST", f"{path}/{made['id']}", {"expires_in_seconds": 3600}).json()
    assert 3600 - 60 <= changed["expires_at"] - made["expires_at"] < 3600
    days = ada.call("POST", path, {"name": "k", "expires_in_days": 1}).json()
    assert 0 <= days["expires_at"] - days["created_at"] - 86400 <= 2


@EACH_KIND
def test_an_ended_key_is_not_changed_nor_rotated(ada: Caller, kind: KeyKind):
    path = path_of(kind, ada)
    made = ada.call("POST", path, {"name": "k", "expires_in_seconds": 60}).json()
    ApiKey.objects.update(expires_at=timezone.now())
    shown = ada.call("GET", f"{path}/{made['id']}").json()
    assert (shown["is_active"], shown["status"]) == (False, "expired")
    before = state()
    assert refusal(ada.call("POST", f"{path}/{made['id']}", {"name": "x"})) == (409, "api_key_ended", None)
    assert refusal(ada.call("POST", f"{path}/{made['id']}/rotate"))[:2] == (409, "api_key_not_rotatable")
    assert state() == before


@EACH_KIND
@pytest.mark.parametrize("seconds", [None, 0, 3600])
def test_a_key_is_rotated_with_an_overlap(ada: Caller, kind: KeyKind, seconds: int | None):
    path = path_of(kind, ada)
    made = ada.call("POST", path, {"name": "k"}).json()
    body = {} if seconds is None else {"overlap_seconds": seconds}
    rotated = ada.call("POST", f"{path}/{made['id']}/rotate", body).json()
    assert (rotated["id"], rotated["value"] == rotated["key"] != made["value"]) == (made["id"], True)
    old, new = (Caller(ada.user, secret).call("GET", "/v1/auth/me") for secret in (made["key"], rotated["key"]))
    assert (old.status_code, new.status_code) == (401 if seconds == 0 else 200, 200)
    if seconds == 0:
        assert rotated["previous_expires_at"] is None
    else:
        assert abs(rotated["previous_expires_at"] - timezone.now().timestamp() - (seconds or 86400)) < 5


WRONG: list[tuple[dict[str, Any], str, str | None]] = [
    ({"name": ""}, "invalid_value", "name"),
    ({"name": None}, "invalid_value", "name"),
    ({"name": ["k"]}, "invalid_value", "name"),
    ({"name": "k" * 129}, "invalid_value", "name"),
    ({"user_id": "user_1"}, "unknown_parameter", "user_id"),
    ({"kind": "admin"}, "unknown_parameter", "kind"),
    ({"description": "d" * 1025}, "invalid_value", "description"),
    ({"description": ["d"]}, "invalid_value", "description"),
    ({"permissions": []}, "invalid_value", "permissions"),
    ({"permissions": "admin"}, "invalid_value", "permissions"),
    ({"permissions": ["owner"]}, "invalid_value", "permissions"),
    ({"permissions": ["read"] * 4}, "invalid_value", "permissions"),
    ({"permissions": ["read"], "scopes": ["models.read"]}, "invalid_value", "scopes"),
    ({"scopes": ["*"]}, "invalid_value", "scopes"),
    ({"scopes": None}, "invalid_value", "scopes"),
    ({"scopes": "models.read"}, "invalid_value", "scopes"),
    ({"scopes": ["models.read"] * 1000}, "invalid_value", "scopes"),
    ({"expires_at": "2020-01-01T00:00:00Z"}, "invalid_value", "expires_at"),
    ({"expires_at": "9999-12-31T23:59:59-14:00"}, "invalid_value", "expires_at"),
    ({"expires_at": 1_900_000_000}, "invalid_value", "expires_at"),
    ({"expires_in_seconds": 0}, "invalid_value", "expires_in_seconds"),
    ({"expires_in_seconds": 10**30}, "invalid_value", "expires_in_seconds"),
    ({"expires_in_seconds": "soon"}, "invalid_value", "expires_in_seconds"),
    ({"expires_in_seconds": 60, "expires_in_days": 1}, "invalid_value", "expires_in_seconds"),
    ({"expires_in_seconds": 60, "expires_at": "2030-01-01T00:00:00Z"}, "invalid_value", "expires_in_seconds"),
    ({"allowed_addresses": ["nowhere"]}, "invalid_value", "allowed_addresses"),
    ({"allowed_models": []}, "invalid_value", "allowed_models"),
    ({"allowed_models": [""]}, "invalid_value", "allowed_models"),
    ({"allowed_models": ["m" * 256]}, "invalid_value", "allowed_models"),
    ({"allowed_models": "m"}, "invalid_value", "allowed_models"),
    ({"allowed_models": [{"m": 1}]}, "invalid_value", "allowed_models"),
    ({"allowed_models": [str(number) for number in range(101)]}, "invalid_value", "allowed_models"),
]


@EACH_KIND
@pytest.mark.parametrize("change", [False, True])
@pytest.mark.parametrize(("fields", "code", "param"), WRONG)
def test_a_wrong_body_is_refused_and_changes_nothing(
    ada: Caller, kind: KeyKind, change: bool, fields: dict[str, Any], code: str, param: str | None
):
    path = path_of(kind, ada)
    if change:
        path += f"/{ada.with_key(kind=kind).key.public_id}"
    before = state()
    status, got, where = refusal(ada.call("POST", path, fields if change else {"name": "k", **fields}))
    assert (status, got, (where or "").partition(".")[0].partition("[")[0]) == (400, code, param)
    assert state() == before


@EACH_KIND
@pytest.mark.parametrize("body", [[], "x", 1, b"{", b'{"name": "\\ud800"}', b'{"name": "a\\u0000"}', b"\xff"])
@pytest.mark.parametrize("tail", ["", "/{id}", "/{id}/rotate"])
def test_what_is_no_body_is_refused(ada: Caller, kind: KeyKind, body: Any, tail: str):
    key = ada.with_key(kind=kind).key
    before = state()
    answer = ada.call("POST", path_of(kind, ada) + tail.format(id=key.public_id), body)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
    assert state() == before


@EACH_KIND
def test_a_name_is_needed_and_admin_is_for_admin_keys(ada: Caller, kind: KeyKind):
    path = path_of(kind, ada)
    assert refusal(ada.call("POST", path)) == (400, "missing_required_parameter", "name")
    assert refusal(ada.call("POST", path, {"name": "k", "scopes": []})) == (400, "invalid_value", "scopes")
    if kind is not ADMIN:
        for body in ({"permissions": ["admin"]}, {"scopes": ["projects.write"]}):
            answer = ada.call("POST", path, {"name": "k", **body})
            assert refusal(answer) == (400, "invalid_value", next(iter(body)))
    assert ApiKey.objects.count() == 0


@EACH_KIND
@pytest.mark.parametrize("key_id", STRANGE_IDS)
@pytest.mark.parametrize(
    ("method", "tail"), [("GET", ""), ("POST", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/rotate")]
)
def test_a_strange_id_names_nothing(ada: Caller, kind: KeyKind, method: str, tail: str, key_id: str):
    assert ada.call(method, f"{path_of(kind, ada)}/{key_id}{tail}").status_code == 404


@EACH_KIND
@pytest.mark.parametrize(
    ("method", "tail"), [("GET", ""), ("POST", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/rotate")]
)
def test_a_strangers_key_is_like_none_at_all(ada: Caller, eve: Caller, kind: KeyKind, method: str, tail: str):
    hers = ada.with_key(kind=kind).key
    before = state()
    path = path_of(kind, eve)
    theirs, none = (eve.call(method, f"{path}/{key_id}{tail}", {}) for key_id in (hers.public_id, new_id("key")))
    assert (theirs.status_code, theirs.json()) == (none.status_code, none.json())
    assert refusal(theirs) == (404, "api_key_not_found", None)
    for path in {path_of(kind, ada, by_id=True), path_of(kind, ada) if kind is PROJECT else ""} - {""}:
        assert eve.call(method, f"{path}/{hers.public_id}{tail}", {}).status_code == 404
    assert state() == before


def test_keys_of_one_kind_are_not_found_as_another(ada: Caller):
    keys = {kind: ada.with_key(kind=kind).key for kind in KeyKind}
    shown = {ADMIN: {ADMIN}, ORGANIZATION: {ORGANIZATION}, PROJECT: {PROJECT, KeyKind.SERVICE_ACCOUNT}}
    for kind in MANAGED:
        path = path_of(kind, ada)
        assert {row["kind"] for row in ada.call("GET", path).json()["data"]} == shown[kind]
        found = {other for other, key in keys.items() if ada.call("GET", f"{path}/{key.public_id}").status_code == 200}
        assert found == shown[kind]


@pytest.mark.parametrize("role", [Role.MEMBER, Role.VIEWER])
@pytest.mark.parametrize("kind", [ADMIN, ORGANIZATION])
def test_members_have_nothing_to_do_with_an_organizations_keys(ada: Caller, kind: KeyKind, role: Role):
    bob = sign_up("bob@example.com")
    join(bob.user, ada.organization, role)
    key = ada.with_key(kind=kind).key
    before = state()
    path = path_of(kind, ada, by_id=True)
    one = f"{path}/{key.public_id}"
    calls = [("GET", path), ("POST", path), ("GET", one), ("POST", one), ("PATCH", one), ("DELETE", one)]
    for method, where in [*calls, ("POST", f"{one}/rotate")]:
        assert refusal(bob.call(method, where, {"name": "k"}))[:2] == (403, "insufficient_permissions")
    assert state() == before


def test_a_projects_people_have_its_keys_by_their_roles(ada: Caller):
    second = Project.objects.create(organization=ada.organization, name="second")
    people = {}
    for role in (None, ProjectRole.VIEWER, ProjectRole.MEMBER, ProjectRole.OWNER):
        bob = people[role] = sign_up(f"{role}@example.com")
        place = join(bob.user, ada.organization)
        if role is not None:
            ProjectMembership.objects.create(organization=ada.organization, project=second, membership=place, role=role)
    path = f"/v1/organization/{ada.organization.public_id}/projects/{second.public_id}/api_keys"
    key = ada.with_key(kind=PROJECT, project=second).key
    robot = ada.with_key(kind=KeyKind.SERVICE_ACCOUNT, project=second).key
    calls = {
        "list": ("GET", path, None),
        "make": ("POST", path, {"name": "k"}),
        "change": ("POST", f"{path}/{key.public_id}", {"name": "x"}),
        "change a service account's": ("POST", f"{path}/{robot.public_id}", {"name": "x"}),
        "rotate a service account's": ("POST", f"{path}/{robot.public_id}/rotate", {}),
    }
    outcomes = {role: [bob.call(*call).status_code for call in calls.values()] for role, bob in people.items()}
    assert outcomes == {
        None: [404, 404, 404, 404, 404],
        ProjectRole.VIEWER: [200, 403, 403, 403, 403],
        ProjectRole.MEMBER: [200, 200, 200, 403, 403],
        ProjectRole.OWNER: [200, 200, 200, 200, 200],
    }
    rights = people[ProjectRole.MEMBER].call("POST", path, {"name": "k"}).json()["scopes"]
    assert set(rights) == CALLING


@pytest.mark.parametrize("verb", ["POST", "PATCH", "DELETE", "rotate", "make"])
def test_an_archived_projects_keys_are_only_read(ada: Caller, verb: str):
    second = Project.objects.create(organization=ada.organization, name="second")
    key = ada.with_key(kind=PROJECT, project=second).key
    Project.objects.filter(pk=second.pk).update(archived_at=timezone.now())
    path = f"/v1/organization/projects/{second.public_id}/api_keys"
    one = f"{path}/{key.public_id}"
    assert ada.call("GET", one).json()["is_active"] is True
    before = state()
    method, where = {"rotate": ("POST", f"{one}/rotate"), "make": ("POST", path)}.get(verb, (verb, one))
    body = {"name": "k"} if verb == "make" else {}
    for caller in (ada, ada.with_key(kind=ADMIN)) if verb == "make" else (ada,):
        before = state()
        assert refusal(caller.call(method, where, body)) == (403, "project_archived", None)
        assert state() == before


def test_a_key_is_no_wider_than_its_holder_by_now(ada: Caller):
    boss = sign_up("boss@example.com")
    membership = join(boss.user, ada.organization, Role.ADMIN)
    place = {"OpenAI_Organization": ada.organization.public_id}
    keys = {kind: boss.call("POST", path_of(kind, ada), {"name": kind}, **place).json()["key"] for kind in MANAGED}
    callers = {kind: Caller(boss.user, secret) for kind, secret in keys.items()}

    def scopes(kind: KeyKind) -> tuple[set[str], set[str]]:
        me = callers[kind].call("GET", "/v1/auth/me").json()
        return set(me["scopes"]), set(me["organization_scopes"])

    assert scopes(ADMIN) == (ALL - TALKING - {Scope.ORGANIZATION_DELETE},) * 2
    assert (scopes(ORGANIZATION), scopes(PROJECT)) == ((CALLING, CALLING), (CALLING, set()))
    membership.role = Role.VIEWER
    membership.save()
    assert Scope.ADMIN_KEYS_WRITE not in scopes(ADMIN)[0] | scopes(ADMIN)[1]
    reading = {Scope.MODELS_READ, Scope.CONVERSATIONS_READ, Scope.API_KEYS_READ}
    assert (scopes(ORGANIZATION), scopes(PROJECT)) == ((reading, {Scope.MODELS_READ}), (reading, set()))
    assert refusal(callers[ADMIN].call("POST", path_of(ADMIN, ada), {"name": "k"}))[:2] == (
        403, "insufficient_permissions",
    )  # fmt: skip
    membership.delete()
    for caller in callers.values():
        assert refusal(caller.call("GET", "/v1/auth/me")) == (401, "invalid_api_key", None)


@EACH_KIND
def test_a_disabled_holders_keys_open_nothing(ada: Caller, kind: KeyKind):
    boss = sign_up("boss@example.com")
    join(boss.user, ada.organization, Role.OWNER)
    place = {"OpenAI_Organization": ada.organization.public_id}
    secret = boss.call("POST", path_of(kind, ada), {"name": "k"}, **place).json()["key"]
    boss.user.is_active = False
    boss.user.save()
    assert refusal(Caller(boss.user, secret).call("GET", "/v1/auth/me")) == (401, "invalid_api_key", None)
    [row] = ada.call("GET", path_of(kind, ada)).json()["data"]
    if kind is PROJECT:
        assert row["owner_project_access"] == "inactive"


@EACH_KIND
def test_a_key_lends_no_longer_than_it_lives(ada: Caller, kind: KeyKind):
    ends = timezone.now().replace(microsecond=0) + datetime.timedelta(days=2)
    admin, path = ada.with_key(kind=ADMIN, expires_at=ends), path_of(kind, ada)
    assert admin.call("POST", path, {"name": "k"}).json()["expires_at"] == int(ends.timestamp())
    endless = ada.with_key(kind=kind).key
    before = state()
    longer = [
        admin.call("POST", path, {"name": "k", "expires_in_days": 3}),
        admin.call("POST", f"{path}/{endless.public_id}", {"expires_in_days": 3}),
        admin.call("POST", f"{path}/{endless.public_id}/rotate"),
    ]
    assert [refusal(answer) for answer in longer] == [(403, "insufficient_permissions", "expires_at")] * 3
    assert state() == before
    assert admin.call("POST", f"{path}/{endless.public_id}", {"expires_in_days": 1}).status_code == 200


@EACH_KIND
def test_a_place_has_no_more_keys_than_its_limit(ada: Caller, settings: Any, kind: KeyKind):
    settings.MAX_KEYS_PER_ORGANIZATION = settings.MAX_KEYS_PER_PROJECT = 2
    path = path_of(kind, ada)
    ids = [ada.call("POST", path, {"name": "k"}).json()["id"] for _ in range(2)]
    answer = ada.call("POST", path, {"name": "k"})
    assert refusal(answer) == (409, "too_many_api_keys", None)
    assert (answer.json()["error"]["details"], ApiKey.objects.count()) == ({"limit": 2}, 2)
    ada.call("DELETE", f"{path}/{ids[0]}")
    assert ada.call("POST", path, {"name": "k"}).status_code == 200


@EACH_KIND
def test_a_list_asks_the_database_no_more_with_more_keys(
    ada: Caller, kind: KeyKind, django_assert_num_queries: Any, django_assert_max_num_queries: Any
):
    path = path_of(kind, ada)
    for _ in range(2):
        ada.with_key(kind=kind)
    with django_assert_max_num_queries(11) as counted:
        assert len(ada.call("GET", path).json()["data"]) == 2
    for _ in range(3):
        ada.with_key(kind=kind)
    with django_assert_num_queries(len(counted)):
        assert len(ada.call("GET", path).json()["data"]) == 5

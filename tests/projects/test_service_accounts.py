"""Service accounts: their key is shown once, has the account's rights, and ends with it."""

from __future__ import annotations

from typing import Any

import pytest

from apps.api_keys.authentication import Credentials, resolve
from apps.api_keys.models import ApiKey
from apps.audit.models import AuditEvent
from apps.core.errors import Unauthenticated
from apps.organizations.models import CustomRole, ResourceType
from apps.organizations.roles import Scope
from apps.projects.models import ProjectRoleAssignment, ServiceAccount
from tests.api_keys.conftest import Caller
from tests.projects.conftest import Acme, refused

KIND = "organization.project.service_account"


@pytest.fixture
def path(acme: Acme) -> str:
    return acme.path + "/service_accounts"


@pytest.fixture
def made(acme: Acme, path: str) -> Any:
    return acme.owner.call("POST", path, {"name": "jobs"}).json()


def rows(acme: Acme) -> Any:
    return (
        list(ServiceAccount.objects.filter(project=acme.project).order_by("pk").values()),
        list(ApiKey.objects.filter(project=acme.project).order_by("pk").values()),
    )


def events(acme: Acme) -> list[tuple[str, dict[str, Any]]]:
    found = AuditEvent.objects.filter(organization=acme.organization.public_id).order_by("pk")
    kinds = ("service_account", "api_key")
    return [(event.action, event.details) for event in found if event.target_kind in kinds]


@pytest.mark.parametrize("who", ["owner", "admin", "project_owner", "key"])
def test_an_account_comes_with_a_key_that_is_shown_once(acme: Acme, path: str, who: str):
    caller = acme.admin_key() if who == "key" else getattr(acme, who)
    answer = caller.call("POST", path, {"name": "jobs", "expires_in_seconds": 3600})
    assert answer.status_code == 200, answer.content
    account, key = ServiceAccount.objects.get(), ApiKey.objects.get(kind="service_account")
    secret = answer.json()["api_key"]["value"]
    assert key.expires_at is not None
    shown = {"id": account.public_id, "object": KIND, "name": "jobs", "role": "member",
             "created_at": int(account.created_at.timestamp())}  # fmt: skip
    assert answer.json() == {
        **shown,
        "api_key": {
            "id": key.public_id,
            "object": f"{KIND}.api_key",
            "name": "Secret Key",
            "created_at": int(key.created_at.timestamp()),
            "expires_at": int(key.expires_at.timestamp()),
            "value": secret,
            "key": secret,
        },
    }
    assert round((key.expires_at - key.created_at).total_seconds()) == 3600
    assert secret.startswith("jan_sa_")
    assert caller.call("GET", f"{path}/{account.public_id}").json() == shown
    assert caller.call("GET", path).json()["service_accounts"] == [shown]
    assert account.created_by == caller.user
    principal = resolve(Credentials(bearer=secret))
    assert (principal.user_id, principal.project_id) == (account.public_id, acme.project.pk)
    assert principal.scopes == {
        Scope.INFERENCE, Scope.MODELS_READ, Scope.CONVERSATIONS_READ, Scope.CONVERSATIONS_WRITE, Scope.API_KEYS_READ,
        Scope.API_KEYS_WRITE,
    }  # fmt: skip
    assert principal.organization_scopes == frozenset()
    assert secret not in str(list(AuditEvent.objects.values()))
    assert [action for action, _ in events(acme)[-2:]] == ["service_account.created", "api_key.created"]


def test_an_account_alone_has_no_key_and_no_role(acme: Acme, path: str):
    made = acme.owner.call("POST", path, {"name": "later", "create_service_account_only": True}).json()
    assert (made["role"], made["api_key"], ApiKey.objects.filter(kind="service_account").count()) == ("none", None, 0)
    key = acme.owner.call("POST", f"{path}/{made['id']}/api_keys", {}).json()
    assert refused(Caller(acme.owner.user, key["value"]).call("GET", "/v1/models"))[:2] == (
        403, "insufficient_permissions",
    )  # fmt: skip
    changed = acme.owner.call("POST", f"{path}/{made['id']}", {"role": "viewer", "name": "now"}).json()
    assert (changed["role"], changed["name"]) == ("viewer", "now")
    assert Caller(acme.owner.user, key["value"]).call("GET", "/v1/models").status_code == 200
    assert events(acme)[-1] == ("service_account.updated", {"name": ["later", "now"], "role": ["none", "viewer"]})


def test_further_keys(acme: Acme, path: str, made: Any):
    asked = {"name": "narrow", "scopes": ["models.read"], "expires_in_seconds": 60}
    key = acme.project_owner.call("POST", f"{path}/{made['id']}/api_keys", asked).json()
    assert (key["object"], key["name"], key["key"]) == (f"{KIND}.api_key", "narrow", key["value"])
    assert resolve(Credentials(bearer=key["value"])).scopes == {Scope.MODELS_READ}
    assert resolve(Credentials(bearer=made["api_key"]["value"])).scopes >= {Scope.INFERENCE, Scope.MODELS_READ}


def test_deleting_an_account_ends_its_keys(acme: Acme, path: str, made: Any):
    secret = made["api_key"]["value"]
    answer = acme.project_owner.call("DELETE", f"{path}/{made['id']}")
    assert (answer.status_code, answer.json()) == (
        200,
        {"id": made["id"], "object": f"{KIND}.deleted", "deleted": True},
    )
    with pytest.raises(Unauthenticated):
        resolve(Credentials(bearer=secret))
    assert refused(acme.owner.call("GET", f"{path}/{made['id']}"))[:2] == (404, "service_account_not_found")
    assert refused(acme.owner.call("DELETE", f"{path}/{made['id']}"))[:2] == (404, "service_account_not_found")
    assert acme.owner.call("GET", path).json()["total"] == 0
    assert [action for action, _ in events(acme)[-2:]] == ["api_key.deleted", "service_account.deleted"]
    account = ServiceAccount.objects.get(public_id=made["id"])
    assert (account.is_active, account.api_keys.filter(revoked_at=None).count()) == (False, 0)


def test_a_key_outlives_its_maker(acme: Acme, path: str):
    made = acme.project_owner.call("POST", path, {"name": "jobs"}).json()
    acme.membership(acme.project_owner).delete()
    assert resolve(Credentials(bearer=made["api_key"]["value"])).user_id == made["id"]


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, "missing_required_parameter", "name"),
        ({"name": ""}, "invalid_value", "name"),
        ({"name": "x", "role": "admin"}, "invalid_value", "role"),
        ({"name": "x", "odd": 1}, "unknown_parameter", "odd"),
        ({"name": "x", "expires_in_seconds": 0}, "invalid_value", "expires_in_seconds"),
        ({"name": "x", "expires_in_seconds": 10**12}, "invalid_value", "expires_in_seconds"),
        (
            {"name": "x", "expires_in_seconds": 60, "create_service_account_only": True},
            "invalid_value",
            "expires_in_seconds",
        ),
    ],
)
def test_wrong_bodies_make_nothing(acme: Acme, path: str, body: Any, code: str, param: str):
    before = rows(acme)
    assert refused(acme.owner.call("POST", path, body)) == (400, code, param)
    assert (rows(acme), events(acme)) == (before, [])


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ({"scopes": []}, (400, "invalid_value", "scopes")),
        ({"scopes": ["fly"]}, (400, "invalid_value", "scopes.0")),
        ({"scopes": ["members.write"]}, (400, "invalid_value", "scopes")),
        ({"name": "x" * 129}, (400, "invalid_value", "name")),
        ({"permissions": ["read"]}, (400, "unknown_parameter", "permissions")),
    ],
)
def test_wrong_keys_are_not_made(acme: Acme, path: str, made: Any, body: Any, outcome: Any):
    before = rows(acme)
    answer = acme.owner.call("POST", f"{path}/{made['id']}/api_keys", body)
    assert answer.status_code == outcome[0]
    assert refused(answer)[1] == outcome[1]
    assert rows(acme) == before


@pytest.mark.parametrize("who", ["member", "viewer"])
def test_readers_see_accounts_and_change_none(acme: Acme, path: str, made: Any, who: str):
    before, caller = rows(acme), getattr(acme, who)
    one = f"{path}/{made['id']}"
    assert caller.call("GET", one).json()["name"] == "jobs"
    for method, where, body in (
        ("POST", path, {"name": "x"}),
        ("POST", one, {"role": "owner"}),
        ("PATCH", one, {"role": "owner"}),
        ("DELETE", one, None),
        ("POST", one + "/api_keys", {}),
    ):
        assert refused(caller.call(method, where, body))[:2] == (403, "insufficient_permissions")
    assert rows(acme) == before


def test_nobody_makes_or_touches_an_account_of_more_rights(acme: Acme, path: str, made: Any):
    role = CustomRole.objects.create(
        organization=acme.organization, name="accounts", resource_type=ResourceType.PROJECT,
        permissions=[Scope.SERVICE_ACCOUNTS_READ, Scope.SERVICE_ACCOUNTS_WRITE, Scope.PROJECTS_READ],
    )  # fmt: skip
    ProjectRoleAssignment.objects.create(
        organization=acme.organization, project=acme.project, role=role, membership=acme.membership(acme.outsider)
    )
    before, one, caller = rows(acme), f"{path}/{made['id']}", acme.outsider
    for method, where, body in (
        ("POST", path, {"name": "x"}),
        ("POST", path, {"name": "x", "role": "owner"}),
        ("POST", path, {"name": "x", "role": "viewer"}),
        ("POST", one, {"name": "mine"}),
        ("PATCH", one, {"role": "none"}),
        ("DELETE", one, None),
        ("POST", one + "/api_keys", {}),
    ):
        assert refused(caller.call(method, where, body)) == (403, "insufficient_permissions", "role")
    assert rows(acme) == before


def test_a_key_made_by_a_limited_key_has_its_limits(acme: Acme, path: str):
    admin = acme.admin_key()
    assert admin.key is not None
    admin.key.allowed_models = ["small"]
    admin.key.save()
    made = admin.call("POST", path, {"name": "jobs"}).json()
    assert resolve(Credentials(bearer=made["api_key"]["value"])).allowed_models == {"small"}


def test_anothers_account_is_not_found(acme: Acme, path: str, made: Any):
    elsewhere = f"/v1/organization/projects/{acme.owner.project.public_id}/service_accounts/{made['id']}"
    before = rows(acme)
    said = []
    for where in (elsewhere, f"{path}/sa_unknown", f"{path}/%00", f"{path}/{'é' * 200}"):
        for method in ("GET", "DELETE"):
            answer = acme.owner.call(method, where)
            assert answer.status_code == 404
            said.append({**answer.json()["error"], "request_id": ""})
    assert all(each == said[0] for each in said)
    assert rows(acme) == before

"""Organizations: made, listed, read, changed, deleted, purged."""

from __future__ import annotations

import datetime

import pytest
from django.utils import timezone

from apps.api_keys.models import ApiKey
from apps.api_keys.tokens import KeyKind
from apps.audit.models import AuditEvent
from apps.organizations.models import Membership, Organization
from apps.organizations.roles import Role
from apps.organizations.services import purge_organizations
from apps.organizations.tasks import purge
from apps.projects.models import Project
from apps.usage.models import UsageRecord
from tests.api_keys.conftest import Caller, join
from tests.organizations.conftest import Team, refused

ROOT = "/v1/organization"
KEYS = {
    "id",
    "object",
    "name",
    "description",
    "domain",
    "settings",
    "is_personal",
    "role",
    "created_at",
    "updated_at",
}


def test_an_organization_comes_with_its_owner_and_a_default_project(ada: Caller):
    body = {"name": "Acme", "description": "For coyotes", "domain": "ACME.com", "settings": {"retention_days": 90}}
    answer = ada.call("POST", ROOT, body)
    made = answer.json()
    organization = Organization.objects.get(public_id=made["id"])
    assert (answer.status_code, set(made)) == (200, KEYS | {"members_count"})
    assert made == {
        "id": organization.public_id,
        "object": "organization",
        "name": "Acme",
        "description": "For coyotes",
        "domain": "acme.com",
        "settings": {"retention_days": 90},
        "is_personal": False,
        "role": "owner",
        "created_at": int(organization.created_at.timestamp()),
        "updated_at": int(organization.updated_at.timestamp()),
        "members_count": 1,
    }
    assert Membership.objects.get(organization=organization, user=ada.user).role == Role.OWNER
    assert Project.objects.get(organization=organization).is_default
    event = AuditEvent.objects.get(action="organization.created")
    assert (event.organization, event.actor_id, event.details["name"]) == (made["id"], ada.user.pk, "Acme")


def test_a_guest_is_told_to_upgrade_first(guest: Caller):
    before = Organization.objects.count()
    answer = guest.call("POST", ROOT, {"name": "Acme"})
    assert refused(answer) == (403, "guest_not_allowed")
    assert "upgrade" in answer.json()["error"]["message"].lower()
    assert Organization.objects.count() == before


@pytest.mark.parametrize("kind", [KeyKind.USER, KeyKind.PROJECT])
def test_a_key_makes_no_organization(ada: Caller, kind: KeyKind):
    before = Organization.objects.count()
    assert refused(ada.with_key(kind=kind).call("POST", ROOT, {"name": "Acme"})) == (403, "access_token_required")
    assert Organization.objects.count() == before


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, "missing_required_parameter", "name"),
        ({"name": ""}, "invalid_value", "name"),
        ({"name": "x" * 129}, "invalid_value", "name"),
        ({"name": "Acme", "color": "red"}, "unknown_parameter", "color"),
        ({"name": "Acme", "domain": "not a domain"}, "invalid_value", "domain"),
        ({"name": "Acme", "domain": "localhost"}, "invalid_value", "domain"),
        ({"name": "Acme", "settings": []}, "invalid_value", "settings"),
        ({"name": "Acme", "settings": {"color": "red"}}, "unknown_parameter", "settings.color"),
        ({"name": "Acme", "settings": {"retention_days": 0}}, "invalid_value", "settings.retention_days"),
        ({"name": "Acme", "settings": {"retention_days": 3651}}, "invalid_value", "settings.retention_days"),
        ({"name": "Acme", "settings": {"retention_days": True}}, "invalid_value", "settings.retention_days"),
        ({"name": "Acme", "settings": {"storage": "all"}}, "invalid_value", "settings.storage"),
        ({"name": "Acme", "settings": {"allowed_models": ["m"] * 1001}}, "invalid_value", "settings.allowed_models"),
        ({"name": "Acme", "settings": {"allowed_models": [1]}}, "invalid_value", "settings.allowed_models[0]"),
    ],
)
def test_a_wrong_body_is_refused_by_name(ada: Caller, body, code, param):
    before = Organization.objects.count()
    answer = ada.call("POST", ROOT, body)
    assert refused(answer) == (400, code)
    assert answer.json()["error"]["param"] == param
    assert Organization.objects.count() == before


def test_one_lists_the_organizations_one_belongs_to(ada: Caller, team: Team):
    join(ada.user, team.organization, Role.VIEWER)
    listed = ada.call("GET", ROOT).json()
    assert [(one["id"], one["role"]) for one in listed["organizations"]] == [
        (ada.organization.public_id, "owner"),
        (team.organization.public_id, "viewer"),
    ]
    assert listed["data"] == listed["organizations"]
    assert (listed["total"], listed["has_more"], listed["limit"], listed["offset"]) == (2, False, 20, 0)
    assert {frozenset(one) for one in listed["data"]} == {frozenset(KEYS)}


def test_a_key_sees_its_own_organization_only(ada: Caller, team: Team):
    join(ada.user, team.organization, Role.VIEWER)
    listed = ada.with_key(kind=KeyKind.PROJECT).call("GET", ROOT).json()
    assert [one["id"] for one in listed["data"]] == [ada.organization.public_id]
    # What a key may not read it is not told.
    assert "settings" not in listed["data"][0]


def test_times_are_iso_for_a_caller_that_asks(ada: Caller):
    one = ada.call("GET", f"{ROOT}?timestamps=iso").json()["data"][0]
    assert one["created_at"] == ada.organization.created_at.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize("role", ["owner", "admin", "member", "viewer"])
def test_every_member_reads_it(team: Team, role: str):
    read = getattr(team, role).call("GET", f"{ROOT}/{team.organization.public_id}").json()
    assert (read["role"], read["members_count"], read["settings"]) == (role, 4, {})


@pytest.mark.parametrize("method", ["PATCH", "POST"])
def test_it_is_changed(team: Team, method: str):
    path = f"{ROOT}/{team.organization.public_id}"
    team.admin.call(method, path, {"settings": {"retention_days": 30, "storage": "none"}})
    changed = team.admin.call(method, path, {"name": "Acme 2", "settings": {"storage": None}}).json()
    assert (changed["name"], changed["settings"], changed["role"]) == ("Acme 2", {"retention_days": 30}, "admin")
    event = AuditEvent.objects.filter(action="organization.updated").latest("id")
    assert event.details == {
        "name": ["Acme", "Acme 2"],
        "settings": [{"retention_days": 30, "storage": "none"}, {"retention_days": 30}],
    }
    team.admin.call(method, path, {"name": "Acme 2"})
    team.admin.call(method, path)
    assert AuditEvent.objects.filter(action="organization.updated").count() == 2


@pytest.mark.parametrize(("method", "body"), [("PATCH", {"name": "x"}), ("POST", {"name": "x"}), ("DELETE", None)])
@pytest.mark.parametrize("role", ["member", "viewer"])
def test_members_and_viewers_change_nothing(team: Team, role: str, method: str, body):
    answer = getattr(team, role).call(method, f"{ROOT}/{team.organization.public_id}", body)
    assert refused(answer) == (403, "insufficient_permissions")
    team.organization.refresh_from_db()
    assert (team.organization.name, team.organization.deleted_at) == ("Acme", None)


def test_an_admin_does_not_delete_it(team: Team):
    assert refused(team.admin.call("DELETE", f"{ROOT}/{team.organization.public_id}"))[0] == 403
    assert Organization.objects.present().filter(pk=team.organization.pk).exists()


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("PATCH", {"name": "x"}), ("DELETE", None)])
def test_a_strangers_organization_is_not_found(team: Team, strangers: Team, method: str, body):
    theirs = team.owner.call(method, f"{ROOT}/{strangers.organization.public_id}", body, OpenAI_Organization="")
    none = team.owner.call(method, f"{ROOT}/org_000000000000000000000000", body, OpenAI_Organization="")
    assert refused(theirs) == refused(none) == (404, "organization_not_found")
    strangers.organization.refresh_from_db()
    assert (strangers.organization.name, strangers.organization.deleted_at) == ("other-Acme", None)


def test_a_deleted_one_admits_nobody_and_no_key(team: Team):
    project = Project.objects.get(organization=team.organization, is_default=True)
    key = team.owner.with_key(kind=KeyKind.PROJECT, project=project)
    path = f"{ROOT}/{team.organization.public_id}"
    answer = team.owner.call("DELETE", path)
    assert answer.json() == {"id": team.organization.public_id, "object": "organization.deleted", "deleted": True}
    assert refused(team.owner.call("GET", path)) == (403, "not_a_member")
    assert refused(team.member.call("GET", path, OpenAI_Organization="")) == (404, "organization_not_found")
    assert refused(key.call("GET", "/v1/models")) == (401, "invalid_api_key")
    listed = team.owner.call("GET", ROOT, OpenAI_Organization="").json()
    assert [one["is_personal"] for one in listed["data"]] == [True]
    assert team.events() == [("api_key.created", key.key.public_id), ("organization.deleted", answer.json()["id"])]


def test_prefer_minimal_is_answered_without_a_body(team: Team):
    path = f"{ROOT}/{team.organization.public_id}"
    answer = team.owner.call("DELETE", path, Prefer="return=minimal")
    assert (answer.status_code, answer.content) == (204, b"")


def test_a_personal_one_is_not_deleted(ada: Caller):
    assert refused(ada.call("DELETE", f"{ROOT}/{ada.organization.public_id}")) == (409, "personal_organization")
    assert ada.organization.deleted_at is None


def test_what_was_deleted_long_enough_ago_is_purged(team: Team, strangers: Team):
    project = Project.objects.get(organization=team.organization)
    team.owner.with_key(kind=KeyKind.PROJECT, project=project)
    now = timezone.now()
    line = UsageRecord.objects.create(
        request_id="req_1",
        organization=team.organization,
        project=project,
        user=team.owner.user,
        model="m",
        endpoint="chat",
        state="completed",
        accepted_at=now,
    )
    for organization, days in ((team.organization, 31), (strangers.organization, 29)):
        Organization.objects.filter(pk=organization.pk).update(deleted_at=now - datetime.timedelta(days=days))
    purge()
    assert not Organization.objects.filter(pk=team.organization.pk).exists()
    assert not ApiKey.objects.exists()
    assert Organization.objects.filter(pk=strangers.organization.pk).exists()
    assert UsageRecord.objects.get(pk=line.pk).organization_id == team.organization.pk
    assert team.events()[-1] == ("organization.purged", team.organization.public_id)
    assert purge_organizations() == 0

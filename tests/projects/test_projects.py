"""Projects over the API: made, listed, changed, archived, deleted, by those who may."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.utils import timezone

from apps.api_keys.models import ApiKey
from apps.audit.models import AuditEvent
from apps.audit.services import SYSTEM
from apps.core.ids import new_id
from apps.organizations.models import CustomRole, OrganizationRoleAssignment, ResourceType
from apps.organizations.roles import PROJECT_ROLE_SCOPES, ProjectRole, Scope
from apps.projects.models import Project, ProjectMembership
from apps.projects.project_services import delete_project, purge_projects
from apps.usage.models import State, UsageRecord
from tests.api_keys.conftest import Caller
from tests.projects.conftest import PROJECTS, Acme, refused

SHAPE = {
    "id", "public_id", "object", "name", "description", "status", "is_default", "settings", "created_at", "updated_at",
    "archived_at", "created_by",
}  # fmt: skip


def rows(acme: Acme) -> Any:
    return list(Project.objects.filter(organization=acme.organization).order_by("pk").values())


def events(acme: Acme) -> list[tuple[str, str, dict[str, Any]]]:
    found = AuditEvent.objects.filter(organization=acme.organization.public_id, target_kind="project").order_by("pk")
    return [(event.action, event.actor_label, event.details) for event in found]


def test_a_project_is_made_as_documented(acme: Acme):
    asked = {
        "name": "New AI Project",
        "description": "Description of the new project",
        "settings": {"default_model": "jan-v1-4b", "max_conversations": 1000},
    }
    answer = acme.owner.call("POST", PROJECTS, asked)
    assert answer.status_code == 200
    made, row = answer.json(), Project.objects.get(name="New AI Project")
    seconds = int(row.created_at.timestamp())
    assert made == {
        "id": row.public_id,
        "public_id": row.public_id,
        "object": "organization.project",
        **asked,
        "status": "active",
        "is_default": False,
        "created_at": seconds,
        "updated_at": int(row.updated_at.timestamp()),
        "archived_at": None,
        "created_by": "owner@acme.example",
    }
    assert set(made) == SHAPE
    [place] = ProjectMembership.objects.filter(project=row)
    assert (place.membership, place.role) == (acme.membership(acme.owner), ProjectRole.OWNER)
    assert events(acme) == [
        ("project.created", "owner@acme.example", {"name": "New AI Project", "settings": asked["settings"]})
    ]
    assert acme.owner.call("GET", f"{PROJECTS}/{made['id']}").json() == made
    iso = acme.owner.call("GET", f"{PROJECTS}/{made['id']}?timestamps=iso").json()
    assert iso["created_at"] == row.created_at.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(
    ("more", "role"),
    [
        (set(), None),
        ({*PROJECT_ROLE_SCOPES[ProjectRole.VIEWER]}, ProjectRole.VIEWER),
        ({*PROJECT_ROLE_SCOPES[ProjectRole.OWNER]} - {Scope.SERVICE_ACCOUNTS_WRITE}, ProjectRole.MEMBER),
        ({*PROJECT_ROLE_SCOPES[ProjectRole.OWNER]}, ProjectRole.OWNER),
    ],
)
def test_nobody_gains_rights_by_making_a_project(acme: Acme, more: set[Scope], role: ProjectRole | None):
    rights = CustomRole.objects.create(
        organization=acme.organization,
        resource_type=ResourceType.ORGANIZATION,
        name="Planner",
        permissions=sorted({Scope.PROJECTS_WRITE, *more}),
    )
    OrganizationRoleAssignment.objects.create(
        organization=acme.organization, role=rights, membership=acme.membership(acme.viewer)
    )
    made = acme.viewer.call("POST", PROJECTS, {"name": "mine"}).json()
    assert list(ProjectMembership.objects.filter(project__public_id=made["id"]).values_list("role", flat=True)) == (
        [] if role is None else [role]
    )


def test_an_admin_key_makes_a_project_in_the_name_of_its_user(acme: Acme):
    answer = acme.admin_key().call("POST", PROJECTS, {"name": "By key"})
    assert (answer.status_code, answer.json()["created_by"]) == (200, "owner@acme.example")
    assert events(acme)[0][1].startswith("admin (jan_ak_…")


@pytest.mark.parametrize("who", ["project_owner", "member", "viewer", "outsider"])
def test_others_make_no_project(acme: Acme, who: str):
    before = rows(acme)
    assert refused(getattr(acme, who).call("POST", PROJECTS, {"name": "x"})) == (403, "insufficient_permissions", None)
    assert rows(acme) == before


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, "missing_required_parameter", "name"),
        ({"name": ""}, "invalid_value", "name"),
        ({"name": "x" * 129}, "invalid_value", "name"),
        ({"name": "x", "description": "x" * 1025}, "invalid_value", "description"),
        ({"name": "x", "residency": "EU_STORAGE_PROCESSING"}, "unknown_parameter", "residency"),
        ({"name": "x", "external_key_id": "k"}, "unknown_parameter", "external_key_id"),
        ({"name": "x", "settings": None}, "invalid_value", "settings"),
        ({"name": "x", "settings": []}, "invalid_value", "settings"),
        ({"name": "x", "settings": {"colour": 1}}, "unknown_parameter", "settings.colour"),
        ({"name": "x", "settings": {"default_model": 5}}, "invalid_value", "settings.default_model"),
        ({"name": "x", "settings": {"default_model": ""}}, "invalid_value", "settings.default_model"),
        ({"name": "x", "settings": {"allowed_models": "m"}}, "invalid_value", "settings.allowed_models"),
        ({"name": "x", "settings": {"allowed_models": ["m", 1]}}, "invalid_value", "settings.allowed_models[1]"),
        ({"name": "x", "settings": {"allowed_models": ["m"] * 501}}, "invalid_value", "settings.allowed_models"),
        ({"name": "x", "settings": {"allowed_models": [[["m"]]]}}, "invalid_value", "settings.allowed_models[0]"),
        ({"name": "x", "settings": {"max_conversations": "5"}}, "invalid_value", "settings.max_conversations"),
        ({"name": "x", "settings": {"max_conversations": True}}, "invalid_value", "settings.max_conversations"),
        ({"name": "x", "settings": {"max_conversations": -1}}, "invalid_value", "settings.max_conversations"),
        ({"name": "x", "settings": {"max_conversations": 1.5}}, "invalid_value", "settings.max_conversations"),
        ({"name": "x", "settings": {"retention_days": 0}}, "invalid_value", "settings.retention_days"),
        ({"name": "x", "settings": {"retention_days": 10**30}}, "invalid_value", "settings.retention_days"),
        ({"name": "x", "settings": {"storage": "some"}}, "invalid_value", "settings.storage"),
        (
            {"name": "x", "settings": {"allowed_models": ["a"], "denied_models": ["b"]}},
            "invalid_value",
            "settings.denied_models",
        ),
    ],
)
def test_a_wrong_body_names_the_parameter_and_changes_nothing(acme: Acme, body: Any, code: str, param: str):
    before = rows(acme)
    assert refused(acme.owner.call("POST", PROJECTS, body)) == (400, code, param)
    if body.get("name"):
        assert refused(acme.owner.call("PATCH", acme.path, body)) == (400, code, param)
    assert rows(acme) == before


def test_post_replaces_settings_and_patch_merges_them(acme: Acme):
    acme.owner.call("POST", acme.path, {"settings": {"default_model": "a", "retention_days": 30}})
    merged = acme.owner.call("PATCH", acme.path, {"settings": {"storage": "none", "retention_days": None}}).json()
    assert merged["settings"] == {"default_model": "a", "storage": "none"}
    replaced = acme.owner.call("POST", acme.path, {"settings": {"max_conversations": 0}}).json()
    assert replaced["settings"] == {"max_conversations": 0}
    assert [details for _, _, details in events(acme)] == [
        {"settings": [{}, {"default_model": "a", "retention_days": 30}]},
        {"settings": [{"default_model": "a", "retention_days": 30}, {"default_model": "a", "storage": "none"}]},
        {"settings": [{"default_model": "a", "storage": "none"}, {"max_conversations": 0}]},
    ]


def test_an_update_changes_what_is_given_and_tells_it(acme: Acme):
    answer = acme.project_owner.call("POST", acme.path, {"name": "Gemini", "description": "two"})
    assert (answer.status_code, answer.json()["name"], answer.json()["description"]) == (200, "Gemini", "two")
    assert events(acme) == [
        ("project.updated", "project-owner@acme.example", {"name": ["Apollo", "Gemini"], "description": ["", "two"]})
    ]
    assert acme.owner.call("PATCH", acme.path, {"name": "Gemini"}).status_code == 200
    assert acme.owner.call("POST", acme.path).status_code == 200
    assert len(events(acme)) == 1


@pytest.mark.parametrize("who", ["member", "viewer"])
@pytest.mark.parametrize(("method", "path"), [("POST", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/archive")])
def test_readers_change_nothing(acme: Acme, who: str, method: str, path: str):
    before = rows(acme)
    caller = getattr(acme, who)
    assert caller.call("GET", acme.path).status_code == 200
    answer = caller.call(method, acme.path + path, {"name": "x"} if method != "DELETE" else None)
    assert refused(answer)[:2] == (403, "insufficient_permissions")
    assert rows(acme) == before


@pytest.mark.parametrize("who", ["outsider", "stranger"])
@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("POST", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/archive")]
)
def test_who_has_no_place_in_it_finds_no_project(acme: Acme, who: str, method: str, path: str):
    before = rows(acme)
    caller = getattr(acme, who)
    theirs = caller.call(method, acme.path + path)
    unknown = caller.call(method, f"{PROJECTS}/{new_id('proj')}{path}")
    said = [{**answer.json()["error"], "request_id": ""} for answer in (theirs, unknown)]
    assert (theirs.status_code, unknown.status_code, said[0]["code"]) == (404, 404, "project_not_found")
    assert said[0] == said[1]
    assert rows(acme) == before


def test_a_key_that_calls_models_reads_no_projects(acme: Acme):
    key = acme.owner.with_key(project=acme.project)
    for path in (PROJECTS, acme.path):
        assert refused(key.call("GET", path))[:2] == (403, "wrong_key_kind")


def test_a_list_holds_what_one_may_know_of(acme: Acme, make_project: Any):
    make_project("old", archived_at=timezone.now())
    gone = make_project("gone")
    delete_project(project=gone, actor=SYSTEM)

    def names(caller: Any, query: str = "") -> list[str]:
        page = caller.call("GET", PROJECTS + query).json()
        assert page["projects"] == page["data"]
        assert page["total"] == len(page["data"])
        return [project["name"] for project in page["data"]]

    assert names(acme.owner) == ["Apollo", "Default project"]
    assert names(acme.admin_key(), "?status=active") == ["Apollo", "Default project"]
    assert names(acme.admin, "?status=archived") == ["old"]
    assert names(acme.owner, "?include_archived=true") == ["old", "Apollo", "Default project"]
    assert names(acme.owner, "?include_archived=true&status=active") == ["Apollo", "Default project"]
    assert names(acme.viewer, "?include_archived=true") == ["Apollo", "Default project"]
    assert names(acme.outsider) == ["Default project"]
    assert names(acme.stranger) == ["Default project"]
    assert refused(acme.owner.call("GET", PROJECTS + "?status=lost")) == (400, "invalid_value", "status")
    assert refused(acme.owner.call("GET", PROJECTS + "?include_archived=1")) == (
        400, "invalid_value", "include_archived",
    )  # fmt: skip


def test_a_list_costs_the_same_however_long_it_is(acme: Acme, make_project: Any, django_assert_max_num_queries: Any):
    for number in range(30):
        make_project(f"p{number}", created_by=acme.owner.user)
    with django_assert_max_num_queries(9):
        assert len(acme.owner.call("GET", PROJECTS + "?limit=30").json()["data"]) == 30


def test_archiving_and_back(acme: Acme):
    archived = acme.project_owner.call("POST", acme.path + "/archive").json()
    row = Project.objects.get(pk=acme.project.pk)
    assert row.archived_at is not None
    assert (archived["status"], archived["archived_at"]) == ("archived", int(row.archived_at.timestamp()))
    again = acme.owner.call("POST", acme.path + "/archive").json()
    assert again == archived
    assert acme.owner.call("GET", acme.path).json() == archived
    opened = acme.project_owner.call("POST", acme.path + "/unarchive").json()
    assert (opened["status"], opened["archived_at"]) == ("active", None)
    assert acme.owner.call("POST", acme.path + "/unarchive").json() == opened
    assert [action for action, _, _ in events(acme)] == ["project.archived", "project.unarchived"]


@pytest.mark.parametrize(("method", "path"), [("DELETE", ""), ("POST", "/archive")])
def test_the_default_project_stays(acme: Acme, method: str, path: str):
    before, default = rows(acme), acme.owner.project
    answer = acme.owner.call(method, f"{PROJECTS}/{default.public_id}{path}")
    assert refused(answer)[:2] == (409, "default_project")
    assert (rows(acme), events(acme)) == (before, [])


def test_a_deleted_project_is_gone_for_everybody_and_purged_later(acme: Acme, settings: Any):
    key = acme.owner.with_key(project=acme.project)
    assert key.call("GET", "/v1/models").status_code == 200
    line = UsageRecord.objects.create(
        request_id="req_1", organization=acme.organization, project=acme.project, user=acme.owner.user, api_key=key.key,
        endpoint="chat/completions", model="m", state=State.COMPLETED, status=200, accepted_at=timezone.now(),
    )  # fmt: skip
    answer = acme.project_owner.call("DELETE", acme.path)
    assert (answer.status_code, answer.json()) == (
        200, {"id": acme.project.public_id, "object": "organization.project.deleted", "deleted": True},
    )  # fmt: skip
    for caller in (acme.owner, acme.project_owner, acme.admin_key()):
        assert refused(caller.call("GET", acme.path))[:2] == (404, "project_not_found")
        assert refused(caller.call("DELETE", acme.path))[:2] == (404, "project_not_found")
    assert refused(key.call("GET", "/v1/models"))[:2] == (401, "invalid_api_key")
    assert [action for action, _, _ in events(acme)] == ["project.deleted"]

    assert purge_projects() == 0
    old = timezone.now() - datetime.timedelta(days=settings.PROJECT_PURGE_DAYS, minutes=1)
    Project.objects.filter(pk=acme.project.pk).update(deleted_at=old)
    assert purge_projects() == 1
    assert not Project.objects.filter(pk=acme.project.pk).exists()
    assert not ApiKey.objects.filter(public_id=key.key.public_id).exists()
    kept = UsageRecord.objects.get(pk=line.pk)
    assert (kept.project_id, kept.api_key_id) == (line.project_id, line.api_key_id)
    assert [action for action, _, _ in events(acme)] == ["project.deleted"]


def test_minimal_answers_are_empty(acme: Acme):
    answer = acme.owner.call("DELETE", acme.path, Prefer="return=minimal")
    assert (answer.status_code, answer.content) == (204, b"")


def test_an_admin_key_does_what_it_was_given(acme: Acme):
    reader = acme.admin_key(scopes={Scope.PROJECTS_READ})
    assert reader.call("GET", acme.path).status_code == 200
    assert refused(reader.call("POST", acme.path, {"name": "x"}))[:2] == (403, "insufficient_permissions")
    assert Project.objects.get(pk=acme.project.pk).name == "Apollo"


def test_the_path_may_name_the_organization(acme: Acme):
    base = f"/v1/organization/{acme.organization.public_id}/projects"
    caller = acme.admin_key()
    made = caller.call("POST", base, {"name": "My Project", "description": "A sample project"}).json()
    assert caller.call("GET", f"{base}/{made['id']}").json() == made
    assert caller.call("PATCH", f"{base}/{made['id']}", {"name": "Mine"}).json()["name"] == "Mine"
    assert caller.call("POST", f"{base}/{made['id']}/archive").json()["status"] == "archived"
    assert [row["id"] for row in caller.call("GET", base + "?status=archived").json()["projects"]] == [made["id"]]
    assert caller.call("DELETE", f"{base}/{made['id']}").json()["deleted"] is True
    assert refused(acme.stranger.call("GET", base))[:2] == (404, "organization_not_found")


def test_a_guest_looks_and_makes_nothing(guest: Caller):
    project = guest.project
    assert guest.call("GET", PROJECTS).json()["projects"][0]["id"] == project.public_id
    before = list(Project.objects.order_by("pk").values())
    for method, path in (("POST", PROJECTS), ("PATCH", f"{PROJECTS}/{project.public_id}")):
        assert refused(guest.call(method, path, {"name": "x"}))[:2] == (403, "insufficient_permissions")
    assert list(Project.objects.order_by("pk").values()) == before

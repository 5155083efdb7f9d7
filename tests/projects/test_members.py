"""Members of a project: nobody gives, changes or takes away more than it has itself."""

from __future__ import annotations

from typing import Any

import pytest

from apps.audit.models import AuditEvent
from apps.organizations.models import CustomRole, ResourceType
from apps.organizations.roles import Scope
from apps.projects.models import ProjectMembership, ProjectRoleAssignment
from tests.projects.conftest import Acme, refused


def places(acme: Acme) -> list[tuple[str, str]]:
    rows = ProjectMembership.objects.filter(project=acme.project).order_by("pk")
    return [(row.membership.user.name, row.role) for row in rows]


def events(acme: Acme) -> list[tuple[str, str, dict[str, Any]]]:
    found = AuditEvent.objects.filter(project=acme.project.public_id, target_kind="user").order_by("pk")
    return [(event.action, event.target_id, event.details) for event in found]


@pytest.mark.parametrize("by", ["user_id", "email"])
@pytest.mark.parametrize("who", ["owner", "admin", "project_owner", "key"])
def test_a_member_is_added_as_openai_types_it(acme: Acme, by: str, who: str):
    caller = acme.admin_key() if who == "key" else getattr(acme, who)
    user = acme.outsider.user
    named = {"user_id": user.pk} if by == "user_id" else {"email": user.email.upper()}
    answer = caller.call("POST", acme.path + "/users", {**named, "role": "member"})
    assert answer.status_code == 200, answer.content
    place = ProjectMembership.objects.get(project=acme.project, membership__user=user)
    assert answer.json() == {
        "id": user.pk,
        "object": "organization.project.user",
        "role": "member",
        "name": "Outsider",
        "email": "outsider@acme.example",
        "added_at": int(place.created_at.timestamp()),
    }
    assert events(acme) == [("user.added", user.pk, {"role": "member"})]
    assert caller.call("GET", f"{acme.path}/users/{user.pk}").json() == answer.json()
    assert acme.outsider.call("GET", acme.path).status_code == 200


def test_the_list_holds_those_with_a_role(acme: Acme):
    page = acme.viewer.call("GET", acme.path + "/users").json()
    assert page["users"] == page["data"]
    assert [(row["name"], row["role"]) for row in page["data"]] == [
        ("Viewer", "viewer"), ("Member", "member"), ("Project-Owner", "owner"),
    ]  # fmt: skip
    after = acme.viewer.call("GET", f"{acme.path}/users?limit=1&after={page['data'][0]['id']}").json()
    assert ([row["name"] for row in after["data"]], after["has_more"]) == (["Member"], True)


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_role_is_changed(acme: Acme, method: str):
    path = f"{acme.path}/users/{acme.member.user.pk}"
    answer = acme.project_owner.call(method, path, {"role": "reader"})
    assert (answer.status_code, answer.json()["role"]) == (200, "viewer")
    assert acme.project_owner.call(method, path, {"role": "viewer"}).status_code == 200
    assert events(acme) == [("user.updated", acme.member.user.pk, {"role": ["member", "viewer"]})]


def test_the_last_owner_may_go(acme: Acme):
    path = f"{acme.path}/users/{acme.project_owner.user.pk}"
    answer = acme.project_owner.call("DELETE", path)
    assert (answer.status_code, answer.json()) == (
        200, {"id": acme.project_owner.user.pk, "object": "organization.project.user.deleted", "deleted": True},
    )  # fmt: skip
    assert places(acme) == [("Member", "member"), ("Viewer", "viewer")]
    assert refused(acme.project_owner.call("GET", acme.path))[:2] == (404, "project_not_found")
    assert refused(acme.owner.call("DELETE", path))[:2] == (404, "user_not_found")
    assert acme.owner.call("GET", acme.path).status_code == 200


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ({}, (400, "missing_required_parameter", "role")),
        ({"role": "member"}, (400, "invalid_value", "user_id")),
        ({"role": "member", "user_id": "ID", "email": "outsider@acme.example"}, (400, "invalid_value", "user_id")),
        ({"role": "admin", "user_id": "ID"}, (400, "invalid_value", "role")),
        ({"role": ["member"], "user_id": "ID"}, (400, "invalid_value", "role")),
        ({"role": "member", "user_id": "ID", "odd": 1}, (400, "unknown_parameter", "odd")),
        ({"role": "member", "email": "no address"}, (400, "invalid_value", "email")),
        ({"role": "member", "user_id": {"$ne": ""}}, (400, "invalid_value", "user_id")),
        ({"role": "member", "user_id": "user_unknown"}, (404, "user_not_found", None)),
        ({"role": "member", "email": "stranger@example.com"}, (404, "user_not_found", None)),
        ({"role": "member", "email": "nobody@example.com"}, (404, "user_not_found", None)),
        ({"role": "member", "email": "viewer@acme.example"}, (409, "already_a_member", None)),
    ],
)
def test_refusals_add_nobody(acme: Acme, body: Any, outcome: Any):
    before = places(acme)
    if body.get("user_id") == "ID":
        body = {**body, "user_id": acme.outsider.user.pk}
    assert refused(acme.owner.call("POST", acme.path + "/users", body)) == outcome
    assert (places(acme), events(acme)) == (before, [])


@pytest.mark.parametrize("who", ["member", "viewer"])
def test_members_manage_nobody(acme: Acme, who: str):
    before, caller = places(acme), getattr(acme, who)
    target = f"{acme.path}/users/{acme.member.user.pk}"
    added = {"role": "viewer", "email": "outsider@acme.example"}
    for method, path, body in (
        ("POST", acme.path + "/users", added),
        ("POST", target, {"role": "viewer"}),
        ("PATCH", target, {"role": "viewer"}),
        ("DELETE", target, None),
    ):
        assert refused(caller.call(method, path, body))[:2] == (403, "insufficient_permissions")
    assert (places(acme), events(acme)) == (before, [])


def test_whoever_manages_members_and_no_more_hands_on_no_more(acme: Acme):
    role = CustomRole.objects.create(
        organization=acme.organization, name="people", resource_type=ResourceType.PROJECT,
        permissions=[Scope.MEMBERS_READ, Scope.MEMBERS_WRITE, Scope.PROJECTS_READ],
    )  # fmt: skip
    ProjectRoleAssignment.objects.create(
        organization=acme.organization, project=acme.project, role=role, membership=acme.membership(acme.outsider)
    )
    before, caller = places(acme), acme.outsider
    own = {"user_id": caller.user.pk}
    for word in ("owner", "member", "viewer"):
        answer = caller.call("POST", acme.path + "/users", {**own, "role": word})
        assert refused(answer) == (403, "insufficient_permissions", "role")
    for person in (acme.project_owner, acme.member):
        path = f"{acme.path}/users/{person.user.pk}"
        assert refused(caller.call("POST", path, {"role": "viewer"})) == (403, "insufficient_permissions", "role")
        assert refused(caller.call("DELETE", path)) == (403, "insufficient_permissions", "role")
    assert (places(acme), events(acme)) == (before, [])


def test_a_key_for_members_cannot_make_an_owner(acme: Acme):
    key = acme.admin_key(scopes={Scope.MEMBERS_WRITE, Scope.PROJECTS_READ})
    before = places(acme)
    answer = key.call("POST", acme.path + "/users", {"user_id": acme.outsider.user.pk, "role": "owner"})
    assert refused(answer) == (403, "insufficient_permissions", "role")
    assert places(acme) == before


def test_a_place_ends_with_the_membership(acme: Acme):
    acme.membership(acme.member).delete()
    assert places(acme) == [("Project-Owner", "owner"), ("Viewer", "viewer")]


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
def test_who_has_no_place_is_not_found(acme: Acme, method: str):
    body = {"role": "viewer"} if method in ("POST", "PATCH") else None
    said = []
    for user_id in (acme.outsider.user.pk, acme.stranger.user.pk, "user_unknown", "%00", "é" * 300):
        answer = acme.owner.call(method, f"{acme.path}/users/{user_id}", body)
        said.append({**answer.json()["error"], "request_id": ""})
        assert answer.status_code == 404
    assert all(each == said[0] for each in said)

"""Roles, and whom they are given: nobody hands on, changes or takes away more than it has."""

from __future__ import annotations

from typing import Any

import pytest

from apps.audit.models import AuditEvent
from apps.organizations.models import CustomRole, Group, GroupMembership, OrganizationRoleAssignment
from apps.organizations.roles import ROLE_SCOPES, Role
from apps.projects.models import ProjectMembership, ProjectRoleAssignment
from tests.organizations.conftest import Member, Team, refused

ROLES = "/v1/organization/roles"
AUDITOR = {"role_name": "Auditor", "permissions": ["usage.read", "audit_logs.read"], "description": "Reads"}


def role_of(team: Team, *scopes: str, name: str = "Helper", kind: str = "organization") -> CustomRole:
    return CustomRole.objects.create(
        organization=team.organization, name=name, resource_type=kind, permissions=list(scopes)
    )


def given(person: Member, role: CustomRole) -> OrganizationRoleAssignment:
    return OrganizationRoleAssignment.objects.create(
        organization=role.organization, role=role, membership=person.membership
    )


def helper(team: Team, *scopes: str) -> Member:
    """A member who may change roles, and these."""
    person = team.new("helper")
    given(person, role_of(team, "roles.read", "roles.write", *scopes, name="Role manager"))
    return person


def everything(team: Team) -> Any:
    """All roles and who has them, to prove that nothing changed."""
    return (
        sorted(CustomRole.objects.values_list("name", "permissions"), key=str),
        sorted(OrganizationRoleAssignment.objects.values_list("pk", flat=True)),
        sorted(ProjectRoleAssignment.objects.values_list("pk", flat=True)),
        team.events(),
    )


def test_a_role_is_made_read_changed_and_deleted(team: Team):
    made = team.admin.call("POST", ROLES, AUDITOR).json()
    role = CustomRole.objects.get()
    assert made == {
        "id": role.public_id,
        "object": "role",
        "name": "Auditor",
        "description": "Reads",
        "permissions": ["audit_logs.read", "usage.read"],
        "resource_type": "organization",
        "predefined_role": False,
        "created_at": int(role.created_at.timestamp()),
        "updated_at": int(role.updated_at.timestamp()),
    }
    path = f"{ROLES}/{role.public_id}"
    assert team.admin.call("GET", path).json() == made
    changed = team.admin.call("PATCH", path, {"name": "Reader 2", "permissions": ["usage.read"]}).json()
    assert (changed["name"], changed["permissions"], changed["description"]) == ("Reader 2", ["usage.read"], "Reads")
    assert team.admin.call("POST", path, {"description": ""}).json()["description"] == ""
    same = {"role_name": None, "name": None, "description": None, "permissions": None}
    assert team.admin.call("POST", path, same).json()["name"] == "Reader 2"
    assert team.admin.call("POST", path).status_code == 200
    assert team.admin.call("DELETE", path).json() == {"id": role.public_id, "object": "role.deleted", "deleted": True}
    assert refused(team.admin.call("GET", path)) == (404, "role_not_found")
    events = AuditEvent.objects.filter(target_id=role.public_id).order_by("id")
    assert [event.action for event in events] == ["role.created", "role.updated", "role.updated", "role.deleted"]
    assert events[1].details == {
        "resource_type": "organization",
        "name": ["Auditor", "Reader 2"],
        "permissions": [["audit_logs.read", "usage.read"], ["usage.read"]],
    }


def test_predefined_roles_are_listed_first_and_cannot_be_changed(team: Team):
    role = role_of(team, "usage.read")
    listed = team.owner.call("GET", f"{ROLES}?order=asc").json()["roles"]
    assert [(one["id"], one["predefined_role"]) for one in listed] == [
        ("role_owner", True),
        ("role_admin", True),
        ("role_member", True),
        ("role_viewer", True),
        ("role_project_owner", True),
        ("role_project_member", True),
        ("role_project_viewer", True),
        (role.public_id, False),
    ]
    assert listed[1]["permissions"] == sorted(ROLE_SCOPES[Role.ADMIN])
    before = everything(team)
    for method, body in (("POST", {"permissions": []}), ("DELETE", None)):
        assert refused(team.owner.call(method, f"{ROLES}/role_member", body)) == (409, "predefined_role")
    assert everything(team) == before


def test_roles_are_paged(team: Team):
    own = [role_of(team, name=f"r{number}").public_id for number in range(3)]
    first = team.owner.call("GET", f"{ROLES}?limit=2").json()
    assert ([one["id"] for one in first["data"]], first["has_more"]) == ([own[2], own[1]], True)
    second = team.owner.call("GET", f"{ROLES}?limit=2&after={first['next']}").json()
    assert [one["id"] for one in second["data"]] == [own[0], "role_project_viewer"]
    back = team.owner.call("GET", f"{ROLES}?before={second['first_id']}").json()
    assert [one["id"] for one in back["data"]] == [own[2], own[1]]
    assert [one["id"] for one in team.owner.call("GET", f"{ROLES}?offset=9&limit=5").json()["data"]] == ["role_owner"]
    assert team.owner.call("GET", f"{ROLES}?offset=50").json()["data"] == []
    for query in ("after=role_x", "before=role_x", "limit=0", "offset=1&after=role_owner"):
        assert team.owner.call("GET", f"{ROLES}?{query}").status_code == 400


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"permissions": []}, 400, "role_name"),
        ({"role_name": "x"}, 400, "permissions"),
        ({"role_name": "x", "permissions": None}, 400, "permissions"),
        ({"role_name": None, "permissions": []}, 400, "role_name"),
        ({"role_name": "x", "permissions": ["everything"]}, 400, "permissions"),
        ({"role_name": "x", "permissions": "usage.read"}, 400, "permissions"),
        ({"role_name": "x", "name": "y", "permissions": []}, 400, "name"),
        ({"role_name": "x", "permissions": [], "resource_type": "api.organization"}, 400, "resource_type"),
        ({"role_name": "x", "permissions": [], "predefined_role": True}, 400, "predefined_role"),
        ({"role_name": "Admin", "permissions": []}, 409, "name"),
        ({"role_name": "Helper", "permissions": []}, 409, "name"),
    ],
)
def test_a_wrong_role_is_refused_by_name(team: Team, body, status, param):
    role_of(team)
    answer = team.owner.call("POST", ROLES, body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)
    assert CustomRole.objects.count() == 1


def test_nobody_makes_a_role_of_rights_it_lacks(team: Team):
    person = helper(team, "usage.read")
    before = everything(team)
    for who, scope in ((person, "audit_logs.read"), (team.admin, "organization.delete")):
        body = {"role_name": "x", "permissions": ["usage.read", scope]}
        assert refused(who.call("POST", ROLES, body)) == (403, "insufficient_permissions")
    for who in (team.member, team.viewer):
        assert refused(who.call("POST", ROLES, AUDITOR)) == (403, "insufficient_permissions")
        assert refused(who.call("GET", ROLES)) == (403, "insufficient_permissions")
    assert everything(team) == before
    assert person.call("POST", ROLES, {"role_name": "x", "permissions": ["usage.read"]}).status_code == 200


def test_a_role_in_use_is_changed_only_by_who_has_all_of_it(team: Team):
    person = helper(team, "usage.read")
    strong, weak = role_of(team, "audit_logs.read", name="strong"), role_of(team, "usage.read", name="weak")
    given(team.viewer, strong)
    given(person, weak)
    before = everything(team)
    for role, method, body in (
        (strong, "POST", {"permissions": ["usage.read"]}),
        (strong, "POST", {"name": "other"}),
        (strong, "DELETE", None),
        # It would widen what it has itself.
        (weak, "POST", {"permissions": ["usage.read", "audit_logs.read"]}),
        (weak, "PATCH", {"permissions": ["organization.delete"]}),
    ):
        answer = person.call(method, f"{ROLES}/{role.public_id}", body)
        assert refused(answer) == (403, "insufficient_permissions")
    assert everything(team) == before
    assert person.call("POST", f"{ROLES}/{weak.public_id}", {"permissions": ["roles.read"]}).status_code == 200


def test_a_project_role_is_changed_only_by_who_has_it_wherever_it_is_given(team: Team):
    """The owner of one project has nothing in the other."""
    here, there = team.project("here"), team.project("there")
    ProjectMembership.objects.create(
        organization=team.organization, project=here, membership=team.member.membership, role="owner"
    )
    role = role_of(team, "usage.read", kind="project")
    path = f"/v1/projects/{here.public_id}/roles/{role.public_id}"
    assert team.member.call("POST", path, {"name": "Mine"}).status_code == 200
    ProjectRoleAssignment.objects.create(
        organization=team.organization, project=there, role=role, membership=team.member.membership
    )
    before = everything(team)
    body = {"permissions": ["projects.write", "members.write"]}
    assert refused(team.member.call("POST", path, body)) == (403, "insufficient_permissions")
    assert everything(team) == before
    assert refused(team.member.call("DELETE", path.replace(here.public_id, there.public_id)))[0] == 403


def test_a_role_is_given_and_taken(team: Team):
    role = role_of(team, "groups.read")
    path = f"/v1/organization/users/{team.viewer.user.pk}/roles"
    for _ in range(2):
        made = team.admin.call("POST", path, {"role_id": role.public_id}).json()
        assert (made["object"], made["user"]["id"], made["role"]["id"]) == (
            "user.role",
            team.viewer.user.pk,
            role.public_id,
        )
    assert team.viewer.call("GET", "/v1/organization/groups").status_code == 200
    listed = team.admin.call("GET", path).json()
    source = {"principal_type": "user", "principal_id": team.viewer.user.pk}
    assert listed["roles"] == [{**made["role"], "assignment_sources": [source]}]
    assert team.admin.call("GET", f"{path}/{role.public_id}").json() == listed["roles"][0]
    gone = team.admin.call("DELETE", f"{path}/{role.public_id}").json()
    assert gone == {"id": role.public_id, "object": "user.role.deleted", "deleted": True}
    assert team.viewer.call("GET", "/v1/organization/groups").status_code == 403
    assert refused(team.admin.call("DELETE", f"{path}/{role.public_id}")) == (404, "role_not_found")
    assert refused(team.admin.call("GET", f"{path}/{role.public_id}")) == (404, "role_not_found")
    event = AuditEvent.objects.get(action="role.assignment.created")
    assert (event.target_id, event.details) == (
        role.public_id,
        {
            "principal_type": "user",
            "principal_id": team.viewer.user.pk,
            "resource_type": "organization",
            "resource_id": team.organization.public_id,
            "permissions": ["groups.read"],
        },
    )


def test_what_comes_through_a_group_names_it(team: Team):
    role, group = role_of(team, "groups.read"), Group.objects.create(organization=team.organization, name="g")
    path = f"/v1/organization/groups/{group.public_id}/roles"
    made = team.admin.call("POST", path, {"role_id": role.public_id}).json()
    assert (made["object"], made["group"]["id"], made["role"]["id"]) == (
        "group.role",
        group.public_id,
        role.public_id,
    )
    GroupMembership.objects.create(organization=team.organization, group=group, membership=team.viewer.membership)
    given(team.viewer, role)
    listed = team.admin.call("GET", f"/v1/organization/users/{team.viewer.user.pk}/roles").json()["roles"]
    assert [one["assignment_sources"] for one in listed] == [
        [
            {"principal_type": "group", "principal_id": group.public_id},
            {"principal_type": "user", "principal_id": team.viewer.user.pk},
        ]
    ]
    assert [one["id"] for one in team.admin.call("GET", path).json()["data"]] == [role.public_id]
    gone = team.admin.call("DELETE", f"{path}/{role.public_id}").json()
    assert gone == {"id": role.public_id, "object": "group.role.deleted", "deleted": True}


def test_nobody_becomes_owner_through_an_assignment(team: Team):
    path = f"/v1/organization/users/{team.admin.user.pk}/roles"
    answer = team.owner.call("POST", path, {"role_id": "role_owner"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "role_id")
    assert not OrganizationRoleAssignment.objects.exists()
    assert team.owner.call("POST", path, {"role_id": "role_viewer"}).status_code == 200


def test_nobody_gives_or_takes_more_than_it_has(team: Team):
    person = helper(team, "usage.read")
    strong = role_of(team, "audit_logs.read", name="strong")
    given(team.viewer, strong)
    before = everything(team)
    users = "/v1/organization/users"
    for who, method, path, body in (
        (person, "POST", f"{users}/{person.user.pk}/roles", {"role_id": strong.public_id}),
        (person, "POST", f"{users}/{person.user.pk}/roles", {"role_id": "role_admin"}),
        (person, "DELETE", f"{users}/{team.viewer.user.pk}/roles/{strong.public_id}", None),
        # An admin cannot touch an owner.
        (team.admin, "POST", f"{users}/{team.owner.user.pk}/roles", {"role_id": strong.public_id}),
        (team.member, "POST", f"{users}/{team.member.user.pk}/roles", {"role_id": strong.public_id}),
    ):
        assert refused(who.call(method, path, body)) == (403, "insufficient_permissions")
    assert everything(team) == before


def test_roles_are_given_in_projects(team: Team):
    project, other = team.project(), team.project("Other")
    role = role_of(team, "usage.read", "projects.read", kind="project")
    base = f"/v1/projects/{project.public_id}"
    path = f"{base}/users/{team.viewer.user.pk}/roles"
    assert team.admin.call("POST", path, {"role_id": role.public_id}).json()["object"] == "user.role"
    assert team.viewer.call("GET", f"/v1/organization/projects/{project.public_id}").status_code == 200
    assert team.viewer.call("GET", f"/v1/organization/projects/{other.public_id}").status_code == 404
    assert [one["id"] for one in team.admin.call("GET", path).json()["roles"]] == [role.public_id]
    assert team.admin.call("GET", f"{path}/{role.public_id}").json()["resource_type"] == "project"
    assert team.admin.call("DELETE", f"{path}/{role.public_id}").json()["object"] == "user.role.deleted"
    group = Group.objects.create(organization=team.organization, name="g")
    path = f"{base}/groups/{group.public_id}/roles"
    assert team.admin.call("POST", path, {"role_id": "role_project_viewer"}).json()["object"] == "group.role"
    assert [one["id"] for one in team.admin.call("GET", path).json()["roles"]] == ["role_project_viewer"]
    assert team.admin.call("DELETE", f"{path}/role_project_viewer").json()["object"] == "group.role.deleted"
    assert not ProjectRoleAssignment.objects.exists()
    listed = team.admin.call("GET", f"{base}/roles?order=asc").json()["roles"]
    assert [one["id"] for one in listed] == [
        "role_project_owner",
        "role_project_member",
        "role_project_viewer",
        role.public_id,
    ]


def test_a_projects_owner_hands_on_what_it_has_there(team: Team):
    project = team.project()
    ProjectMembership.objects.create(
        organization=team.organization, project=project, membership=team.member.membership, role="owner"
    )
    base = f"/v1/projects/{project.public_id}"
    made = team.member.call("POST", f"{base}/roles", {"role_name": "Reader", "permissions": ["usage.read"]}).json()
    assert made["resource_type"] == "project"
    path = f"{base}/users/{team.viewer.user.pk}/roles"
    assert team.member.call("POST", path, {"role_id": made["id"]}).status_code == 200
    assert team.member.call("POST", path, {"role_id": "role_project_member"}).status_code == 200
    before = everything(team)
    for method, where, body in (
        ("POST", f"{base}/roles", {"role_name": "x", "permissions": ["audit_logs.read"]}),
        # Who has more than a project's owner is out of its reach.
        ("POST", f"{base}/users/{team.admin.user.pk}/roles", {"role_id": made["id"]}),
    ):
        assert refused(team.member.call(method, where, body)) == (403, "insufficient_permissions")
    wide = {"role_name": "x", "permissions": [], "resource_type": "organization"}
    assert refused(team.member.call("POST", f"{base}/roles", wide)) == (400, "invalid_value")
    assert refused(team.member.call("POST", path, {"role_id": "role_admin"})) == (404, "role_not_found")
    assert everything(team) == before


def test_nothing_is_given_in_an_archived_project(team: Team):
    project = team.project()
    team.owner.call("POST", f"/v1/organization/projects/{project.public_id}/archive")
    path = f"/v1/projects/{project.public_id}/users/{team.viewer.user.pk}/roles"
    assert refused(team.owner.call("POST", path, {"role_id": "role_project_viewer"})) == (403, "project_archived")
    assert not ProjectRoleAssignment.objects.exists()


def test_a_strangers_roles_people_and_places_are_not_found(team: Team, strangers: Team):
    role, theirs = role_of(team, "usage.read"), role_of(strangers, "usage.read")
    project, their_project = team.project(), strangers.project()
    mine, other = team.member.user.pk, strangers.member.user.pk
    before = everything(team), everything(strangers)
    for method, path, body, code in (
        ("GET", f"{ROLES}/{theirs.public_id}", None, "role_not_found"),
        ("GET", f"{ROLES}/%00", None, "role_not_found"),
        ("POST", f"{ROLES}/{theirs.public_id}", {"name": "x"}, "role_not_found"),
        ("DELETE", f"{ROLES}/{theirs.public_id}", None, "role_not_found"),
        ("POST", f"/v1/organization/users/{mine}/roles", {"role_id": theirs.public_id}, "role_not_found"),
        ("POST", f"/v1/organization/users/{other}/roles", {"role_id": role.public_id}, "user_not_found"),
        ("GET", f"/v1/organization/users/{other}/roles", None, "user_not_found"),
        ("GET", f"/v1/projects/{their_project.public_id}/roles", None, "project_not_found"),
        ("POST", f"/v1/projects/{their_project.public_id}/roles", AUDITOR, "project_not_found"),
        (
            "POST",
            f"/v1/projects/{project.public_id}/users/{other}/roles",
            {"role_id": "role_project_viewer"},
            "user_not_found",
        ),
    ):
        assert refused(team.owner.call(method, path, body)) == (404, code), path
    assert (everything(team), everything(strangers)) == before

"""Groups, who is in them, and that nobody gets more through one than the giver has."""

from __future__ import annotations

import pytest

from apps.audit.models import AuditEvent
from apps.organizations.models import CustomRole, Group, GroupMembership, OrganizationRoleAssignment
from apps.projects.models import ProjectRoleAssignment
from tests.organizations.conftest import Member, Team, refused

GROUPS = "/v1/organization/groups"


def make(team: Team, name: str = "Researchers") -> str:
    return str(team.admin.call("POST", GROUPS, {"name": name}).json()["id"])


def give(team: Team, group_id: str, *scopes: str) -> None:
    """Give the group rights at the organization."""
    role = CustomRole.objects.create(
        organization=team.organization, name="-".join(scopes), resource_type="organization", permissions=list(scopes)
    )
    group = Group.objects.get(public_id=group_id)
    OrganizationRoleAssignment.objects.create(organization=team.organization, role=role, group=group)


def helper(team: Team, *scopes: str) -> Member:
    """A member who may change groups, and these."""
    person = team.new("helper")
    role = CustomRole.objects.create(
        organization=team.organization,
        name="helper",
        resource_type="organization",
        permissions=["groups.read", "groups.write", *scopes],
    )
    OrganizationRoleAssignment.objects.create(organization=team.organization, role=role, membership=person.membership)
    return person


def test_a_group_is_made_read_renamed_and_deleted(team: Team):
    made = team.admin.call("POST", GROUPS, {"name": "Researchers"}).json()
    group = Group.objects.get()
    assert made == {
        "id": group.public_id,
        "object": "group",
        "name": "Researchers",
        "group_type": "group",
        "is_scim_managed": False,
        "scim_managed": False,
        "created_at": int(group.created_at.timestamp()),
    }
    path = f"{GROUPS}/{group.public_id}"
    assert team.admin.call("GET", path).json() == made
    assert team.admin.call("GET", GROUPS).json()["groups"] == [made]
    for method, name in (("POST", "One"), ("PATCH", "Two")):
        assert team.admin.call(method, path, {"name": name}).json()["name"] == name
    assert team.admin.call("PATCH", path, {"name": "Two"}).status_code == 200
    gone = team.admin.call("DELETE", path).json()
    assert gone == {"id": group.public_id, "object": "group.deleted", "deleted": True}
    assert refused(team.admin.call("GET", path)) == (404, "group_not_found")
    assert [action for action, _ in team.events()] == [
        "group.created",
        "group.updated",
        "group.updated",
        "group.deleted",
    ]


def test_a_name_is_given_once_in_an_organization(team: Team, strangers: Team):
    make(team)
    make(strangers)
    other = make(team, "Others")
    assert refused(team.admin.call("POST", GROUPS, {"name": "Researchers"})) == (409, "group_exists")
    assert refused(team.admin.call("POST", f"{GROUPS}/{other}", {"name": "Researchers"})) == (409, "group_exists")
    assert sorted(Group.objects.filter(organization=team.organization).values_list("name", flat=True)) == [
        "Others",
        "Researchers",
    ]


def test_people_are_put_in_and_taken_out(team: Team):
    path = f"{GROUPS}/{make(team)}/users"
    user = team.member.user
    for _ in range(2):
        added = team.admin.call("POST", path, {"user_id": user.pk}).json()
        assert added == {"object": "group.user", "group_id": path.split("/")[4], "user_id": user.pk}
    shown = {
        "id": user.pk,
        "object": "group.user",
        "name": "Member",
        "email": "member@example.com",
        "picture": None,
        "user_type": "user",
        "is_service_account": False,
    }
    listed = team.admin.call("GET", path).json()
    assert (listed["users"], listed["first_id"], listed["total"]) == ([shown], user.pk, 1)
    assert team.admin.call("GET", f"{path}/{user.pk}").json() == shown
    assert refused(team.admin.call("GET", f"{path}/{team.viewer.user.pk}")) == (404, "user_not_found")
    gone = team.admin.call("DELETE", f"{path}/{user.pk}").json()
    assert gone == {"id": user.pk, "object": "group.user.deleted", "deleted": True}
    assert refused(team.admin.call("DELETE", f"{path}/{user.pk}")) == (404, "user_not_found")
    details = [event.details for event in AuditEvent.objects.filter(action="group.updated").order_by("id")]
    assert details == [{"users_added": [user.pk]}, {"users_removed": [user.pk]}]


@pytest.mark.parametrize("role", ["member", "viewer"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_members_and_viewers_do_not_manage_groups(team: Team, role: str, method: str):
    answer = getattr(team, role).call(method, GROUPS, {"name": "Mine"} if method == "POST" else None)
    assert refused(answer) == (403, "insufficient_permissions")
    assert not Group.objects.exists()


def test_a_strangers_group_is_not_found(team: Team, strangers: Team):
    theirs, mine = make(strangers), make(team)
    strangers.admin.call("POST", f"{GROUPS}/{theirs}/users", {"user_id": strangers.member.user.pk})
    member, stranger = {"user_id": team.member.user.pk}, {"user_id": strangers.member.user.pk}
    for group_id in (theirs, "group_000000000000000000000000", "%00"):
        for method, path, body in (
            ("GET", "", None),
            ("POST", "", {"name": "x"}),
            ("DELETE", "", None),
            ("GET", "/users", None),
            ("POST", "/users", member),
            ("GET", f"/users/{strangers.member.user.pk}", None),
            ("DELETE", f"/users/{strangers.member.user.pk}", None),
        ):
            assert refused(team.owner.call(method, f"{GROUPS}/{group_id}{path}", body)) == (404, "group_not_found")
    assert refused(team.owner.call("POST", f"{GROUPS}/{mine}/users", stranger)) == (404, "user_not_found")
    assert Group.objects.get(public_id=theirs).name == "Researchers"
    assert list(GroupMembership.objects.values_list("membership__user_id", flat=True)) == [strangers.member.user.pk]


@pytest.mark.parametrize("scopes", [("usage.read",), ("groups.read", "audit_logs.read")])
def test_nobody_gets_through_a_group_what_the_giver_lacks(team: Team, scopes: tuple[str, ...]):
    person, group_id = helper(team), make(team)
    give(team, group_id, *scopes)
    GroupMembership.objects.create(
        organization=team.organization, group=Group.objects.get(), membership=team.viewer.membership
    )
    path, before = f"{GROUPS}/{group_id}", team.events()
    for method, where, body in (
        ("POST", f"{path}/users", {"user_id": person.user.pk}),
        ("POST", f"{path}/users", {"user_id": team.member.user.pk}),
        ("DELETE", f"{path}/users/{team.viewer.user.pk}", None),
        ("DELETE", path, None),
    ):
        assert refused(person.call(method, where, body)) == (403, "insufficient_permissions")
    assert (GroupMembership.objects.count(), Group.objects.count(), team.events()) == (1, 1, before)


def test_rights_in_a_project_count_too(team: Team):
    person, group_id, project = helper(team), make(team), team.project()
    group = Group.objects.get()
    ProjectRoleAssignment.objects.create(
        organization=team.organization, project=project, predefined="viewer", group=group
    )
    body = {"user_id": person.user.pk}
    assert refused(person.call("POST", f"{GROUPS}/{group_id}/users", body)) == (403, "insufficient_permissions")
    assert not GroupMembership.objects.exists()
    # An admin has them everywhere, in an archived project as well.
    team.admin.call("POST", f"/v1/organization/projects/{project.public_id}/archive")
    assert team.admin.call("POST", f"{GROUPS}/{group_id}/users", body).status_code == 200


def test_who_has_a_groups_rights_may_share_them(team: Team):
    person, group_id = helper(team, "usage.read"), make(team)
    give(team, group_id, "usage.read")
    path = f"{GROUPS}/{group_id}/users"
    assert person.call("POST", path, {"user_id": team.viewer.user.pk}).status_code == 200
    assert person.call("DELETE", f"{path}/{team.viewer.user.pk}").status_code == 200


def test_a_group_gives_its_people_what_it_has(team: Team):
    group_id = make(team)
    give(team, group_id, "groups.read")
    assert team.viewer.call("GET", GROUPS).status_code == 403
    team.admin.call("POST", f"{GROUPS}/{group_id}/users", {"user_id": team.viewer.user.pk})
    assert team.viewer.call("GET", GROUPS).status_code == 200
    team.admin.call("DELETE", f"{GROUPS}/{group_id}")
    assert team.viewer.call("GET", GROUPS).status_code == 403


def test_groups_have_a_place_in_projects(team: Team):
    group_id, project = make(team), team.project()
    team.admin.call("POST", f"{GROUPS}/{group_id}/users", {"user_id": team.viewer.user.pk})
    path = f"/v1/organization/projects/{project.public_id}"
    assert team.viewer.call("GET", path).status_code == 404
    made = team.admin.call("POST", f"{path}/groups", {"group_id": group_id, "role": "member"}).json()
    assigned = ProjectRoleAssignment.objects.get()
    assert made == {
        "object": "project.group",
        "project_id": project.public_id,
        "group_id": group_id,
        "group_name": "Researchers",
        "group_type": "group",
        "created_at": int(assigned.created_at.timestamp()),
    }
    assert team.viewer.call("GET", path).status_code == 200
    assert team.admin.call("GET", f"{path}/groups").json()["groups"] == [made]
    assert team.admin.call("GET", f"{path}/groups/{group_id}").json() == made
    gone = team.admin.call("DELETE", f"{path}/groups/{group_id}").json()
    assert gone == {"id": group_id, "object": "project.group.deleted", "deleted": True}
    assert refused(team.admin.call("GET", f"{path}/groups/{group_id}")) == (404, "group_not_found")
    assert team.viewer.call("GET", path).status_code == 404
    assert team.events()[-2:] == [
        ("role.assignment.created", "role_project_member"),
        ("role.assignment.deleted", "role_project_member"),
    ]


def test_a_strangers_group_gets_no_place(team: Team, strangers: Team):
    project = team.project()
    path = f"/v1/organization/projects/{project.public_id}/groups"
    for group_id in (make(strangers), "group_000000000000000000000000"):
        answer = team.owner.call("POST", path, {"group_id": group_id, "role": "member"})
        assert refused(answer) == (404, "group_not_found")
    assert refused(team.owner.call("POST", path, {"group_id": make(team), "role": "king"})) == (404, "role_not_found")
    assert not ProjectRoleAssignment.objects.exists()

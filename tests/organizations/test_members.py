"""Members: listed, read, given another role, removed; and the last owner stays."""

from __future__ import annotations

import pytest

from apps.accounts.models import User
from apps.api_keys.models import ApiKey
from apps.api_keys.tokens import KeyKind
from apps.audit.models import AuditEvent
from apps.audit.services import SYSTEM
from apps.core.errors import Conflict
from apps.organizations.models import CustomRole, Group, GroupMembership, Membership, OrganizationRoleAssignment
from apps.organizations.roles import Role, Scope
from apps.projects.models import Project, ProjectMembership
from apps.projects.services import delete_account, purge_guests
from tests.api_keys.conftest import Caller, join
from tests.organizations.conftest import Member, Team, refused

USERS = "/v1/organization/users"


def at(person: Member) -> str:
    return f"{USERS}/{person.user.pk}"


@pytest.mark.parametrize("role", ["owner", "admin", "member", "viewer"])
def test_everybody_sees_who_belongs_to_it(team: Team, role: str):
    listed = getattr(team, role).call("GET", f"{USERS}?order=asc").json()
    assert [(one["email"], one["role"]) for one in listed["users"]] == [
        ("owner@example.com", "owner"),
        ("admin@example.com", "admin"),
        ("member@example.com", "member"),
        ("viewer@example.com", "viewer"),
    ]
    assert (listed["data"], listed["total"], listed["next"]) == (listed["users"], 4, None)


def test_a_member_is_shown_as_the_sdk_types_it(team: Team):
    project = team.project()
    ProjectMembership.objects.create(
        organization=team.organization, project=project, membership=team.member.membership, role="viewer"
    )
    user = team.member.user
    assert team.admin.call("GET", at(team.member)).json() == {
        "id": user.pk,
        "object": "organization.user",
        "name": "Member",
        "email": "member@example.com",
        "role": "member",
        "added_at": int(team.member.membership.created_at.timestamp()),
        "created": int(user.created_at.timestamp()),
        "is_service_account": False,
        "is_scim_managed": False,
        "user": {
            "id": user.pk,
            "object": "user",
            "name": "Member",
            "email": "member@example.com",
            "picture": None,
            "enabled": True,
            "banned": False,
        },
        "projects": {"object": "list", "data": [{"id": project.public_id, "name": "Research", "role": "viewer"}]},
    }
    # Who has no place in a project does not learn of it.
    assert team.viewer.call("GET", at(team.member)).json()["projects"]["data"] == []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("emails[]=Admin@example.com&emails[]=nobody@example.com", ["admin"]),
        ("emails=admin@example.com&emails=viewer@example.com", ["viewer", "admin"]),
        ("emails[]=other-admin@example.com", []),
        ("emails[]=a%00b", []),
        ("role=viewer", ["viewer"]),
        ("role=reader", ["viewer"]),
        ("role=owner&emails[]=admin@example.com", []),
        ("limit=1&offset=1", ["member"]),
    ],
)
def test_members_are_filtered(team: Team, strangers: Team, query: str, found: list[str]):
    listed = team.owner.call("GET", f"{USERS}?{query}").json()
    assert [one["email"].removesuffix("@example.com") for one in listed["data"]] == found


@pytest.mark.parametrize(
    ("query", "param"),
    [("role=king", "role"), ("after=user_unknown", "after"), ("&".join(["emails=a"] * 101), "emails")],
)
def test_a_wrong_filter_is_refused(team: Team, query: str, param: str):
    answer = team.owner.call("GET", f"{USERS}?{query}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_a_page_costs_the_same_whatever_its_length(team: Team, django_assert_num_queries):
    with django_assert_num_queries(8):  # the caller's rights (5), how many, the page, their projects
        team.owner.call("GET", USERS)
    for number in range(5):
        team.new(f"more{number}")
    with django_assert_num_queries(8):
        team.owner.call("GET", USERS)


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize("body", [{"role": "viewer"}, {"role": "reader"}, {"role_id": "role_viewer"}])
def test_a_role_is_changed(team: Team, method: str, body: dict[str, str]):
    assert team.admin.call(method, at(team.member), body).json()["role"] == "viewer"
    assert team.roles()["member@example.com"] == "viewer"
    event = AuditEvent.objects.get(action="user.updated")
    assert (event.target_id, event.actor_id, event.details) == (
        team.member.user.pk,
        team.admin.user.pk,
        {"role": ["member", "viewer"]},
    )
    team.admin.call(method, at(team.member), body)
    assert AuditEvent.objects.filter(action="user.updated").count() == 1


@pytest.mark.parametrize(
    ("caller", "target", "body", "status", "code"),
    [
        ("member", "viewer", {"role": "member"}, 403, "insufficient_permissions"),
        ("viewer", "viewer", {"role": "admin"}, 403, "insufficient_permissions"),
        ("admin", "member", {"role": "owner"}, 403, "insufficient_permissions"),
        ("admin", "member", {"role_id": "role_owner"}, 403, "insufficient_permissions"),
        ("admin", "owner", {"role": "viewer"}, 403, "insufficient_permissions"),
        ("admin", "admin", {"role": "owner"}, 403, "insufficient_permissions"),
        ("owner", "owner", {"role": "admin"}, 409, "last_owner"),
        ("owner", "member", {"role": "king"}, 400, "invalid_value"),
        ("owner", "member", {"role": "admin", "role_id": "role_viewer"}, 400, "invalid_value"),
        ("owner", "member", {"role_id": "role_project_owner"}, 404, "role_not_found"),
        ("owner", "member", {"role_id": "role_unknown"}, 404, "role_not_found"),
        ("owner", "member", {"is_superuser": True}, 400, "unknown_parameter"),
    ],
)
def test_a_change_that_is_refused_changes_nothing(team: Team, caller, target, body, status, code):
    before = team.roles()
    assert refused(getattr(team, caller).call("POST", at(getattr(team, target)), body)) == (status, code)
    assert (team.roles(), team.events()) == (before, [])


def test_a_demoted_admin_has_no_predefined_role_left_beside_its_own(team: Team):
    """Or it could give itself `admin`, and give back to itself what it was taken."""
    given = team.admin.call("POST", f"{at(team.admin)}/roles", {"role_id": "role_admin"})
    auditor = CustomRole.objects.create(
        organization=team.organization, resource_type="organization", name="Auditor", permissions=["audit_logs.read"]
    )
    OrganizationRoleAssignment.objects.create(
        organization=team.organization, role=auditor, membership=team.admin.membership
    )
    assert given.status_code == 200
    assert team.owner.call("POST", at(team.admin), {"role": "viewer"}).status_code == 200
    assert refused(team.admin.call("POST", at(team.admin), {"role": "admin"})) == (403, "insufficient_permissions")
    assert [given.role for given in OrganizationRoleAssignment.objects.all()] == [auditor]
    details = AuditEvent.objects.get(action="user.updated").details
    assert details == {"role": ["admin", "viewer"], "roles_beside": [["admin"], []]}


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("POST", {"role": "viewer"}), ("DELETE", None)])
def test_a_strangers_member_is_not_found(team: Team, strangers: Team, method: str, body):
    before = strangers.roles()
    theirs = team.owner.call(method, at(strangers.member), body)
    none = team.owner.call(method, f"{USERS}/user_000000000000000000000000", body)
    odd = team.owner.call(method, f"{USERS}/user_%00", body)
    assert refused(theirs) == refused(none) == refused(odd) == (404, "user_not_found")
    assert (strangers.roles(), strangers.events()) == (before, [])


def test_removing_a_member_ends_all_it_had(team: Team):
    project = team.project()
    membership = team.member.membership
    ProjectMembership.objects.create(
        organization=team.organization, project=project, membership=membership, role="member"
    )
    group = Group.objects.create(organization=team.organization, name="Researchers")
    GroupMembership.objects.create(organization=team.organization, group=group, membership=membership)
    role = CustomRole.objects.create(
        organization=team.organization, name="r", resource_type="organization", permissions=["usage.read"]
    )
    OrganizationRoleAssignment.objects.create(organization=team.organization, role=role, membership=membership)
    key = team.member.with_key(kind=KeyKind.PROJECT, project=project)
    elsewhere = Caller(team.member.user, team.member.secret).with_key()
    answer = team.admin.call("DELETE", at(team.member))
    assert answer.json() == {"id": team.member.user.pk, "object": "organization.user.deleted", "deleted": True}
    assert "member@example.com" not in team.roles()
    assert not ProjectMembership.objects.filter(project=project).exists()
    assert not GroupMembership.objects.exists()
    assert not OrganizationRoleAssignment.objects.exists()
    assert refused(key.call("GET", "/v1/models")) == (401, "invalid_api_key")
    assert refused(team.member.call("GET", "/v1/models")) == (403, "not_a_member")
    # What it has elsewhere stays.
    assert elsewhere.call("GET", "/v1/models").status_code == 200
    assert team.events() == [
        ("api_key.created", key.key.public_id),
        ("user.deleted", team.member.user.pk),
        ("api_key.deleted", key.key.public_id),
    ]


@pytest.mark.parametrize(
    ("caller", "target", "status", "code"),
    [
        ("member", "viewer", 403, "insufficient_permissions"),
        ("viewer", "member", 403, "insufficient_permissions"),
        ("admin", "owner", 403, "insufficient_permissions"),
        ("owner", "owner", 409, "last_owner"),
    ],
)
def test_a_removal_that_is_refused_changes_nothing(team: Team, caller, target, status, code):
    before = team.roles()
    assert refused(getattr(team, caller).call("DELETE", at(getattr(team, target)))) == (status, code)
    assert (team.roles(), team.events()) == (before, [])


@pytest.mark.parametrize("role", ["admin", "member", "viewer"])
@pytest.mark.parametrize("way", ["leave", "delete"])
def test_everybody_may_leave(team: Team, role: str, way: str):
    person = getattr(team, role)
    answer = person.call("POST", "/v1/organization/leave") if way == "leave" else person.call("DELETE", at(person))
    assert answer.json() == {"id": person.user.pk, "object": "organization.user.deleted", "deleted": True}
    assert f"{role}@example.com" not in team.roles()


def test_leaving_names_its_organization_in_the_path_too(team: Team):
    path = f"/v1/organization/{team.organization.public_id}/leave"
    assert team.viewer.call("POST", path, OpenAI_Organization="").status_code == 200
    assert "viewer@example.com" not in team.roles()


def test_the_last_owner_cannot_leave(team: Team):
    answer = team.owner.call("POST", "/v1/organization/leave")
    assert refused(answer) == (409, "last_owner")
    assert answer.json()["error"]["details"] == {"organization_id": team.organization.public_id}
    assert team.roles()["owner@example.com"] == "owner"


def test_a_key_cannot_leave(team: Team):
    key = team.admin.with_key(kind=KeyKind.ADMIN, project=team.default)
    assert refused(key.call("POST", "/v1/organization/leave")) == (403, "access_token_required")
    assert team.roles()["admin@example.com"] == "admin"


def test_ownership_is_handed_on(team: Team):
    answer = team.owner.call("POST", "/v1/organization/transfer", {"user_id": team.member.user.pk})
    assert (answer.status_code, answer.json()["role"]) == (200, "admin")
    roles = team.roles()
    assert (roles["owner@example.com"], roles["member@example.com"]) == ("admin", "owner")
    event = AuditEvent.objects.get(action="organization.transferred")
    assert event.details == {
        "owner": [team.owner.user.pk, team.member.user.pk],
        "roles": {team.owner.user.pk: ["owner", "admin"], team.member.user.pk: ["member", "owner"]},
    }


@pytest.mark.parametrize(
    ("caller", "to", "status", "code"),
    [
        ("admin", "admin", 403, "insufficient_permissions"),
        ("member", "member", 403, "insufficient_permissions"),
        ("owner", "owner", 409, "not_transferable"),
    ],
)
def test_a_transfer_that_is_refused_changes_nothing(team: Team, caller, to, status, code):
    before = team.roles()
    body = {"user_id": getattr(team, to).user.pk}
    assert refused(getattr(team, caller).call("POST", "/v1/organization/transfer", body)) == (status, code)
    assert (team.roles(), team.events()) == (before, [])


@pytest.mark.parametrize("body", [{}, {"user_id": "user_unknown"}, {"user_id": 5}, {"user_id": "x", "y": 1}])
def test_a_transfer_to_nobody_is_refused(team: Team, strangers: Team, body):
    assert team.owner.call("POST", "/v1/organization/transfer", body).status_code in (400, 404)
    theirs = team.owner.call("POST", "/v1/organization/transfer", {"user_id": strangers.member.user.pk})
    assert refused(theirs) == (404, "user_not_found")
    assert (team.roles()["owner@example.com"], team.events()) == ("owner", [])


def test_rights_to_delete_are_not_ownership(team: Team):
    """A custom role with every right makes nobody an owner who could hand the organization on."""
    role = CustomRole.objects.create(
        organization=team.organization,
        name="all",
        resource_type="organization",
        permissions=sorted(Scope),
    )
    OrganizationRoleAssignment.objects.create(
        organization=team.organization, role=role, membership=team.admin.membership
    )
    body = {"user_id": team.member.user.pk}
    assert refused(team.admin.call("POST", "/v1/organization/transfer", body)) == (409, "not_transferable")
    assert team.roles()["member@example.com"] == "member"


def test_a_personal_organization_stays_its_owners(ada: Caller, eve: Caller):
    join(eve.user, ada.organization)
    for path, body in (
        (f"{USERS}/{eve.user.pk}", {"role": "owner"}),
        ("/v1/organization/transfer", {"user_id": eve.user.pk}),
    ):
        assert refused(ada.call("POST", path, body)) == (409, "personal_organization")
    assert Membership.objects.get(user=eve.user, organization=ada.organization).role == Role.MEMBER


def test_a_limited_admin_key_hands_on_no_more_than_it_has(team: Team):
    key = team.owner.with_key(
        kind=KeyKind.ADMIN, project=team.default, scopes=["members.read", "members.write", "organization.read"]
    )
    before = team.roles()
    for body in ({"role": "admin"}, {"role": "viewer"}):
        assert refused(key.call("POST", at(team.member), body)) == (403, "insufficient_permissions")
    assert refused(key.call("DELETE", at(team.admin))) == (403, "insufficient_permissions")
    assert team.roles() == before


def test_an_account_that_owns_an_organization_alone_is_not_deleted(team: Team):
    with pytest.raises(Conflict, match="The last owner of 'Acme'") as refusal:
        delete_account(user=team.owner.user, actor=SYSTEM, reason="test")
    assert refusal.value.code == "last_owner"
    assert User.objects.filter(pk=team.owner.user.pk).exists()
    assert team.owner.call("GET", "/v1/models").status_code == 200


def test_a_deleted_account_leaves_no_key_that_works(team: Team):
    user = team.member.user
    project = Project.objects.get(organization=team.organization)
    personal = team.member.with_key(project=project)
    made = team.member.with_key(kind=KeyKind.PROJECT, project=project)
    delete_account(user=user, actor=SYSTEM, reason="test")
    assert "member@example.com" not in team.roles()
    assert not ApiKey.objects.filter(pk=personal.key.pk).exists()
    left = ApiKey.objects.get(pk=made.key.pk)
    assert (left.status, left.user_id) == ("revoked", None)
    assert refused(made.call("GET", "/v1/models")) == (401, "invalid_api_key")


def test_a_guest_that_owns_an_organization_does_not_stop_the_purge(guest: Caller, team: Team, settings):
    settings.GUEST_HOURS = -1
    Membership.objects.filter(user=team.owner.user, organization=team.organization).update(role="member")
    join(guest.user, team.organization, Role.OWNER)
    assert purge_guests() == 0
    Membership.objects.filter(user=team.owner.user, organization=team.organization).update(role="owner")
    assert purge_guests() == 0
    Membership.objects.filter(user=guest.user, organization=team.organization).delete()
    assert purge_guests() == 1

"""The official SDK in strict mode over members, groups, roles and who was given them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.server import Server

pytestmark = pytest.mark.e2e
SIZE = 20  # of a page, when nothing else is asked for
# An organization with an owner's admin key, a project, and three pages of members.
SCRIPT = f"""
import json
from apps.accounts.models import User
from apps.api_keys.services import Holder, create_key
from apps.api_keys.tokens import KeyKind
from apps.organizations.models import Membership
from apps.projects.models import Project
from apps.projects.services import create_organization
owner = User.objects.create_user("owner@sdk.example.com", name="Owner")
organization = create_organization(name="SDK", owner=owner)
project = Project.objects.create(organization=organization, name="Research")
users = [User.objects.create_user(f"m{{n}}@sdk.example.com", name=f"M {{n}}") for n in range({2 * SIZE + 5})]
for user in users:
    Membership.objects.create(user=user, organization=organization, role="member")
key = create_key(kind=KeyKind.ADMIN, name="sdk", place=organization, holder=Holder(owner))[1]
print(json.dumps([key, organization.public_id, project.public_id, owner.pk, [user.pk for user in users]]))
"""
JOIN = """
from apps.accounts.models import User
from apps.organizations.models import Membership, Organization
place = Organization.objects.get(public_id="{}")
Membership.objects.create(user=User.objects.create_user("{}"), organization=place, role="viewer")
"""


@dataclass
class World:
    key: str
    organization: str
    project: str
    owner: str
    members: list[str]


@pytest.fixture(scope="module")
def world(live: Server) -> World:
    made = live.manage("shell", "--no-imports", "-c", SCRIPT)
    assert made.returncode == 0, made.stderr
    return World(*json.loads(made.stdout.strip().splitlines()[-1]))


@pytest.fixture
def admin(live: Server, world: World) -> Iterator[Any]:
    with OpenAI(
        base_url=f"{live.base_url}/v1", admin_api_key=world.key, max_retries=0, _strict_response_validation=True
    ) as client:
        yield client.admin.organization


def paged(rows: Any, insert: Any, pages: int) -> list[Any]:
    """Read a list to its end over `pages` pages, while `insert` adds to it between them."""
    found, seen = [], 0
    for page in rows.iter_pages():
        seen += 1
        found += page.data
        insert(seen)
    assert seen == pages
    return found


def test_members_are_paged_while_others_join(live: Server, admin: Any, world: World):
    def somebody_joins(page: int) -> None:
        code = JOIN.format(world.organization, f"late{page}@sdk.example.com")
        made = live.manage("shell", "--no-imports", "-c", code)
        assert made.returncode == 0, made.stderr

    listed = [user.id for user in paged(admin.users.list(), somebody_joins, 3)]
    # Nobody twice, nobody missing.
    assert listed == [*reversed(world.members), world.owner]


def test_members_are_found_changed_and_removed(admin: Any, world: World):
    first, second = world.members[:2]
    found = admin.users.list(emails=["m0@sdk.example.com", "nobody@sdk.example.com"]).data
    assert [(user.id, user.role, user.user.email) for user in found] == [(first, "member", "m0@sdk.example.com")]
    assert admin.users.update(first, role="admin").role == "admin"
    assert admin.users.update(first, role_id="role_viewer").role == "viewer"
    assert admin.users.update(first, role="reader", developer_persona=openai.omit).role == "viewer"
    assert admin.users.retrieve(first).projects.data == []
    gone = admin.users.delete(second)
    assert (gone.id, gone.deleted) == (second, True)
    with pytest.raises(openai.NotFoundError) as refusal:
        admin.users.retrieve(second)
    assert refusal.value.code == "user_not_found"
    with pytest.raises(openai.ConflictError) as refusal:
        admin.users.delete(world.owner)
    assert refusal.value.code == "last_owner"


def test_groups_and_their_people(admin: Any, world: World):
    group = admin.groups.create(name="Researchers")
    assert (group.name, group.group_type, group.is_scim_managed) == ("Researchers", "group", False)
    assert admin.groups.retrieve(group.id) == group
    assert admin.groups.update(group.id, name="Scientists").name == "Scientists"
    people = world.members[5:8]
    for user_id in people:
        added = admin.groups.users.create(group.id, user_id=user_id)
        assert (added.group_id, added.user_id) == (group.id, user_id)

    late = iter(world.members[10:13])
    listed = paged(
        admin.groups.users.list(group.id, limit=1), lambda _: admin.groups.users.create(group.id, user_id=next(late)), 3
    )
    assert [user.id for user in listed] == people[::-1]
    assert admin.groups.users.retrieve(people[0], group_id=group.id).name == "M 5"
    assert admin.groups.users.delete(people[0], group_id=group.id).deleted
    assert admin.groups.delete(group.id).deleted


def test_groups_are_paged_while_others_are_made(admin: Any):
    made = [admin.groups.create(name=f"g{number}").id for number in range(2 * SIZE + 1)]
    listed = paged(admin.groups.list(), lambda page: admin.groups.create(name=f"late{page}"), 3)
    assert [group.id for group in listed] == made[::-1]
    assert [group.id for group in admin.groups.list(order="asc", limit=100)][: len(made)] == made


def test_roles(admin: Any):
    role = admin.roles.create(role_name="Auditor", permissions=["usage.read"], description="Reads")
    assert (role.name, role.permissions, role.predefined_role, role.resource_type) == (
        "Auditor",
        ["usage.read"],
        False,
        "organization",
    )
    assert admin.roles.retrieve(role.id) == role
    assert admin.roles.update(role.id, role_name="Reader", permissions=None).permissions == ["usage.read"]
    listed = paged(
        admin.roles.list(limit=3), lambda page: admin.roles.create(role_name=f"late{page}", permissions=[]), 3
    )
    assert [one.name for one in listed] == ["Reader", "viewer", "member", "owner", "viewer", "member", "admin", "owner"]
    assert [one.predefined_role for one in listed] == [False] + [True] * 7
    assert admin.roles.delete(role.id).deleted


def test_roles_of_members_and_groups(admin: Any, world: World):
    role = admin.roles.create(role_name="Accountant", permissions=["usage.read"])
    user_id = world.members[20]
    group = admin.groups.create(name="Accountants")
    admin.groups.users.create(group.id, user_id=user_id)
    given = admin.users.roles.create(user_id, role_id=role.id)
    assert (given.user.id, given.role.id) == (user_id, role.id)
    assert admin.groups.roles.create(group.id, role_id=role.id).group.name == "Accountants"
    sources = admin.users.roles.retrieve(role.id, user_id=user_id).assignment_sources
    assert [source.principal_type for source in sources] == ["user", "group"]
    assert [one.id for one in admin.users.roles.list(user_id)] == [role.id]
    assert [one.id for one in admin.groups.roles.list(group.id)] == [role.id]
    assert admin.groups.roles.retrieve(role.id, group_id=group.id).name == "Accountant"
    assert admin.users.roles.delete(role.id, user_id=user_id).deleted
    assert admin.groups.roles.delete(role.id, group_id=group.id).object == "group.role.deleted"
    assert list(admin.users.roles.list(user_id)) == []


def test_roles_in_a_project(admin: Any, world: World):
    projects, user_id = admin.projects, world.members[21]
    role = projects.roles.create(world.project, role_name="Helper", permissions=["usage.read", "projects.read"])
    assert (role.resource_type, projects.roles.retrieve(role.id, project_id=world.project)) == ("project", role)
    assert projects.roles.update(role.id, project_id=world.project, role_name="Aide").name == "Aide"
    assert [one.name for one in projects.roles.list(world.project)] == ["Aide", "viewer", "member", "owner"]
    assert projects.users.roles.create(user_id, project_id=world.project, role_id=role.id).role.name == "Aide"
    assert [one.id for one in projects.users.roles.list(user_id, project_id=world.project)] == [role.id]
    assert projects.users.roles.retrieve(role.id, project_id=world.project, user_id=user_id).name == "Aide"
    assert projects.users.roles.delete(role.id, project_id=world.project, user_id=user_id).deleted
    group = admin.groups.create(name="Helpers")
    placed = projects.groups.create(world.project, group_id=group.id, role="role_project_member")
    assert (placed.group_id, placed.group_name, placed.project_id) == (group.id, "Helpers", world.project)
    assert projects.groups.retrieve(group.id, project_id=world.project) == placed
    assert [one.group_id for one in projects.groups.list(world.project)] == [group.id]
    assert projects.groups.roles.create(group.id, project_id=world.project, role_id=role.id).role.id == role.id
    names = [one.name for one in projects.groups.roles.list(group.id, project_id=world.project)]
    assert names == ["Aide", "member"]
    assert projects.groups.roles.retrieve(role.id, project_id=world.project, group_id=group.id).name == "Aide"
    assert projects.groups.roles.delete(role.id, project_id=world.project, group_id=group.id).deleted
    assert projects.groups.delete(group.id, project_id=world.project).deleted
    assert projects.roles.delete(role.id, project_id=world.project).deleted


def test_groups_in_a_project_are_paged_while_others_come(admin: Any, world: World):
    groups = [admin.groups.create(name=f"p{number}").id for number in range(6)]
    for group_id in groups[:3]:
        admin.projects.groups.create(world.project, group_id=group_id, role="viewer")
    late = iter(groups[3:])
    listed = paged(
        admin.projects.groups.list(world.project, limit=1),
        lambda _: admin.projects.groups.create(world.project, group_id=next(late), role="viewer"),
        3,
    )
    assert [one.group_id for one in listed] == groups[2::-1]

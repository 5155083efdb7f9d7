"""Whether a key's owner has a place in the project: the list's answer is what the rights are."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from apps.api_keys.models import ApiKey
from apps.api_keys.owners import with_access, with_owners
from apps.api_keys.tokens import KeyKind
from apps.organizations.models import CustomRole, Group, GroupMembership, Membership, OrganizationRoleAssignment
from apps.organizations.roles import Role
from apps.projects.models import Project, ProjectMembership, ProjectRoleAssignment, ServiceAccount
from apps.projects.rights import project_rights
from tests.api_keys.conftest import Caller, join, sign_up

WAYS = ("none", "member", "role here", "predefined here", "projects.read", "other right", "empty here", "elsewhere")


def give(way: str, membership: Membership, project: Project, other: Project, to: dict[str, Any]) -> None:
    """Give a member, or a group it is in, what a way says."""
    there = {"organization": membership.organization}
    if way == "member":
        ProjectMembership.objects.create(**there, project=project, membership=membership, role="viewer")
    if way == "elsewhere":
        ProjectMembership.objects.create(**there, project=other, membership=membership, role="owner")
    permissions = {
        "role here": ["models.read"], "empty here": [], "projects.read": ["projects.read"], "other right": ["usage.read"],
    }  # fmt: skip
    if way in permissions:
        kind = "project" if way.endswith("here") else "organization"
        role = CustomRole.objects.create(
            **there, name=f"{way} {membership.pk}", resource_type=kind, permissions=permissions[way]
        )
        if kind == "project":
            ProjectRoleAssignment.objects.create(**there, **to, project=project, role=role)
        else:
            OrganizationRoleAssignment.objects.create(**there, **to, role=role)
    if way == "predefined here":
        ProjectRoleAssignment.objects.create(**there, **to, project=project, predefined="viewer")


@pytest.mark.django_db
def test_access_is_what_the_rights_say(ada: Caller):
    organization = ada.organization
    project, other = (Project.objects.create(organization=organization, name=name) for name in ("one", "two"))
    expected = {}
    for number, (role, way, by_group) in enumerate(itertools.product(Role, WAYS, (False, True))):
        user = sign_up(f"user{number}@example.com").user
        membership = join(user, organization, role)
        to: dict[str, Any] = {"membership": membership}
        if by_group:
            group = Group.objects.create(organization=organization, name=f"group {number}")
            GroupMembership.objects.create(organization=organization, group=group, membership=membership)
            to = {"group": group}
        give(way, membership, project, other, to)
        key = ApiKey.objects.create(
            kind=KeyKind.PROJECT, name=f"{role} {way} {by_group}", organization=organization, project=project, user=user,
            digest=f"{number:064}",
        )  # fmt: skip
        expected[key.name] = bool(project_rights(membership, project))
    found = with_access(with_owners(ApiKey.objects.in_project(project.pk)), project)
    assert {key.name: key.has_access for key in found} == expected
    assert 0 < sum(expected.values()) < len(expected) == 64


def test_service_accounts_have_access_while_they_are_active(ada: Caller):
    key = ada.with_key(kind=KeyKind.SERVICE_ACCOUNT).key
    path = f"/v1/organization/projects/{ada.project.public_id}/api_keys"
    for is_active in (True, False):
        ServiceAccount.objects.update(is_active=is_active)
        word = "active" if is_active else "inactive"
        rows = {name: ada.call("GET", f"{path}?owner_project_access={name}").json()["data"] for name in (
            "active", "inactive", "any",
        )}  # fmt: skip
        assert {name: [row["owner_project_access"] for row in found] for name, found in rows.items()} == {
            "active": [word] if is_active else [], "inactive": [] if is_active else [word], "any": [word],
        }  # fmt: skip
    answer = ada.call("GET", f"{path}?owner_project_access=odd")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "owner_project_access")
    assert ApiKey.objects.get() == key

"""Whatever is sent, the answer is a refusal and nothing changes: no route answers with an error of the server."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from apps.organizations.models import CustomRole, Group, Organization
from apps.projects.models import Project
from tests.organizations.conftest import Team

ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    10**30,
    1.5,
    "",
    " ",
    "\u202e",
    "x" * 5000,
    "\U0001f600" * 200,
    [],
    [[]],
    [None],
    ["x" * 5000],
    {},
    {"a": {"b": []}},
    [1, "a", {}],
]
# No JSON that says anything.
BODIES = [
    b"{",
    b"[]",
    b"null",
    b'"text"',
    b"5",
    b'{"name": "a\\u0000b", "role_name": "a\\u0000b", "role": "a\\u0000b", "user_id": "\\u0000"}',
    b'{"name": "\\ud800", "role_name": "\\udfff", "role": "\\ud800", "user_id": "\\ud800"}',
    b'{"name": "a", "name": "b", "role": "x", "role": "y"}',
    b"\xff\xfe",
    b'{"name": ' + b"[" * 100 + b"]" * 100 + b"}",
]
FIELDS = {
    "": ("name", "description", "domain", "settings"),
    "/{org}": ("name", "description", "domain", "settings", "deleted_at"),
    "/transfer": ("user_id",),
    "/users/{user}": ("role", "role_id", "is_superuser"),
    "/groups": ("name", "id"),
    "/groups/{group}": ("name",),
    "/groups/{group}/users": ("user_id",),
    "/groups/{group}/roles": ("role_id",),
    "/roles": ("role_name", "name", "permissions", "description", "resource_type"),
    "/roles/{role}": ("role_name", "name", "permissions", "description"),
    "/users/{user}/roles": ("role_id",),
    "/projects/{project}/groups": ("group_id", "role"),
    "../projects/{project}/roles": ("role_name", "permissions"),
    "../projects/{project}/users/{user}/roles": ("role_id",),
}


def _paths(team: Team) -> dict[str, str]:
    group, _ = Group.objects.get_or_create(organization=team.organization, name="g")
    role, _ = CustomRole.objects.get_or_create(
        organization=team.organization, name="r", resource_type="organization", permissions=["usage.read"]
    )
    ids = {
        "org": team.organization.public_id,
        "user": team.member.user.pk,
        "group": group.public_id,
        "role": role.public_id,
        "project": Project.objects.get(organization=team.organization).public_id,
    }
    bases = {
        template: f"/v1/{template.removeprefix('../')}" if template.startswith("../") else f"/v1/organization{template}"
        for template in FIELDS
    }
    return {template: base.format(**ids) for template, base in bases.items()}


@pytest.mark.parametrize("template", FIELDS)
def test_odd_values_never_break_the_server(team: Team, template: str):
    path = _paths(team)[template]
    for field, value in itertools.product(FIELDS[template], ODD):
        answer = team.owner.call("POST", path, {field: value})
        assert answer.status_code < 500, (field, value)
    assert team.roles()["member@example.com"] == "member"


@pytest.mark.parametrize("template", FIELDS)
def test_bodies_that_are_none_are_refused(team: Team, template: str):
    path = _paths(team)[template]
    before = (Organization.objects.count(), Group.objects.count(), CustomRole.objects.count(), team.roles())
    for body in BODIES:
        answer = team.owner.call("POST", path, body)
        assert answer.status_code == 400, (body, answer.content)
        assert set(json.loads(answer.content)["error"]) >= {"message", "type", "code", "param", "request_id"}
    assert (Organization.objects.count(), Group.objects.count(), CustomRole.objects.count(), team.roles()) == before


@pytest.mark.parametrize("query", ["limit=x", "limit=101", "order=up", "after=%00", "before=%ff", "offset=-1"])
@pytest.mark.parametrize("path", ["", "/users", "/groups", "/roles"])
def test_odd_queries_are_refused(team: Team, path: str, query: str):
    assert team.owner.call("GET", f"/v1/organization{path}?{query}").status_code == 400

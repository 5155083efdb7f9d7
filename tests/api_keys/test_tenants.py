"""Choosing an organization and a project by header: members may, everybody else is refused clearly."""

from __future__ import annotations

from typing import Any

import pytest

from apps.api_keys.authentication import Credentials, resolve
from apps.api_keys.models import WIDE
from apps.api_keys.tokens import KeyKind
from apps.core.errors import AppError
from apps.core.ids import new_id
from apps.organizations.models import Membership, Organization
from apps.organizations.roles import PROJECT_ROLE_SCOPES, ROLE_SCOPES, ProjectRole, Role
from apps.projects.models import Project, ProjectMembership
from apps.projects.services import create_organization
from tests.api_keys.conftest import Caller, join, sign_up
from tests.api_keys.test_personal_keys import refusal

NOT_A_MEMBER = (403, "not_a_member")
OTHER_ORGANIZATION, OTHER_PROJECT = (401, "mismatched_organization"), (401, "mismatched_project")


@pytest.fixture
def world(ada: Caller, eve: Caller) -> dict[str, Any]:
    """Ada owns `home` (personal) and is a member of `acme`, and there of two of three projects; `theirs` is Eve's."""
    acme = create_organization(name="Acme", owner=sign_up("boss@example.com").user)
    join(ada.user, acme)
    second = Project.objects.create(organization=acme, name="second")
    first = Project.objects.get(organization=acme, is_default=True)
    place = Membership.objects.get(organization=acme, user=ada.user)
    ProjectMembership.objects.create(organization=acme, project=second, membership=place, role=ProjectRole.MEMBER)
    closed = Project.objects.create(organization=acme, name="closed")
    names = {
        "home": ada.organization, "home/default": ada.project, "acme": acme, "acme/first": first,
        "acme/second": second, "acme/closed": closed, "theirs": eve.organization, "theirs/default": eve.project,
    }  # fmt: skip
    ids = {name: row.public_id for name, row in names.items()}
    ids |= {"unknown": new_id("org"), "unknown/project": new_id("proj"), "nonsense": "é' OR 1=1 --", "long": "o" * 9000}
    return {"ids": ids, "rows": names, "names": {value: name for name, value in ids.items()}}


def outcome(caller: Caller, world: dict[str, Any], organization: str | None, project: str | None) -> Any:
    """Where a call with these headers ends up: the project's name, or how it is refused."""
    ids = world["ids"]
    wanted = {"organization": ids[organization] if organization else None, "project": ids[project] if project else None}
    try:
        principal = resolve(Credentials(bearer=caller.secret, **wanted))
    except AppError:
        headers = {f"OpenAI_{name.title()}": value for name, value in wanted.items() if value}
        answer = caller.call(
            "GET", "/v1/auth/me", **{name: value.encode().decode("latin-1") for name, value in headers.items()}
        )
        return refusal(answer)[:2]
    project_row = Project.objects.select_related("organization").get(pk=principal.project_id)
    assert project_row.organization_id == principal.organization_id
    assert (project_row.public_id, project_row.organization.public_id) == (
        principal.project_public_id, principal.organization_public_id,
    )  # fmt: skip
    return world["names"][principal.project_public_id]


@pytest.mark.parametrize(
    ("organization", "project", "ends"),
    [
        (None, None, "home/default"),
        ("home", None, "home/default"),
        ("acme", None, "acme/first"),
        (None, "acme/first", "acme/first"),
        (None, "acme/second", "acme/second"),
        ("acme", "acme/second", "acme/second"),
        ("home", "home/default", "home/default"),
        (None, "acme/closed", NOT_A_MEMBER),
        ("acme", "acme/closed", NOT_A_MEMBER),
        ("home", "acme/second", NOT_A_MEMBER),
        ("acme", "home/default", NOT_A_MEMBER),
        ("acme", "theirs/default", NOT_A_MEMBER),
        ("theirs", None, NOT_A_MEMBER),
        ("theirs", "theirs/default", NOT_A_MEMBER),
        ("theirs", "home/default", NOT_A_MEMBER),
        (None, "theirs/default", NOT_A_MEMBER),
        ("unknown", None, NOT_A_MEMBER),
        (None, "unknown/project", NOT_A_MEMBER),
        ("acme", "unknown/project", NOT_A_MEMBER),
        ("nonsense", None, NOT_A_MEMBER),
        (None, "nonsense", NOT_A_MEMBER),
        ("long", None, NOT_A_MEMBER),
        ("acme/first", None, NOT_A_MEMBER),
        (None, "acme", NOT_A_MEMBER),
    ],
)
def test_a_token_acts_where_its_user_is_a_member(
    ada: Caller, world: dict[str, Any], organization: str | None, project: str | None, ends: Any
):
    assert outcome(ada, world, organization, project) == ends


@pytest.mark.parametrize("kind", [kind for kind in KeyKind if kind not in WIDE])
@pytest.mark.parametrize(
    ("organization", "project", "ends"),
    [
        (None, None, "acme/second"),
        ("acme", None, "acme/second"),
        (None, "acme/second", "acme/second"),
        ("acme", "acme/second", "acme/second"),
        ("acme", "acme/first", OTHER_PROJECT),
        ("acme", "acme/closed", OTHER_PROJECT),
        (None, "acme/first", OTHER_PROJECT),
        (None, "home/default", OTHER_PROJECT),
        (None, "theirs/default", OTHER_PROJECT),
        (None, "unknown/project", OTHER_PROJECT),
        ("home", None, OTHER_ORGANIZATION),
        ("home", "home/default", OTHER_ORGANIZATION),
        ("theirs", None, OTHER_ORGANIZATION),
        ("unknown", None, OTHER_ORGANIZATION),
        ("nonsense", None, OTHER_ORGANIZATION),
        ("long", "long", OTHER_ORGANIZATION),
    ],
)
def test_a_key_acts_in_its_project_and_nowhere_else(
    ada: Caller, world: dict[str, Any], kind: KeyKind, organization: str | None, project: str | None, ends: Any
):
    key = ada.with_key(kind=kind, project=world["rows"]["acme/second"])
    assert outcome(key, world, organization, project) == ends


@pytest.mark.parametrize("kind", sorted(WIDE))
@pytest.mark.parametrize(
    ("organization", "project", "ends"),
    [
        (None, None, "acme/first"),
        ("acme", None, "acme/first"),
        (None, "acme/second", "acme/second"),
        ("acme", "acme/closed", "acme/closed"),
        (None, "home/default", OTHER_PROJECT),
        (None, "theirs/default", OTHER_PROJECT),
        ("acme", "unknown/project", OTHER_PROJECT),
        ("home", None, OTHER_ORGANIZATION),
        ("theirs", "theirs/default", OTHER_ORGANIZATION),
        ("nonsense", None, OTHER_ORGANIZATION),
    ],
)
def test_an_organizations_key_acts_in_any_of_its_projects(
    ada: Caller, world: dict[str, Any], kind: KeyKind, organization: str | None, project: str | None, ends: Any
):
    key = ada.with_key(kind=kind, project=world["rows"]["acme/first"])
    assert outcome(key, world, organization, project) == ends


def test_a_strangers_tenant_looks_like_none_at_all(ada: Caller, world: dict[str, Any]):
    def said(organization: str) -> Any:
        answer = ada.call("GET", "/v1/auth/me", OpenAI_Organization=organization)
        return answer.status_code, answer.json()

    assert said(world["ids"]["theirs"]) == said(world["ids"]["unknown"])


def test_rights_are_those_of_the_chosen_organization(ada: Caller, eve: Caller):
    join(ada.user, eve.organization, Role.VIEWER)
    there = resolve(Credentials(bearer=ada.secret, organization=eve.organization.public_id))
    assert there.scopes == PROJECT_ROLE_SCOPES[ProjectRole.VIEWER] | ROLE_SCOPES[Role.VIEWER]
    assert there.organization_scopes == ROLE_SCOPES[Role.VIEWER]
    answer = ada.call("POST", "/v1/auth/api-keys", {"name": "k"}, OpenAI_Organization=eve.organization.public_id)
    assert refusal(answer)[:2] == (403, "insufficient_permissions")


def test_whoever_left_an_organization_is_refused_there(ada: Caller, world: dict[str, Any]):
    key = ada.with_key(project=world["rows"]["acme/first"])
    world["rows"]["acme"].memberships.get(user=ada.user).delete()
    assert outcome(ada, world, "acme", None) == NOT_A_MEMBER
    assert outcome(key, world, None, None) == (401, "invalid_api_key")
    assert outcome(ada, world, None, None) == "home/default"


@pytest.mark.parametrize("first", ["home", "acme"])
def test_two_credentials_agree_or_are_ambiguous(ada: Caller, world: dict[str, Any], first: str):
    project = {"home": "home/default", "acme": "acme/first"}[first]
    key = ada.with_key(project=world["rows"][project])
    answer = key.call("GET", "/v1/auth/me", X_API_Key=key.secret, Authorization=f"Bearer {ada.secret}")
    if first == "home":
        assert answer.status_code == 200
    else:
        assert refusal(answer)[:2] == (400, "ambiguous_credentials")
    agreed = key.call(
        "GET", "/v1/auth/me", X_API_Key=key.secret, Authorization=f"Bearer {ada.secret}",
        OpenAI_Project=world["ids"][project],
    )  # fmt: skip
    assert agreed.status_code == 200


def test_no_header_moves_an_organization(ada: Caller, world: dict[str, Any]):
    """What is asked for in vain changes nothing."""
    before = list(Organization.objects.order_by("id").values())
    ada.call("POST", "/v1/auth/api-keys", {"name": "k"}, OpenAI_Organization=world["ids"]["theirs"])
    assert list(Organization.objects.order_by("id").values()) == before
    assert not world["rows"]["theirs"].api_keys.exists()

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from apps.api_keys.services import Holder, create_key
from apps.api_keys.tokens import KeyKind
from apps.organizations.models import Membership, Organization
from apps.organizations.roles import ProjectRole, Role, Scope
from apps.projects.models import Project, ProjectMembership
from tests.api_keys.conftest import Caller, guest, join, sign_up
from tests.parts.once import made_once

__all__ = ["guest"]

PROJECTS = "/v1/organization/projects"


class Acme:
    """An organization with people of every role, a project of its own kind for each test, and a stranger."""

    def __init__(self) -> None:
        self.owner = sign_up("owner@acme.example", name="Olga Owner")
        self.organization: Organization = self.owner.organization
        self.project = Project.objects.create(organization=self.organization, name="Apollo")
        self.admin = self._person("admin", Role.ADMIN)
        self.project_owner = self._person("project-owner", Role.MEMBER, ProjectRole.OWNER)
        self.member = self._person("member", Role.MEMBER, ProjectRole.MEMBER)
        self.viewer = self._person("viewer", Role.VIEWER, ProjectRole.VIEWER)
        self.outsider = self._person("outsider", Role.MEMBER)
        self.stranger = sign_up("stranger@example.com")

    @property
    def path(self) -> str:
        return f"{PROJECTS}/{self.project.public_id}"

    def _person(self, name: str, role: Role, project_role: ProjectRole | None = None) -> Caller:
        person = sign_up(f"{name}@acme.example", name=name.title())
        join(person.user, self.organization, role)
        if project_role is not None:
            self.place(person, project_role)
        return InAcme(person.user, person.secret, organization_id=self.organization.public_id)

    def membership(self, person: Caller) -> Membership:
        return Membership.objects.get(organization=self.organization, user=person.user)

    def place(self, person: Caller, role: ProjectRole, project: Project | None = None) -> ProjectMembership:
        return ProjectMembership.objects.create(
            organization=self.organization,
            project=project or self.project,
            membership=self.membership(person),
            role=role,
        )

    def admin_key(self, person: Caller | None = None, scopes: set[Scope] | None = None) -> Caller:
        person = person or self.owner
        holder = Holder(person.user)
        key, secret = create_key(
            kind=KeyKind.ADMIN, name="admin", place=self.organization, holder=holder, scopes=scopes
        )
        return Caller(person.user, secret, key)


class InAcme(Caller):
    """Somebody of Acme, who has a personal organization too."""

    def __init__(self, *args: Any, organization_id: str) -> None:
        super().__init__(*args)
        self.organization_id = organization_id

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        return super().call(method, path, body, OpenAI_Organization=self.organization_id, **headers)


@pytest.fixture(scope="module")
def _acme(django_db_setup: None, django_db_blocker: Any) -> Iterator[Acme]:
    with made_once(django_db_blocker, Acme) as made:
        yield made


@pytest.fixture
def acme(_acme: Acme, db: None) -> Acme:
    return copy.deepcopy(_acme)


@pytest.fixture
def make_project(acme: Acme) -> Callable[..., Project]:
    def make(name: str = "another", **fields: Any) -> Project:
        return Project.objects.create(organization=acme.organization, name=name, **fields)

    return make


def refused(answer: Any) -> tuple[int, str, str | None]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["param"]

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from apps.audit.models import AuditEvent
from apps.organizations.models import Membership, Organization
from apps.organizations.roles import Role
from apps.projects.models import Project
from apps.projects.services import create_organization
from tests.api_keys.conftest import Caller, join, sign_up
from tests.api_keys.conftest import ada as ada
from tests.api_keys.conftest import eve as eve
from tests.api_keys.conftest import guest as guest
from tests.parts.once import made_once


@dataclass
class Member(Caller):
    """Somebody who calls in one organization, whichever it would be by itself."""

    place: Organization | None = None

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        if self.place is not None and self.key is None:
            headers.setdefault("OpenAI_Organization", self.place.public_id)
        return super().call(method, path, body, **headers)

    @property
    def membership(self) -> Membership:
        return Membership.objects.get(user=self.user, organization=self.place)


@dataclass
class Team:
    """An organization with somebody of every role."""

    organization: Organization
    owner: Member
    admin: Member
    member: Member
    viewer: Member

    def new(self, name: str, role: Role = Role.MEMBER) -> Member:
        user = sign_up(f"{name}@example.com", name=name.title())
        join(user.user, self.organization, role)
        return Member(user.user, user.secret, place=self.organization)

    @property
    def default(self) -> Project:
        return Project.objects.get(organization=self.organization, is_default=True)

    def project(self, name: str = "Research") -> Project:
        return Project.objects.create(organization=self.organization, name=name)

    def roles(self) -> dict[str, str]:
        """Everybody's role, by address."""
        members = Membership.objects.in_organization(self.organization.pk)
        return dict(members.values_list("user__email", "role"))

    def events(self) -> list[tuple[str, str]]:
        """What the log says of the organization, but for how it was made: action and target."""
        events = AuditEvent.objects.in_organization(self.organization.public_id).order_by("id")
        return [(e.action, e.target_id) for e in events if e.action != "organization.created"]


def make_team(prefix: str = "") -> Team:
    owner = sign_up(f"{prefix}owner@example.com", name="Owner")
    organization = create_organization(name=f"{prefix}Acme", owner=owner.user)
    people = {}
    for role in (Role.ADMIN, Role.MEMBER, Role.VIEWER):
        person = sign_up(f"{prefix}{role}@example.com", name=role.title())
        join(person.user, organization, role)
        people[role.value] = Member(person.user, person.secret, place=organization)
    return Team(organization, Member(owner.user, owner.secret, place=organization), **people)


@pytest.fixture(scope="module")
def _team(django_db_setup: None, django_db_blocker: Any) -> Iterator[Team]:
    with made_once(django_db_blocker, make_team) as made:
        yield made


@pytest.fixture
def team(_team: Team, db: None) -> Team:
    return copy.deepcopy(_team)


@pytest.fixture
def strangers(db: None) -> Team:
    """Another organization with somebody of every role."""
    return make_team("other-")


def refused(answer: Any) -> tuple[int, str]:
    """The status and the code of an error."""
    return answer.status_code, answer.json()["error"]["code"]

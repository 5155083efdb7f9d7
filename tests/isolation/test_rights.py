"""
No sequence of operations on keys and roles gives anybody more than whoever began had at that place.

A principal acts; so does every credential it makes, every account it invites and every key of
those. What all of them can do, and what everybody else gained meanwhile, is within what the first one could
hand on when it began.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.account.models import EmailAddress
from django.core.cache import cache
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from apps.accounts.models import User
from apps.api_keys.authentication import Credentials, resolve
from apps.api_keys.tokens import is_well_formed
from apps.core.errors import AppError
from apps.organizations.models import Membership
from apps.organizations.principal import Principal
from apps.organizations.rights import organization_rights
from apps.organizations.roles import Scope
from apps.projects.models import Project
from apps.projects.rights import grants_of, project_rights
from tests.isolation.calls import Reply, call
from tests.isolation.matrix import Matrix, rolled_back
from tests.isolation.world import NOTHING, token_of

pytestmark = pytest.mark.django_db

RUNS, STEPS = 56, 20
BEGINNERS = (
    "owner", "admin", "project owner", "member", "viewer", "outsider", "guest member", "user key", "project key",
    "read-only key", "organization key", "admin key", "service account key", "ephemeral key",
)  # fmt: skip
# What is drawn from, by what it is.
POOLS = {
    "project": ("project", "archived_project", "default_project"),
    "member": ("member", "newcomer"),
    "group": ("group", "new_group"),
    "role": ("role", "new_role"),
    "project_role": ("project_role", "new_project_role"),
    "service_account": ("service_account",),
    "key": ("project_key", "admin_key", "organization_key", "key", "service_account_key"),
}
_SECRET = re.compile(r"(?:sk|jan_[a-z]k|jan_sa)_[0-9A-Za-z]{38}")
Rights = dict[str, frozenset[Scope]]
AT_ORGANIZATION = "the organization"
done: Counter[str] = Counter()

number = st.integers(0, 999)
scopes = st.lists(st.sampled_from([scope.value for scope in Scope]), min_size=1, max_size=5, unique=True)
wide_role, project_role = (
    st.sampled_from(["owner", "admin", "member", "viewer"]),
    st.sampled_from(["owner", "member", "viewer"]),
)


class Escalation(RuleBasedStateMachine):
    matrix: Matrix

    def __init__(self) -> None:
        super().__init__()
        self.undo = ExitStack()

    @initialize(name=st.sampled_from(BEGINNERS))
    def begin(self, name: str) -> None:
        self.undo.enter_context(rolled_back())
        cache.clear()
        world = self.matrix.world
        self.organization = world.a.organization
        beginner = world.principals[name]
        self.name, self.log = name, []  # type: ignore[var-annotated]
        self.secrets = [beginner.secret]
        self.beginner = beginner
        self.colluder = User.objects.create_user("colluder@example.com", None)
        EmailAddress.objects.create(user=self.colluder, email="colluder@example.com", verified=True, primary=True)
        self.colluders_token = token_of(self.colluder)
        self.ids = {pool: [world.a_id(kind) for kind in kinds] for pool, kinds in POOLS.items()}
        self.ids["member"] += [world.a.people[who].pk for who in ("admin", "owner", "member", "viewer", "outsider")]
        self.may = {
            place: grants_of(self.principal_of(str(beginner.secret)), project) for place, project in self.places()
        }
        self.had = self.rights_of_people()

    def teardown(self) -> None:
        with self.undo:
            for secret in self.secrets[1:]:
                self.look_at(str(secret))
            self.look_at_people()

    def places(self) -> Iterator[tuple[str, Project | None]]:
        yield AT_ORGANIZATION, None
        for project in Project.objects.in_organization(self.organization.pk).present():
            yield project.public_id, project

    def allowed(self, place: str) -> frozenset[Scope]:
        """What the beginner could hand on there. In a project made since: what it could everywhere."""
        return self.may[AT_ORGANIZATION] | self.may.get(place, NOTHING)

    def principal_of(self, secret: str) -> Principal:
        organization = None if is_well_formed(secret) else self.organization.public_id
        found = resolve(Credentials(bearer=secret, organization=organization))
        assert found is not None
        return found

    def rights_of_people(self) -> dict[tuple[str, str], frozenset[Scope]]:
        found = {}
        members = Membership.objects.in_organization(self.organization.pk).select_related("user")
        places = list(self.places())
        for member in members:
            guest = member.user.has_guest_rights
            for place, project in places:
                rights = (
                    project_rights(member, project, is_guest=guest)
                    if project
                    else organization_rights(member, is_guest=guest)
                )
                found[member.user_id, place] = rights
        return found

    def act(self, at: int, method: str, path: str, body: Any = None) -> Reply:
        """Let one of those who are in it do something, and look at the credential that it got, if it did."""
        secret = str(self.secrets[at % len(self.secrets)])
        organization = None if is_well_formed(secret) else self.organization.public_id
        reply = call(secret, method, path, body, organization=organization)
        assert reply.status < 500, (method, path, body, reply)
        done["steps"] += 1
        if reply.ok and method != "GET":
            done["changes"] += 1
            self.log.append(f"{method} {path} {body}")
            for found in _SECRET.findall(reply.text):
                if found not in self.secrets:
                    self.secrets.append(found)
                    self.look_at(found)
        return reply

    def look_at(self, secret: str) -> None:
        """A credential opens no more, and hands on no more, than the beginner could hand on."""
        try:
            principal = self.principal_of(secret)
        except AppError:
            return  # it is over
        after, own = (self.name, self.log), principal.project_public_id
        assert principal.organization_scopes <= self.allowed(AT_ORGANIZATION), after
        assert principal.scopes <= self.allowed(own), (after, principal.scopes - self.allowed(own))
        for place, project in self.places():
            more = grants_of(principal, project) - self.allowed(place)
            assert not more, (after, place, more)

    def look_at_people(self) -> None:
        """The beginner itself has gained nothing, and others nothing that it could not hand on."""
        for (user, place), rights in self.rights_of_people().items():
            before = self.had.get((user, place), NOTHING)
            if place not in self.may:  # made since
                before |= self.had.get((user, AT_ORGANIZATION), NOTHING)
            is_beginner = self.beginner.user is not None and user == self.beginner.user.pk and place in self.may
            gained = rights - before - (NOTHING if is_beginner else self.allowed(place))
            assert not gained, (self.name, self.log, user, place, gained)

    def one(self, kind: str, at: int) -> str:
        return self.ids[kind][at % len(self.ids[kind])]

    # Keys of every kind.

    @rule(at=number, rights=st.none() | scopes, kind=st.sampled_from(["user", "project", "ephemeral"]))
    def make_key(self, at: int, rights: list[str] | None, kind: str) -> None:
        self.act(at, "POST", "auth/api-keys", {"name": "k", "kind": kind, **({"scopes": rights} if rights else {})})

    @rule(at=number, rights=st.none() | scopes, path=st.sampled_from(["admin_api_keys", "api_keys"]))
    def make_wide_key(self, at: int, rights: list[str] | None, path: str) -> None:
        self.act(at, "POST", f"organization/{path}", {"name": "k", **({"scopes": rights} if rights else {})})

    @rule(at=number, which=number, rights=st.none() | scopes)
    def make_project_key(self, at: int, which: int, rights: list[str] | None) -> None:
        body = {"name": "k", **({"scopes": rights} if rights else {})}
        self.act(at, "POST", f"organization/projects/{self.one('project', which)}/api_keys", body)

    @rule(at=number, which=number, key=number, rights=st.lists(st.sampled_from([scope.value for scope in Scope]), max_size=4, unique=True),
          path=st.sampled_from(["auth/api-keys/{key}", "organization/admin_api_keys/{key}", "organization/api_keys/{key}", "organization/projects/{project}/api_keys/{key}"]))  # fmt: skip
    def change_key(self, at: int, which: int, key: int, rights: list[str], path: str) -> None:
        where = path.format(key=self.one("key", key), project=self.one("project", which))
        self.act(at, "PATCH", where, {"scopes": rights})

    @rule(at=number, which=number, key=number,
          path=st.sampled_from(["auth/api-keys/{key}", "organization/admin_api_keys/{key}", "organization/api_keys/{key}", "organization/projects/{project}/api_keys/{key}"]))  # fmt: skip
    def rotate_key(self, at: int, which: int, key: int, path: str) -> None:
        self.act(at, "POST", path.format(key=self.one("key", key), project=self.one("project", which)) + "/rotate")

    @rule(at=number, which=number, role=project_role)
    def make_service_account(self, at: int, which: int, role: str) -> None:
        self.act(
            at,
            "POST",
            f"organization/projects/{self.one('project', which)}/service_accounts",
            {"name": "s", "role": role},
        )

    @rule(at=number, which=number, role=project_role, account=number)
    def change_service_account(self, at: int, which: int, role: str, account: int) -> None:
        path = f"organization/projects/{self.one('project', which)}/service_accounts/{self.one('service_account', account)}"
        self.act(at, "POST", path, {"role": role})
        self.act(at, "POST", f"{path}/api_keys", {"name": "k"})

    # Roles, given to people and groups.

    @rule(at=number, rights=scopes, which=number, place=st.sampled_from(["organization", "projects/{project}"]))
    def make_role(self, at: int, rights: list[str], which: int, place: str) -> None:
        path, kind = (
            place.format(project=self.one("project", which)),
            "role" if place == "organization" else "project_role",
        )
        reply = self.act(at, "POST", f"{path}/roles", {"role_name": f"r{done['steps']}", "permissions": rights})
        if reply.ok:
            self.ids[kind].append(reply.json()["id"])

    @rule(
        at=number,
        rights=scopes,
        which=number,
        role=number,
        place=st.sampled_from(["organization", "projects/{project}"]),
    )
    def change_role(self, at: int, rights: list[str], which: int, role: int, place: str) -> None:
        path, kind = (
            place.format(project=self.one("project", which)),
            "role" if place == "organization" else "project_role",
        )
        self.act(at, "POST", f"{path}/roles/{self.one(kind, role)}", {"permissions": rights})

    @rule(at=number, which=number, role=number, who=number, holder=st.sampled_from(["users", "groups"]),
          place=st.sampled_from(["organization", "projects/{project}"]))  # fmt: skip
    def give_role(self, at: int, which: int, role: int, who: int, holder: str, place: str) -> None:
        path, kind = (
            place.format(project=self.one("project", which)),
            "role" if place == "organization" else "project_role",
        )
        name = self.one("member" if holder == "users" else "group", who)
        self.act(at, "POST", f"{path}/{holder}/{name}/roles", {"role_id": self.one(kind, role)})

    @rule(at=number, who=number, role=wide_role)
    def change_member(self, at: int, who: int, role: str) -> None:
        self.act(at, "POST", f"organization/users/{self.one('member', who)}", {"role": role})

    @rule(at=number, which=number, who=number, role=project_role)
    def place(self, at: int, which: int, who: int, role: str) -> None:
        path, name = f"organization/projects/{self.one('project', which)}/users", self.one("member", who)
        if not self.act(at, "POST", path, {"user_id": name, "role": role}).ok:
            self.act(at, "POST", f"{path}/{name}", {"role": role})

    @rule(at=number, which=number, who=number)
    def join_group(self, at: int, which: int, who: int) -> None:
        self.act(
            at, "POST", f"organization/groups/{self.one('group', which)}/users", {"user_id": self.one("member", who)}
        )

    @rule(at=number, which=number, who=number, role=st.sampled_from(["owner", "member", "viewer"]))
    def place_group(self, at: int, which: int, who: int, role: str) -> None:
        body = {"group_id": self.one("group", who), "role": role}
        self.act(at, "POST", f"organization/projects/{self.one('project', which)}/groups", body)

    @rule(at=number)
    def make_project(self, at: int) -> None:
        reply = self.act(at, "POST", "organization/projects", {"name": "p"})
        if reply.ok:
            self.ids["project"].append(reply.json()["id"])

    @rule(at=number, which=number, role=wide_role, there=project_role)
    def invite(self, at: int, which: int, role: str, there: str) -> None:
        body = {
            "email": "colluder@example.com",
            "role": role,
            "projects": [{"id": self.one("project", which), "role": there}],
        }
        reply = self.act(at, "POST", "organization/invites", body)
        if not reply.ok:
            return
        made = reply.json()
        secret = parse_qs(urlsplit(made["invite_url"]).query)["token"][0]
        accepted = call(self.colluders_token, "POST", f"organization/invites/{made['id']}/accept", {"token": secret})
        if accepted.ok and self.colluders_token not in self.secrets:
            self.secrets.append(self.colluders_token)
            self.ids["member"].append(self.colluder.pk)


def test_nobody_gets_more_than_whoever_began_could_give(matrix: Matrix):
    Escalation.matrix = matrix
    chosen = settings(
        max_examples=RUNS, stateful_step_count=STEPS, deadline=None, derandomize=True, database=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run_state_machine_as_test(Escalation, settings=chosen)
    print(dict(done))  # noqa: T201
    assert done["steps"] >= 800
    assert done["changes"] >= 100

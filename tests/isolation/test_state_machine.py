"""
Random people do random things, with ids of anywhere.

A model of the world knows who may see what. After each step every id that somebody was told is one
that somebody may see, and no step ends in a bug of the server.
"""

from __future__ import annotations

import copy
import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.account.models import EmailAddress
from django.core.cache import cache
from django.db import transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from apps.accounts.models import User
from apps.api_keys.authentication import Credentials, resolve
from apps.core.wall import widened
from apps.organizations.principal import Principal
from apps.projects.models import Project
from tests.isolation.calls import Reply, call
from tests.isolation.matrix import rolled_back
from tests.isolation.world import token_of

pytestmark = pytest.mark.django_db

# `ISOLATION_RUNS=245` is the whole of it: 10,000 steps, some three minutes of a core.
PEOPLE, STEPS, RUNS = 6, 50, int(os.environ.get("ISOLATION_RUNS", "62"))
MANAGERS = {"owner", "admin"}
_ID = re.compile(r"\b(?:org|proj|user|inv|group|role|sa|key)_[0-9A-Za-z]{24}\b")
_ORGANIZATION = re.compile(r"org_[0-9A-Za-z]{24}")
steps: Counter[str] = Counter()


@dataclass
class OfOrganization:
    """What the model knows of one organization. `past` are all that ever were in it: their ids stay in its rows."""

    roles: dict[str, str] = field(default_factory=dict)
    past: set[str] = field(default_factory=set)
    default: str = ""
    projects: dict[str, dict[str, str]] = field(default_factory=dict)
    groups: dict[str, set[str]] = field(default_factory=dict)
    group_places: dict[str, set[str]] = field(default_factory=dict)
    managed: set[str] = field(default_factory=set)  # invites, roles and keys of the organization itself
    in_project: dict[str, str] = field(default_factory=dict)  # keys and service accounts

    def is_placed(self, user: str, project: str) -> bool:
        by_group = any(user in self.groups.get(group, ()) for group in self.group_places.get(project, ()))
        return project == self.default or user in self.projects.get(project, {}) or by_group

    def forget(self, user: str) -> None:
        self.roles.pop(user, None)
        for places in (*self.projects.values(), *self.groups.values()):
            places.pop(user, None) if isinstance(places, dict) else places.discard(user)

    def visible_to(self, user: str) -> set[str]:
        role = self.roles.get(user)
        if role is None:
            return set()
        mine = {project for project in self.projects if role in MANAGERS or self.is_placed(user, project)}
        seen = mine | self.past | {name for name, project in self.in_project.items() if project in mine}
        leads = any(places.get(user) == "owner" for places in self.projects.values())
        if role in MANAGERS or leads:
            seen |= set(self.groups)
        return seen | (self.managed if role in MANAGERS else set())


@dataclass
class Known:
    people: list[str]
    secrets: dict[str, str]
    organizations: dict[str, OfOrganization] = field(default_factory=dict)
    ids: dict[str, list[str]] = field(default_factory=dict)

    def visible_to(self, user: str) -> set[str]:
        seen = {user, *(name for name, each in self.organizations.items() if user in each.roles)}
        return seen.union(*(each.visible_to(user) for each in self.organizations.values()))

    def add(self, kind: str, name: str) -> str:
        self.ids.setdefault(kind, []).append(name)
        return name


LOOKS = [
    "organization", "organization/{org}", "organization/{org}/users", "organization/{org}/users/{user}",
    "organization/{org}/users/{user}/roles", "organization/{org}/invites", "organization/{org}/invites/{inv}",
    "organization/{org}/groups", "organization/{org}/groups/{group}", "organization/{org}/groups/{group}/users",
    "organization/{org}/groups/{group}/roles", "organization/{org}/roles", "organization/{org}/roles/{role}",
    "organization/{org}/admin_api_keys", "organization/{org}/admin_api_keys/{key}", "organization/{org}/api_keys",
    "organization/{org}/projects", "organization/{org}/projects/{proj}", "organization/{org}/projects/{proj}/users",
    "organization/{org}/projects/{proj}/users/{user}", "organization/{org}/projects/{proj}/groups",
    "organization/{org}/projects/{proj}/api_keys", "organization/{org}/projects/{proj}/api_keys/{key}",
    "organization/{org}/projects/{proj}/service_accounts", "organization/{org}/projects/{proj}/rate_limits",
    "organization/{org}/usage/completions?start_time=1700000000&group_by=project_id,user_id", "auth/me", "user/profile",
    "auth/api-keys", "auth/api-keys/{key}",
]  # fmt: skip
who, pick = st.integers(0, PEOPLE - 1), st.lists(st.integers(0, 999), min_size=5, max_size=5)
organization_role, project_role = (
    st.sampled_from(["owner", "admin", "member", "viewer"]),
    st.sampled_from(["owner", "member", "viewer"]),
)


class People(RuleBasedStateMachine):
    """`start` is what every run begins with; whatever a run does is rolled back."""

    start: Known

    def __init__(self) -> None:
        super().__init__()
        self.known = copy.deepcopy(self.start)
        self.undo = ExitStack()
        self.principals: dict[tuple[str, str | None], Principal | None] = {}

    @initialize()
    def begin(self) -> None:
        self.undo.enter_context(rolled_back())
        cache.clear()

    def teardown(self) -> None:
        self.undo.close()

    # What is told, and the one check there is.

    def ask(self, user: str, method: str, path: str, body: Any = None) -> Reply:
        reply = call(self.known.secrets[user], method, path, body, known=self.principal(user, path))
        if reply.ok and method != "GET":
            self.principals.clear()
        steps["calls"] += 1
        steps[str(reply.status)] += 1
        assert reply.status < 500, (method, path, reply)
        return reply

    def principal(self, user: str, path: str) -> Principal | None:
        """Who the caller is in the organization of the path, as long as nothing changed, or else in its own."""
        named = _ORGANIZATION.search(path)
        organization = named[0] if named else None
        if organization is not None and user not in getattr(self.known.organizations.get(organization), "roles", ()):
            organization = None
        if (user, organization) not in self.principals:
            credentials = Credentials(bearer=self.known.secrets[user], organization=organization)
            self.principals[user, organization] = resolve(credentials)
        return self.principals[user, organization]

    def check(self, user: str, reply: Reply, *sent: str) -> None:
        told = set(_ID.findall(reply.text)) - (set() if reply.ok else set(sent))
        assert told <= self.known.visible_to(user), (user, told - self.known.visible_to(user), reply)

    def chosen(self, pick: list[int]) -> dict[str, str]:
        kinds = ("org", "user", "proj", "group", "role", "inv", "key")
        pools = [self.known.ids.get(kind) or ["none"] for kind in kinds]
        return {kind: pool[pick[at % 5] % len(pool)] for at, (kind, pool) in enumerate(zip(kinds, pools, strict=True))}

    def near(self, user: str, pick: list[int]) -> dict[str, str]:
        """Ids that mostly belong together: those of one organization, which is mostly the caller's."""
        ids = self.chosen(pick)
        mine = [name for name, each in self.known.organizations.items() if user in each.roles]
        if pick[3] % 3 and mine:
            ids["org"] = mine[pick[0] % len(mine)]
        of = self.known.organizations.get(ids["org"])
        if of is not None and pick[4] % 4:
            ids["proj"] = ([*of.projects] or [ids["proj"]])[pick[2] % max(1, len(of.projects))]
            ids["user"] = ([*of.roles] or [ids["user"]])[pick[1] % max(1, len(of.roles))]
            ids["group"] = ([*of.groups] or [ids["group"]])[pick[3] % max(1, len(of.groups))]
        return ids

    def change(
        self, at: int, pick: list[int], method: str, path: str, body: Any = None
    ) -> tuple[str, dict[str, str], Reply, Any]:
        """Try to change something. What the model has of it comes back when it was done."""
        user = self.known.people[at]
        ids = self.near(user, pick)
        filled = {
            name: value.format_map(ids) if isinstance(value, str) else value for name, value in (body or {}).items()
        }
        reply = self.ask(user, method, path.format_map(ids), filled or None)
        steps["steps"] += 1
        of = self.known.organizations.get(ids["org"])
        if reply.ok:
            assert of is not None
            assert user in of.roles, (user, ids, reply)
        else:
            self.check(user, reply, *ids.values())
        return user, ids, reply, of

    @rule(at=who, pick=pick, path=st.sampled_from(LOOKS), near=st.booleans())
    def look(self, at: int, pick: list[int], path: str, near: bool) -> None:
        user = self.known.people[at]
        ids = self.near(user, pick) if near else self.chosen(pick)
        steps["steps"] += 1
        self.check(user, self.ask(user, "GET", path.format_map(ids)), *ids.values())

    @rule(at=who, pick=pick, path=st.sampled_from(LOOKS))
    def look_by_header(self, at: int, pick: list[int], path: str) -> None:
        """In an organization that a header names, which is somebody else's more often than not."""
        user, ids = self.known.people[at], self.chosen(pick)
        steps["steps"] += 1
        reply = call(
            self.known.secrets[user], "GET", path.replace("organization/{org}", "organization").format_map(ids),
            organization=ids["org"],
        )  # fmt: skip
        assert reply.status < 500, reply
        self.check(user, reply, *ids.values())

    # What is done.

    @rule(at=who)
    def found_organization(self, at: int) -> None:
        user = self.known.people[at]
        reply = self.ask(user, "POST", "organization", {"name": "new"})
        steps["steps"] += 1
        if reply.ok:
            adopt(self.known, reply.json()["id"], user)
        self.check(user, reply)

    @rule(at=who, pick=pick)
    def delete_organization(self, at: int, pick: list[int]) -> None:
        if pick[0] % 10:  # else there would soon be none
            return
        _, ids, reply, _ = self.change(at, pick, "DELETE", "organization/{org}")
        if reply.ok:
            del self.known.organizations[ids["org"]]

    @rule(at=who, pick=pick, role=organization_role)
    def change_role(self, at: int, pick: list[int], role: str) -> None:
        user, ids, reply, of = self.change(at, pick, "POST", "organization/{org}/users/{user}", {"role": role})
        if reply.ok:
            of.roles[ids["user"]] = role
            self.check(user, reply)

    @rule(at=who, pick=pick)
    def remove_member(self, at: int, pick: list[int]) -> None:
        _, ids, reply, of = self.change(at, pick, "DELETE", "organization/{org}/users/{user}")
        if reply.ok:
            of.forget(ids["user"])

    @rule(at=who, invited=who, pick=pick, role=organization_role)
    def invite_and_accept(self, at: int, invited: int, pick: list[int], role: str) -> None:
        guest = self.known.people[invited]
        body = {"email": f"person{invited}@example.com", "role": role}
        user, _, reply, of = self.change(at, pick, "POST", "organization/{org}/invites", body)
        if not reply.ok:
            return
        made = reply.json()
        of.managed.add(self.known.add("inv", made["id"]))
        self.check(user, reply)
        secret = parse_qs(urlsplit(made["invite_url"]).query)["token"][0]
        accepted = self.ask(guest, "POST", f"organization/invites/{made['id']}/accept", {"token": secret})
        if accepted.ok:
            of.roles.setdefault(guest, role)
            of.past.add(guest)
        other = self.known.people[(invited + 1) % PEOPLE]
        assert not self.ask(other, "POST", f"organization/invites/{made['id']}/accept", {"token": secret}).ok

    @rule(at=who, pick=pick)
    def create_project(self, at: int, pick: list[int]) -> None:
        user, _, reply, of = self.change(at, pick, "POST", "organization/{org}/projects", {"name": "new"})
        if reply.ok:
            of.projects[self.known.add("proj", reply.json()["id"])] = {user: "owner"}
            self.check(user, reply)

    @rule(at=who, pick=pick, word=st.sampled_from(["archive", "unarchive", ""]))
    def change_project(self, at: int, pick: list[int], word: str) -> None:
        path = "organization/{org}/projects/{proj}" + (f"/{word}" if word else "")
        user, ids, reply, _ = self.change(at, pick, "POST", path, None if word else {"name": "renamed"})
        self.check(user, reply, *ids.values())

    @rule(at=who, pick=pick)
    def delete_project(self, at: int, pick: list[int]) -> None:
        _, ids, reply, of = self.change(at, pick, "DELETE", "organization/{org}/projects/{proj}")
        if reply.ok:
            del of.projects[ids["proj"]]

    @rule(at=who, pick=pick, role=project_role)
    def place(self, at: int, pick: list[int], role: str) -> None:
        body = {"user_id": "{user}", "role": role}
        user, ids, reply, of = self.change(at, pick, "POST", "organization/{org}/projects/{proj}/users", body)
        if reply.ok:
            assert ids["user"] in of.roles
            of.projects[ids["proj"]][ids["user"]] = role
            self.check(user, reply)

    @rule(at=who, pick=pick)
    def displace(self, at: int, pick: list[int]) -> None:
        _, ids, reply, of = self.change(at, pick, "DELETE", "organization/{org}/projects/{proj}/users/{user}")
        if reply.ok:
            of.projects[ids["proj"]].pop(ids["user"], None)

    @rule(at=who, pick=pick)
    def create_group(self, at: int, pick: list[int]) -> None:
        body = {"name": f"group {steps['calls']}"}
        user, _, reply, of = self.change(at, pick, "POST", "organization/{org}/groups", body)
        if reply.ok:
            of.groups[self.known.add("group", reply.json()["id"])] = set()
            self.check(user, reply)

    @rule(at=who, pick=pick)
    def join_group(self, at: int, pick: list[int]) -> None:
        body = {"user_id": "{user}"}
        user, ids, reply, of = self.change(at, pick, "POST", "organization/{org}/groups/{group}/users", body)
        if reply.ok:
            of.groups[ids["group"]].add(ids["user"])
            self.check(user, reply)

    @rule(at=who, pick=pick, role=st.sampled_from(["member", "viewer"]))
    def place_group(self, at: int, pick: list[int], role: str) -> None:
        body = {"group_id": "{group}", "role": role}
        user, ids, reply, of = self.change(at, pick, "POST", "organization/{org}/projects/{proj}/groups", body)
        if reply.ok:
            of.group_places.setdefault(ids["proj"], set()).add(ids["group"])
            self.check(user, reply)

    @rule(at=who, pick=pick)
    def create_role(self, at: int, pick: list[int]) -> None:
        body = {"role_name": f"role {steps['calls']}", "permissions": ["models.read"]}
        user, _, reply, of = self.change(at, pick, "POST", "organization/{org}/roles", body)
        if reply.ok:
            of.managed.add(self.known.add("role", reply.json()["id"]))
            self.check(user, reply)

    @rule(at=who, pick=pick)
    def give_role(self, at: int, pick: list[int]) -> None:
        """Its rights everybody has, so that it changes nothing of what is seen."""
        body = {"role_id": "{role}"}
        user, ids, reply, of = self.change(at, pick, "POST", "organization/{org}/users/{user}/roles", body)
        if reply.ok:
            assert ids["role"] in of.managed
            assert ids["user"] in of.roles
            self.check(user, reply)

    @rule(at=who, pick=pick, path=st.sampled_from(["admin_api_keys", "api_keys"]))
    def create_wide_key(self, at: int, pick: list[int], path: str) -> None:
        user, _, reply, of = self.change(at, pick, "POST", f"organization/{{org}}/{path}", {"name": "key"})
        if reply.ok:
            of.managed.add(self.known.add("key", reply.json()["id"]))
            self.check(user, reply)

    @rule(at=who, pick=pick)
    def create_project_key(self, at: int, pick: list[int]) -> None:
        user, ids, reply, of = self.change(
            at, pick, "POST", "organization/{org}/projects/{proj}/api_keys", {"name": "key"}
        )
        if reply.ok:
            of.in_project[self.known.add("key", reply.json()["id"])] = ids["proj"]
            self.check(user, reply)

    @rule(at=who, pick=pick)
    def create_service_account(self, at: int, pick: list[int]) -> None:
        path = "organization/{org}/projects/{proj}/service_accounts"
        user, ids, reply, of = self.change(at, pick, "POST", path, {"name": "account"})
        if reply.ok:
            for name in _ID.findall(reply.text):
                if name.startswith(("sa_", "key_")):
                    of.in_project[name] = ids["proj"]
            self.check(user, reply)

    @rule(at=who, pick=pick)
    def revoke_key(self, at: int, pick: list[int]) -> None:
        user, ids, reply, of = self.change(at, pick, "DELETE", "organization/{org}/projects/{proj}/api_keys/{key}")
        if reply.ok:
            assert of.in_project[ids["key"]] == ids["proj"]
            self.check(user, reply)


def adopt(known: Known, organization: str, owner: str) -> None:
    """Put an organization that was just made into the model."""
    default = Project.objects.get(organization__public_id=organization, is_default=True).public_id
    known.organizations[known.add("org", organization)] = OfOrganization(
        roles={owner: "owner"}, past={owner}, default=known.add("proj", default), projects={default: {}}
    )


@pytest.fixture(scope="module")
def start(django_db_setup: None, django_db_blocker: Any) -> Iterator[Known]:
    """Some people, each with the organization that comes with an account."""
    with django_db_blocker.unblock(), transaction.atomic(), widened("a world is built"):
        known = Known([], {})
        for number in range(PEOPLE):
            user = User.objects.create_user(f"person{number}@example.com", None, name=f"Person {number}")
            EmailAddress.objects.create(user=user, email=user.email or "", verified=True, primary=True)
            known.people.append(known.add("user", user.pk))
            known.secrets[user.pk] = token_of(user)
            adopt(known, user.memberships.get().organization.public_id, user.pk)
        yield known
        transaction.set_rollback(True)


def test_nobody_is_told_of_what_is_not_theirs(start: Known):
    People.start = start
    chosen = settings(
        max_examples=RUNS, stateful_step_count=STEPS, deadline=None, derandomize=True, database=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run_state_machine_as_test(People, settings=chosen)
    print(dict(steps))  # noqa: T201
    assert steps["steps"] >= 40 * RUNS
    # The model is of some use only if much is done.
    assert steps["200"] > 5.5 * RUNS

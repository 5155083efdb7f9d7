"""The official SDK in strict mode over the audit log, and the chain checked as the guide shows."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from openai import OpenAI

from tests.server import Server

pytestmark = pytest.mark.e2e
SIZE = 20  # of a page, when nothing else is asked for
GUIDE = Path(__file__).parents[2] / "docs" / "audit-log.md"
# An organization with an event of every kind there is, and so many that they fill three pages.
SCRIPT = f"""
import json
from apps.accounts.models import User
from apps.api_keys.services import Holder, create_key
from apps.api_keys.tokens import KeyKind
from apps.audit.services import Action, Actor, record
from apps.projects.services import create_organization
owner = User.objects.create_user("owner@audit.example.com", name="Owner")
organization = create_organization(name="Audit", owner=owner)
key = create_key(kind=KeyKind.ADMIN, name="sdk", place=organization, holder=Holder(owner))[1]
person = Actor("user", owner.pk, "owner@audit.example.com")
for action in Action:
    record(action, actor=person, organization=organization.public_id, target_kind="thing", target_id="thing_1")
for number in range({2 * SIZE + 5}):
    record(Action.USER_ADDED, actor=person, organization=organization.public_id, target_id="user_0", number=number)
print(json.dumps([key, organization.public_id, owner.pk]))
"""
NOTE = """
from apps.audit.services import SYSTEM, Action, record
record(Action.USER_ADDED, actor=SYSTEM, organization="{}", target_id="user_later")
"""


@dataclass
class World:
    key: str
    organization: str
    owner: str


@pytest.fixture(scope="module")
def world(live: Server) -> World:
    made = live.manage("shell", "--no-imports", "-c", SCRIPT)
    assert made.returncode == 0, made.stderr
    return World(*json.loads(made.stdout.strip().splitlines()[-1]))


@pytest.fixture
def logs(live: Server, world: World) -> Iterator[OpenAI]:
    with OpenAI(
        base_url=f"{live.base_url}/v1", admin_api_key=world.key, max_retries=0, _strict_response_validation=True
    ) as client:
        yield client


def test_every_kind_of_event_passes_strict_mode(logs: OpenAI):
    found = list(logs.admin.organization.audit_logs.list(resource_ids=["thing_1"], limit=100))
    own = [event.type_detail for event in found]  # type: ignore[attr-defined]  # ours, beside OpenAI's
    assert len(own) == len(set(own)) > 60
    assert {"api_key.rotated", "project.unarchived", "provider.created", "organization.transferred"} < set(own)
    assert {event.actor.type for event in found if event.actor} == {"session"}


def test_the_changes_people_make_pass_strict_mode(logs: OpenAI, world: World):
    organization = logs.admin.organization
    before = int(time.time())
    project = organization.projects.create(name="Reserch")
    organization.projects.update(project.id, name="Research")
    group = organization.groups.create(name="Readers")
    organization.groups.update(group.id, name="Writers")
    role = organization.roles.create(role_name="Reader", permissions=["models.read"])
    organization.roles.update(role.id, permissions=["models.read", "usage.read"])
    organization.users.roles.create(world.owner, role_id=role.id)
    invite = organization.invites.create(email="new@audit.example.com", role="owner")
    organization.invites.delete(invite.id)
    organization.roles.delete(role.id)
    organization.projects.archive(project.id)
    found = list(organization.audit_logs.list(effective_at={"gte": before}, actor_emails=["owner@audit.example.com"]))
    by_type = {event.type: event for event in reversed(found) if event.type_detail in MADE}  # type: ignore[attr-defined]
    assert [event.type for event in reversed(found) if event.actor and event.actor.type == "api_key"] == MADE
    assert by_type["project.created"].project_created.data.title == "Reserch"
    assert by_type["project.updated"].project_updated.changes_requested.title == "Research"
    assert by_type["project.updated"].project.name == "Research"
    assert by_type["group.updated"].group_updated.changes_requested.group_name == "Writers"
    assert by_type["role.created"].role_created.role_name == "Reader"
    assert by_type["role.updated"].role_updated.changes_requested.permissions_added == ["usage.read"]
    assert by_type["role.assignment.created"].role_assignment_created.principal_id == world.owner
    assert by_type["invite.sent"].invite_sent.data.email == "new@audit.example.com"
    assert all(event.request_id for event in by_type.values())  # type: ignore[attr-defined]
    actor = by_type["role.deleted"].actor.api_key
    assert (actor.type, actor.user.id, actor.user.email) == ("user", world.owner, "owner@audit.example.com")
    assert actor.ip_address == "127.0.0.1"


MADE = [
    "project.created", "project.updated", "group.created", "group.updated", "role.created", "role.updated",
    "role.assignment.created", "invite.sent", "invite.deleted", "role.deleted", "project.archived",
]  # fmt: skip


def test_three_pages_are_walked_while_more_happens(logs: OpenAI, live: Server, world: World):
    pages = logs.admin.organization.audit_logs.list(event_types=["user.added"], resource_ids=["user_0"])
    numbers = []
    for page in pages.iter_pages():
        numbers.append([event.user_added.data.number for event in page.data])  # type: ignore[union-attr]
        if len(numbers) < 3:
            noted = live.manage("shell", "--no-imports", "-c", NOTE.format(world.organization))
            assert noted.returncode == 0, noted.stderr
    newest_first = list(reversed(range(2 * SIZE + 5)))
    assert numbers == [newest_first[:SIZE], newest_first[SIZE : 2 * SIZE], newest_first[2 * SIZE :]]
    later = logs.admin.organization.audit_logs.list(resource_ids=["user_later"], limit=1)
    assert later.data[0].actor.type is None  # type: ignore[union-attr]  # the server itself


def test_the_guides_program_checks_the_chain_and_finds_what_was_changed(live: Server, world: World, tmp_path: Path):
    (program,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    checker = tmp_path / "check.py"
    checker.write_text(program)

    def check(*changed: str) -> str:
        ran = subprocess.run(  # the guide's own text
            [sys.executable, str(checker), *changed],
            env={"JAN_URL": live.base_url, "JAN_ADMIN_KEY": world.key},
            capture_output=True,
            text=True,
            timeout=60,
        )
        return ran.stdout + ran.stderr

    assert re.fullmatch(r"\d+ events, none changed\n", check())
    checker.write_text(program.replace("\ncheck(events)\n", '\nevents[3]["record"]["actor_id"] = "x"; check(events)\n'))
    assert "event 4 was changed" in check()
    checker.write_text(program.replace("\ncheck(events)\n", "\ndel events[3]; check(events)\n"))
    assert "event 4 is missing" in check()

"""The official SDK in strict mode over admin keys and projects' keys."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.server import OPERATOR, Server

pytestmark = pytest.mark.e2e
SCRIPT = f"""
import json
from apps.accounts.models import User
from apps.api_keys.services import Holder, create_key
from apps.api_keys.tokens import KeyKind
from apps.organizations.models import Organization
from apps.projects.models import Project, ServiceAccount
user = User.objects.get(email={OPERATOR[0]!r})
place = Organization.objects.create(name="SDK keys")
place.memberships.create(user=user, role="owner")
project = Project.objects.create(organization=place, name="Default", is_default=True)
robot = ServiceAccount.objects.create(organization=place, project=project, name="robot")
create_key(kind=KeyKind.SERVICE_ACCOUNT, name="robot's", place=project, holder=Holder(service_account=robot))
secret = create_key(kind=KeyKind.ADMIN, name="sdk", place=place, holder=Holder(user))[1]
print(json.dumps([secret, project.public_id, user.pk, robot.public_id]))
"""
_names = itertools.count()


@pytest.fixture(scope="module")
def facts(live: Server) -> list[str]:
    """An admin key of a new organization, its project, its owner and its service account."""
    made = live.manage("shell", "--no-imports", "-c", SCRIPT)
    assert made.returncode == 0, made.stderr
    return list(json.loads(made.stdout.strip().splitlines()[-1]))


def sdk(live: Server, **credentials: Any) -> OpenAI:
    return OpenAI(base_url=f"{live.base_url}/v1", max_retries=0, _strict_response_validation=True, **credentials)


@pytest.fixture
def admin(live: Server, facts: list[str]) -> Iterator[Any]:
    with sdk(live, api_key="", admin_api_key=facts[0]) as client:
        yield client.admin.organization


def test_an_admin_key_is_made_read_listed_and_deleted(live: Server, admin: Any, facts: list[str]):
    made = admin.admin_api_keys.create(name="CI", expires_in_seconds=3600)
    assert (made.object, made.name, made.expires_at - made.created_at) == ("organization.admin_api_key", "CI", 3600)
    assert (made.value, made.redacted_value) == (made.key, f"jan_ak_…{made.value[-4:]}")
    assert (made.owner.type, made.owner.id, made.owner.role, made.owner.object) == (
        "user", facts[2], "owner", "organization.user",
    )  # fmt: skip
    assert (made.permissions, made.is_active, made.last_used_at) == (["read", "write", "admin"], True, None)
    read = admin.admin_api_keys.retrieve(made.id)
    assert (read.id, read.redacted_value, hasattr(read, "value")) == (made.id, made.redacted_value, False)
    assert made.id in [key.id for key in admin.admin_api_keys.list(limit=100, order="asc")]
    with sdk(live, api_key="", admin_api_key=made.value) as other:
        assert other.admin.organization.admin_api_keys.retrieve(made.id).name == "CI"
    gone = admin.admin_api_keys.delete(made.id)
    assert (gone.id, gone.object, gone.deleted) == (made.id, "organization.admin_api_key.deleted", True)
    with pytest.raises(openai.NotFoundError):
        admin.admin_api_keys.retrieve(made.id)


def test_a_projects_keys_are_listed_read_changed_and_deleted(live: Server, admin: Any, facts: list[str]):
    secret, project, user, robot = facts
    keys = admin.projects.api_keys
    path = f"/v1/organization/projects/{project}/api_keys"
    made = live.call("POST", path, {"name": "app"}, authorization=f"Bearer {secret}")
    listed = {key.name: key for key in keys.list(project, owner_project_access="active")}
    assert (listed["app"].owner.type, listed["app"].owner.user.id, listed["app"].owner.user.role) == (
        "user", user, "owner",
    )  # fmt: skip
    account = listed["robot's"].owner.service_account
    assert (listed["robot's"].owner.type, account.id, account.name, account.role) == (
        "service_account", robot, "robot", "member",
    )  # fmt: skip
    assert list(keys.list(project, owner_project_access="inactive")) == []
    read = keys.retrieve(made["id"], project_id=project)
    assert (read.object, read.owner_project_access, read.expires_at) == ("organization.project.api_key", "active", None)
    before = int(time.time())
    changed = keys.update(made["id"], project_id=project, scopes=["inference"], expires_in_seconds=3600)
    assert (changed.scopes, 0 <= changed.expires_at - before - 3600 < 30) == (["inference"], True)
    widened = keys.update(made["id"], project_id=project, scopes=[])
    assert (widened.scopes, widened.expires_at) == (made["scopes"], changed.expires_at)
    with sdk(live, api_key=made["value"]) as caller:
        assert caller.models.list().data
    assert keys.delete(made["id"], project_id=project).deleted is True
    with pytest.raises(openai.NotFoundError):
        keys.retrieve(made["id"], project_id=project)


def test_a_key_of_another_kind_is_told_which_is_needed(live: Server, facts: list[str]):
    path = f"/v1/organization/projects/{facts[1]}/api_keys"
    made = live.call("POST", path, {"name": "caller"}, authorization=f"Bearer {facts[0]}")
    with (
        sdk(live, api_key="", admin_api_key=made["value"]) as client,
        pytest.raises(openai.PermissionDeniedError) as refused,
    ):
        client.admin.organization.admin_api_keys.list()
    assert (refused.value.code, "Use an admin key (jan_ak_…)" in refused.value.message) == ("wrong_key_kind", True)


@pytest.mark.parametrize("of_project", [False, True])
def test_three_pages_hold_every_key_once_while_others_are_made(
    live: Server, admin: Any, facts: list[str], of_project: bool
):
    path = f"/v1/organization/{f'projects/{facts[1]}/' if of_project else 'admin_'}api_keys"
    headers = {"authorization": f"Bearer {facts[0]}"}
    there = {live.call("POST", path, {"name": f"k{next(_names)}"}, **headers)["id"] for _ in range(12)}
    stop, made = threading.Event(), threading.Event()

    def insert() -> None:
        while not stop.is_set():
            live.call("POST", path, {"name": f"late{next(_names)}"}, **headers)
            made.set()

    thread = threading.Thread(target=insert)
    thread.start()
    try:
        made.wait(30)
        seen, pages = [], 0
        first = admin.projects.api_keys.list(facts[1], limit=5) if of_project else admin.admin_api_keys.list(limit=5)
        for page in first.iter_pages():
            pages += 1
            seen += [key.id for key in page.data]
            if there <= set(seen):
                break
    finally:
        stop.set()
        thread.join()
    assert (pages >= 3, there <= set(seen), len(seen)) == (True, True, len(set(seen)))

"""The official SDK in strict mode over projects, their members, service accounts and model permissions."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from openai import OpenAI
from websockets.asyncio.client import connect

from tests.provider import Provider
from tests.server import OPERATOR, Server

pytestmark = pytest.mark.e2e
HELLO = [{"role": "user", "content": "hi"}]
PAGE = 20
_names = itertools.count()


def run(live: Server, script: str) -> str:
    made = live.manage("shell", "--no-imports", "-c", script)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def admin_key(live: Server) -> str:
    return run(
        live,
        "from apps.accounts.models import User; from apps.api_keys.services import Holder, create_key;"
        "from apps.api_keys.tokens import KeyKind; from apps.organizations.models import Organization;"
        f"user = User.objects.get(email={OPERATOR[0]!r});"
        "place = Organization.objects.get(memberships__user=user, is_personal=True);"
        "print(create_key(kind=KeyKind.ADMIN, name='sdk', place=place, holder=Holder(user))[1])",
    )


@pytest.fixture(scope="module")
def colleague(live: Server) -> str:
    """The id of another member of the operator's organization."""
    return run(
        live,
        "from apps.accounts.models import User; from apps.organizations.models import Membership, Organization;"
        "place = Organization.objects.get("
        f"memberships__user__email={OPERATOR[0]!r}, memberships__role='owner', is_personal=True);"
        "user = User.objects.create_user('colleague@example.com', None, name='Colleague');"
        "Membership.objects.create(user=user, organization=place, role='member');"
        "print(user.pk)",
    )


@pytest.fixture
def admin(live: Server, admin_key: str) -> Iterator[Any]:
    with OpenAI(
        base_url=f"{live.base_url}/v1",
        api_key="unused",
        admin_api_key=admin_key,
        max_retries=0,
        _strict_response_validation=True,
    ) as client:
        yield client.admin.organization


@pytest.fixture
def project(admin: Any) -> Any:
    return admin.projects.create(name=f"sdk {next(_names)}")


def client_with(live: Server, key: str) -> OpenAI:
    return OpenAI(base_url=f"{live.base_url}/v1", api_key=key, max_retries=0, _strict_response_validation=True)


def test_projects(admin: Any):
    made = admin.projects.create(name="Apollo", extra_body={"settings": {"retention_days": 30}})
    assert (made.object, made.name, made.status, made.archived_at) == ("organization.project", "Apollo", "active", None)
    assert made.model_extra["settings"] == {"retention_days": 30}
    assert admin.projects.retrieve(made.id) == made
    renamed = admin.projects.update(made.id, name="Gemini")
    assert (renamed.id, renamed.name) == (made.id, "Gemini")
    archived = admin.projects.archive(made.id)
    assert (archived.status, archived.archived_at is None) == ("archived", False)
    assert made.id not in [each.id for each in admin.projects.list()]
    assert made.id in [each.id for each in admin.projects.list(include_archived=True)]
    with pytest.raises(openai.ConflictError) as refusal:
        admin.projects.update(made.id, name="Mercury")
    assert refusal.value.code == "project_archived"
    with pytest.raises(openai.BadRequestError) as unknown:
        admin.projects.create(name="Far", residency="EU_STORAGE_PROCESSING")
    assert (unknown.value.code, unknown.value.param) == ("unknown_parameter", "residency")


def test_three_pages_while_others_are_made(admin: Any):
    """What was there at the start comes once each, in order, whatever is added in between."""
    prefix = f"page {next(_names)}"
    made = [admin.projects.create(name=f"{prefix}-{number}").id for number in range(PAGE * 2 + 5)]
    seen, pages = [], 0
    page = admin.projects.list(limit=PAGE)
    while True:
        pages += 1
        seen += [each.id for each in page.data]
        makers = [threading.Thread(target=admin.projects.create, kwargs={"name": "late"}) for _ in range(3)]
        for maker in makers:
            maker.start()
        for maker in makers:
            maker.join()
        if not page.has_next_page():
            break
        page = page.get_next_page()
    assert pages >= 3
    assert len(seen) == len(set(seen))
    assert [each for each in seen if each in set(made)] == made[::-1]
    assert set(made) <= {each.id for each in admin.projects.list(limit=PAGE)}


def test_members(admin: Any, project: Any, colleague: str):
    users = admin.projects.users
    made = users.create(project.id, role="member", user_id=colleague)
    assert (made.object, made.id, made.role, made.name, made.email) == (
        "organization.project.user", colleague, "member", "Colleague", "colleague@example.com",
    )  # fmt: skip
    assert users.retrieve(colleague, project_id=project.id) == made
    assert users.update(colleague, project_id=project.id, role="owner").role == "owner"
    assert [(each.email, each.role) for each in users.list(project.id, limit=1)] == [
        ("colleague@example.com", "owner"), (OPERATOR[0], "owner"),
    ]  # fmt: skip
    gone = users.delete(colleague, project_id=project.id)
    assert (gone.id, gone.object, gone.deleted) == (colleague, "organization.project.user.deleted", True)
    with pytest.raises(openai.NotFoundError) as refusal:
        users.retrieve(colleague, project_id=project.id)
    assert refusal.value.code == "user_not_found"
    assert users.create(project.id, role="member", email="colleague@example.com").id == colleague


def test_service_accounts_and_their_keys(live: Server, admin: Any, project: Any):
    accounts = admin.projects.service_accounts
    made = accounts.create(project.id, name="jobs", expires_in_seconds=600)
    assert (made.object, made.role, made.api_key.name) == (
        "organization.project.service_account",
        "member",
        "Secret Key",
    )
    assert made.api_key.expires_at - made.api_key.created_at == 600
    with client_with(live, made.api_key.value) as client:
        answer = client.chat.completions.create(model="plain", messages=HELLO)
    assert answer.choices[0].message.content == "word word word word word "
    assert accounts.retrieve(made.id, project_id=project.id).name == "jobs"
    assert accounts.update(made.id, project_id=project.id, name="nightly", role="owner").role == "owner"
    alone = accounts.create(project.id, name="later", create_service_account_only=True)
    assert (alone.role, alone.api_key) == ("none", None)
    assert [(each.name, each.role) for each in accounts.list(project.id, limit=1)] == [
        ("later", "none"), ("nightly", "owner"),
    ]  # fmt: skip
    key = accounts.api_keys.create(made.id, project_id=project.id, name="narrow", scopes=["models.read"])
    assert (key.object, key.name, key.expires_at) == (
        "organization.project.service_account.api_key", "narrow", None,
    )  # fmt: skip
    with client_with(live, key.value) as client:
        assert "plain" in [model.id for model in client.models.list()]
        with pytest.raises(openai.PermissionDeniedError):
            client.chat.completions.create(model="plain", messages=HELLO)
    gone = accounts.delete(made.id, project_id=project.id)
    assert (gone.id, gone.object, gone.deleted) == (made.id, "organization.project.service_account.deleted", True)
    ends(live, made.api_key.value, 401, "invalid_api_key")


def test_model_permissions_are_enforced(live: Server, admin: Any, project: Any):
    permissions = admin.projects.model_permissions
    key = admin.projects.service_accounts.create(project.id, name="caller").api_key.value
    with client_with(live, key) as client:
        assert client.chat.completions.create(model="org/plain", messages=HELLO).usage.completion_tokens == 5
    none = permissions.retrieve(project.id)
    assert (none.object, none.mode, none.api_model_ids) == ("project.model_permissions", "deny_list", [])
    assert permissions.update(project.id, mode="allow_list", model_ids=["plain"]).api_model_ids == ["plain"]
    ends(live, key, 403, "model_not_allowed", model="org/plain")
    with client_with(live, key) as client:
        assert [model.id for model in client.models.list()] == ["plain"]
        assert client.chat.completions.create(model="plain", messages=HELLO).usage.completion_tokens == 5
    assert permissions.update(project.id, mode="deny_list", model_ids=["plain"]).mode == "deny_list"
    ends(live, key, 403, "model_not_allowed", model="plain")
    with client_with(live, key) as client:
        assert client.chat.completions.create(model="org/plain", messages=HELLO).usage.completion_tokens == 5
    gone = permissions.delete(project.id)
    assert (gone.object, gone.deleted) == ("project.model_permissions.deleted", True)


def answer_to(live: Server, key: str, **body: Any) -> httpx2.Response:
    asked = {"messages": HELLO, **body}
    return httpx2.post(f"{live.base_url}/v1/chat/completions", headers={"authorization": f"Bearer {key}"}, json=asked)


def ends(live: Server, key: str, status: int, code: str, model: str = "plain") -> None:
    """Call until a change is honoured, which takes two seconds at most."""
    limit = time.monotonic() + 2.0
    while (answer := answer_to(live, key, model=model)).status_code == 200:
        assert time.monotonic() < limit, "the change is not honoured after two seconds"
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


async def frames(live: Server, key: str, **body: Any) -> list[dict[str, Any]]:
    """Ask over WebSocket and return what came, up to the frame that ends it."""
    url = live.base_url.replace("http", "ws") + "/ws/v1/chat/completions"
    async with connect(url, additional_headers={"authorization": f"Bearer {key}"}) as socket:
        assert json.loads(await socket.recv()) == {"type": "ready"}
        await socket.send(json.dumps({"messages": HELLO, **body}))
        said: list[dict[str, Any]] = []
        while not said or said[-1].get("type") not in ("done", "error"):
            said.append(json.loads(await socket.recv()))
    return said


async def test_a_body_without_a_model_means_the_projects_default(
    live: Server, admin: Any, project: Any, provider: Provider
):
    key = admin.projects.service_accounts.create(project.id, name="caller").api_key.value
    refusal = answer_to(live, key)
    assert (refusal.status_code, refusal.json()["error"]["code"]) == (400, "missing_required_parameter")
    [error] = await frames(live, key)
    assert error["error"]["code"] == "missing_required_parameter"
    admin.projects.update(project.id, extra_body={"settings": {"default_model": "org/plain"}})
    limit = time.monotonic() + 2.0
    while (answer := answer_to(live, key, odd=[1])).status_code == 400:
        assert time.monotonic() < limit
    assert answer.status_code == 200
    received = provider.of(answer.headers["x-request-id"])
    assert received.body == {"messages": HELLO, "odd": [1], "model": "org/plain"}
    *chunks, end = await frames(live, key)
    assert (chunks[0]["model"], end) == ("org/plain", {"type": "done"})
    assert answer_to(live, key, model="plain").json()["model"] == "plain"


async def test_what_is_not_allowed_reaches_no_provider_and_no_ledger(
    live: Server, admin: Any, project: Any, provider: Provider
):
    key = admin.projects.service_accounts.create(project.id, name="caller").api_key.value
    admin.projects.update(project.id, extra_body={"settings": {"allowed_models": ["plain"]}})
    ends(live, key, 403, "model_not_allowed", model="org/plain")
    before = len(provider.requests)
    for stream in (False, True):
        answer = answer_to(live, key, model="org/plain", stream=stream)
        assert (answer.status_code, answer.json()["error"]["param"]) == (403, "model")
    [error] = await frames(live, key, model="org/plain")
    assert (error["type"], error["error"]["code"]) == ("error", "model_not_allowed")
    assert [each for each in provider.requests[before:] if each.body.get("model") == "org/plain"] == []
    assert answer_to(live, key, model="plain").status_code == 200


async def test_an_archived_project_answers_no_calls(live: Server, admin: Any, project: Any):
    key = admin.projects.service_accounts.create(project.id, name="caller").api_key.value
    assert answer_to(live, key, model="plain").status_code == 200
    admin.projects.archive(project.id)
    ends(live, key, 403, "project_archived")
    [error] = await frames(live, key, model="plain")
    assert error["error"]["code"] == "project_archived"
    httpx2.post(
        f"{live.base_url}/v1/organization/projects/{project.id}/unarchive",
        headers={"authorization": f"Bearer {admin._client.admin_api_key}"},
    ).raise_for_status()
    limit = time.monotonic() + 2.0
    while (answer := answer_to(live, key, model="plain")).status_code != 200:
        assert time.monotonic() < limit
    assert answer.json()["model"] == "plain"


def test_a_deleted_projects_keys_end(live: Server, admin: Any, project: Any):
    key = admin.projects.service_accounts.create(project.id, name="caller").api_key.value
    assert answer_to(live, key, model="plain").status_code == 200
    httpx2.delete(
        f"{live.base_url}/v1/organization/projects/{project.id}",
        headers={"authorization": f"Bearer {admin._client.admin_api_key}"},
    ).raise_for_status()
    ends(live, key, 401, "invalid_api_key")


def test_every_process_honours_an_archived_project_after_two_seconds(live_pg: Server):
    """Two web processes share the port; each has asked about the key before."""
    made = run(
        live_pg,
        "from apps.accounts.models import User; from apps.api_keys.services import Giver;"
        "from apps.api_keys.service_accounts import create_account_with_key; from apps.audit.services import SYSTEM;"
        "from apps.organizations.roles import ALL; from apps.projects.models import Project;"
        f"place = Project.objects.get(organization__memberships__user__email={OPERATOR[0]!r},"
        " organization__is_personal=True).organization;"
        "project = Project.objects.create(organization=place, name='here');"
        "made = create_account_with_key(project=project, name='x', role='member', creator=None, giver=Giver(ALL),"
        " actor=SYSTEM, expires_at=None);"
        "print(project.public_id, made[2])",
    )
    project_id, key = made.split()
    for _ in range(20):
        assert answer_to(live_pg, key, model="plain").status_code == 200
    archived = run(
        live_pg,
        "import time; from apps.audit.services import SYSTEM; from apps.projects.models import Project;"
        "from apps.projects.project_services import archive_project;"
        f"archive_project(project=Project.objects.get(public_id={project_id!r}), actor=SYSTEM); print(time.time())",
    )
    while time.time() < float(archived) + 2.0:
        answer_to(live_pg, key, model="plain")
    codes = {answer_to(live_pg, key, model="plain").json().get("error", {}).get("code") for _ in range(20)}
    assert codes == {"project_archived"}

"""What each kind of key opens on a running server of two processes, and that it ends in both within two seconds."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from websockets.sync.client import connect

from apps.api_keys.tokens import KeyKind
from apps.organizations.principal import CALLING, EPHEMERAL, TALKING
from apps.organizations.roles import Scope
from apps.projects.rights import can_use
from tests.server import Server

pytestmark = pytest.mark.e2e
HELLO = {"model": "plain", "messages": [{"role": "user", "content": "hi"}]}
INFERENCE = {
    "/v1/chat/completions": HELLO,
    "/v1/completions": {"model": "plain", "prompt": "hi"},
    "/v1/embeddings": {"model": "plain", "input": "hi"},
}
MANAGEMENT = [
    f"/v1/organization/{name}"
    for name in ("users", "groups", "roles", "invites", "projects", "admin_api_keys", "api_keys")
]
CALLERS = [kind for kind in KeyKind if kind is not KeyKind.ADMIN]
SCRIPT = """
import json
from apps.api_keys.tokens import KeyKind
from tests.api_keys.conftest import sign_up
ada = sign_up("kinds@example.com")
ada.user.emailaddress_set.create(email=ada.user.email, verified=True, primary=True)
def keys():
    made = {kind: ada.with_key(kind=kind) for kind in KeyKind}
    return {kind: [caller.key.public_id, caller.secret] for kind, caller in made.items()}
maker = ada.with_key()
print(json.dumps({
    "project": ada.project.public_id, "keys": keys(), "doomed": keys(), "token": ada.secret,
    "maker": [maker.key.public_id, maker.secret],
}))
"""


@pytest.fixture(scope="module")
def world(live_pg: Server) -> Iterator[Any]:
    """A person's keys, two of each kind, and a client that asks with any of them."""
    run = live_pg.manage("shell", "--no-imports", "-c", SCRIPT)
    assert run.returncode == 0, run.stderr
    facts = json.loads(run.stdout.strip().splitlines()[-1])
    with httpx2.Client(base_url=live_pg.base_url, timeout=20) as client:
        facts["client"] = client
        yield facts


def ask(world: Any, kind: KeyKind, method: str, path: str, body: Any = None) -> httpx2.Response:
    headers = {"x-api-key": world["keys"][kind][1]}
    return world["client"].request(method, path, json=body, headers=headers)  # type: ignore[no-any-return]


def refused(answer: httpx2.Response) -> tuple[int, str, str]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["message"]


def test_an_admin_key_calls_no_models_and_is_told_what_does(world: Any, live_pg: Server):
    for path, body in INFERENCE.items():
        status, code, message = refused(ask(world, KeyKind.ADMIN, "POST", path, body))
        assert (status, code) == (403, "wrong_key_kind")
        assert message == (
            "An admin key manages the organization; it calls no models and keeps no conversations. Use a project key "
            "(jan_pk_…), an organization key (jan_ok_…), a personal key (sk_…) or an access token."
        )
    url = live_pg.base_url.replace("http", "ws") + "/ws/v1/chat/completions"
    with connect(url, additional_headers={"x-api-key": world["keys"]["admin"][1]}) as socket:
        assert json.loads(socket.recv(10)) == {"type": "ready"}
        socket.send(json.dumps(HELLO))
        assert json.loads(socket.recv(10))["error"]["code"] == "wrong_key_kind"
    assert ask(world, KeyKind.ADMIN, "GET", "/v1/models").status_code == 200
    for path in MANAGEMENT:
        assert ask(world, KeyKind.ADMIN, "GET", path).status_code == 200, path


@pytest.mark.parametrize("kind", CALLERS)
def test_every_other_key_calls_models_and_manages_nothing(world: Any, live_pg: Server, kind: KeyKind):
    for path, body in INFERENCE.items():
        assert ask(world, kind, "POST", path, body).status_code == 200, path
    url = live_pg.base_url.replace("http", "ws") + "/ws/v1/chat/completions"
    with connect(url, additional_headers={"x-api-key": world["keys"][kind][1]}) as socket:
        assert json.loads(socket.recv(10)) == {"type": "ready"}
        socket.send(json.dumps(HELLO))
        frames = [json.loads(socket.recv(10))]
        while frames[-1].get("type") not in ("done", "error"):
            frames.append(json.loads(socket.recv(10)))
        assert frames[-1] == {"type": "done"}
    assert ask(world, kind, "GET", "/v1/models").status_code == 200
    sentence = (
        "An ephemeral key calls models, in conversations too, and does nothing else. Use the credential that made it."
        if kind is KeyKind.EPHEMERAL
        else f"A key of kind '{kind}' calls models and manages nothing. Use an admin key (jan_ak_…), or the access "
        "token of somebody who may do this."
    )
    for path in MANAGEMENT:
        assert refused(ask(world, kind, "GET", path)) == (403, "wrong_key_kind", sentence), path


def test_what_a_kind_is_for_is_told_by_one_table():
    assert {kind: can_use(kind) for kind in (None, *KeyKind)} == {
        None: frozenset(Scope),
        KeyKind.ADMIN: frozenset(Scope) - TALKING,
        **dict.fromkeys(CALLERS, CALLING),
    }
    assert TALKING | {Scope.MODELS_READ} == EPHEMERAL


def delete_path(world: Any, kind: KeyKind) -> str:
    where = {
        KeyKind.ADMIN: "/v1/organization/admin_api_keys",
        KeyKind.ORGANIZATION: "/v1/organization/api_keys",
        KeyKind.PROJECT: f"/v1/organization/projects/{world['project']}/api_keys",
        KeyKind.SERVICE_ACCOUNT: f"/v1/organization/projects/{world['project']}/api_keys",
    }.get(kind, "/v1/auth/api-keys")
    return f"{where}/{world['doomed'][kind][0]}"


def ends_everywhere(world: Any, secret: str, ended_at: float) -> None:
    """Each process answers 401 within two seconds and from then on."""
    client = world["client"]

    def status() -> int:
        with httpx2.Client(base_url=client.base_url) as fresh:  # a connection of its own, to either process
            return fresh.get("/v1/models", headers={"x-api-key": secret}).status_code

    while status() == 200:
        assert time.monotonic() - ended_at < 2
    late = []
    while time.monotonic() - ended_at < 2.5:
        late.append(status())
    assert set(late[-10:]) == {401}


@pytest.mark.parametrize("kind", list(KeyKind))
def test_a_deleted_key_of_any_kind_ends_in_every_process(world: Any, kind: KeyKind):
    secret = world["doomed"][kind][1]
    for _ in range(6):
        assert world["client"].get("/v1/models", headers={"x-api-key": secret}).status_code == 200
    ended_at = time.monotonic()
    answer = world["client"].delete(delete_path(world, kind), headers={"authorization": f"Bearer {world['token']}"})
    assert answer.status_code in (200, 204), answer.text
    ends_everywhere(world, secret, ended_at)


def test_an_ephemeral_key_ends_everywhere_with_its_maker(world: Any):
    key_id, secret = world["maker"]
    made = world["client"].post("/v1/auth/api-keys", json={"kind": "ephemeral"}, headers={"x-api-key": secret}).json()
    for _ in range(6):
        assert world["client"].get("/v1/models", headers={"x-api-key": made["key"]}).status_code == 200
    ended_at = time.monotonic()
    assert world["client"].delete(f"/v1/auth/api-keys/{key_id}", headers={"x-api-key": secret}).status_code == 204
    ends_everywhere(world, made["key"], ended_at)

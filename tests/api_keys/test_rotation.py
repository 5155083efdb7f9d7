"""Rotation: a second secret for a stated time, and one key all along."""

from __future__ import annotations

import copy
import datetime
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from django.db import connection
from django.utils import timezone
from websockets.sync.client import connect

from apps.api_keys.authentication import Credentials, resolve
from apps.api_keys.models import ApiKey
from apps.api_keys.services import revoke_key, rotate_key
from apps.api_keys.tokens import KeyKind, is_well_formed
from apps.audit.models import AuditEvent
from apps.audit.services import SYSTEM
from apps.core.epoch import current_epoch
from apps.core.errors import Conflict, Unauthenticated
from apps.organizations.roles import Scope
from apps.ratelimit.policy import Caller as Limited
from apps.ratelimit.policy import windows_for
from tests.api_keys.conftest import Caller, join, sign_up
from tests.api_keys.test_personal_keys import KEYS, refusal
from tests.server import Server

CHAT = "/v1/chat/completions"
HELLO = {"model": "plain", "messages": [{"role": "user", "content": "hi"}]}
HOUR = datetime.timedelta(hours=1)


def is_refused(secret: str) -> bool:
    try:
        return resolve(Credentials(bearer=secret)) is None
    except Unauthenticated as refused:
        return refused.code == "invalid_api_key"


def rotated(caller: Caller, **body: Any) -> dict[str, Any]:
    answer = caller.call("POST", f"{KEYS}/{caller.key.public_id}/rotate", body)
    assert answer.status_code == 200, answer.content
    return dict(answer.json())


@pytest.mark.parametrize("path", [KEYS, "/v1/user/api-keys", "/api/llm/v1/user/api-keys"])
def test_the_id_stays_and_both_secrets_work(ada: Caller, path: str):
    before = ada.call("POST", path, {"name": "k", "permissions": ["read"], "expires_in_days": 9}).json()
    now = timezone.now()
    answer = ada.call("POST", f"{path}/{before['id']}/rotate", {"overlap_seconds": 3600})
    after = answer.json()
    ends = datetime.datetime.fromisoformat(after["previous_expires_at"])
    assert datetime.timedelta(0) <= ends - now - HOUR < datetime.timedelta(minutes=1)
    assert (answer.status_code, is_well_formed(after["key"]), after["suffix"]) == (200, True, after["key"][-4:])
    changed = {"key": after["key"], "suffix": after["suffix"], "previous_expires_at": after["previous_expires_at"]}
    assert after == {**before, **changed}
    assert after["key"] != before["key"]
    for secret in (before["key"], after["key"]):
        assert resolve(Credentials(bearer=secret)).key_public_id == before["id"]


def test_the_secret_before_ends_with_the_overlap_and_the_new_one_with_the_key(ada: Caller):
    caller = ada.with_key(expires_at=timezone.now() + 3 * HOUR)
    after = rotated(caller, overlap_seconds=3600)
    key = ApiKey.objects.get()
    old, new = (resolve(Credentials(api_key=secret)) for secret in (caller.secret, after["key"]))
    assert (old.expires_at, new.expires_at) == (key.previous_expires_at.timestamp(), key.expires_at.timestamp())
    ApiKey.objects.update(previous_expires_at=timezone.now())
    assert (is_refused(caller.secret), is_refused(after["key"])) == (True, False)


def test_an_overlap_does_not_outlast_the_key(ada: Caller):
    caller = ada.with_key(expires_at=timezone.now() + HOUR)
    rotated(caller)
    assert resolve(Credentials(api_key=caller.secret)).expires_at == caller.key.expires_at.timestamp()


def test_a_day_is_the_overlap_nobody_asked_for(ada: Caller):
    caller = ada.with_key()
    answer = ada.call("POST", f"{KEYS}/{caller.key.public_id}/rotate")
    ends = datetime.datetime.fromisoformat(answer.json()["previous_expires_at"])
    assert 23.99 * HOUR < ends - timezone.now() <= 24 * HOUR


@pytest.mark.django_db(transaction=True)
def test_without_an_overlap_the_secret_before_ends_at_once(ada: Caller):
    caller = ada.with_key()
    epoch = current_epoch()
    after = rotated(caller, overlap_seconds=0)
    assert (is_refused(caller.secret), is_refused(after["key"])) == (True, False)
    assert (after["previous_expires_at"], current_epoch() > epoch) == (None, True)


def test_there_are_never_more_than_two_secrets(ada: Caller):
    caller = ada.with_key()
    second = rotated(caller)["key"]
    third = rotated(Caller(ada.user, second, caller.key))["key"]
    assert [is_refused(secret) for secret in (caller.secret, second, third)] == [True, False, False]


def test_revoking_ends_both_secrets(ada: Caller):
    caller = ada.with_key()
    after = rotated(caller)
    revoke_key(key=ApiKey.objects.get(), actor=SYSTEM)
    assert (is_refused(caller.secret), is_refused(after["key"])) == (True, True)


def test_digests_open_nothing(ada: Caller):
    caller = ada.with_key()
    rotated(caller)
    row = ApiKey.objects.get()
    assert is_refused(row.digest)
    assert is_refused(row.previous_digest)
    assert is_refused("sk_" + row.previous_digest[:38])


def test_both_secrets_outlive_a_change_of_peppers(ada: Caller, settings: Any):
    settings.API_KEY_PEPPERS = ["first-pepper"]
    caller = ada.with_key()
    settings.API_KEY_PEPPERS = ["second-pepper", "first-pepper"]
    after = rotated(caller)
    row = ApiKey.objects.get()
    assert row.pepper_id != row.previous_pepper_id
    settings.API_KEY_PEPPERS = ["third-pepper", "second-pepper", "first-pepper"]
    assert (is_refused(caller.secret), is_refused(after["key"])) == (False, False)
    settings.API_KEY_PEPPERS = ["third-pepper", "second-pepper"]
    assert (is_refused(caller.secret), is_refused(after["key"])) == (True, False)


def test_both_secrets_count_in_the_same_windows(ada: Caller):
    caller = ada.with_key()
    secrets = (caller.secret, rotated(caller)["key"])
    windows = []
    for secret in secrets:
        who = resolve(Credentials(bearer=secret))
        windows.append(windows_for("POST", CHAT, Limited("1.2.3.4", who.user_id, who.key_public_id, who.is_guest)))
    assert windows[0] == windows[1]
    assert f"inference_key:hour:{caller.key.public_id}" in [window.key for window in windows[0]]


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"overlap_seconds": -1}, "invalid_value", "overlap_seconds"),
        ({"overlap_seconds": 604_801}, "invalid_value", "overlap_seconds"),
        ({"overlap_seconds": 10**300}, "invalid_value", "overlap_seconds"),
        ({"overlap_seconds": "x"}, "invalid_value", "overlap_seconds"),
        ({"overlap_seconds": None}, "invalid_value", "overlap_seconds"),
        ({"overlap_seconds": [1]}, "invalid_value", "overlap_seconds"),
        ({"overlap_seconds": True}, "invalid_value", "overlap_seconds"),
        ({"overlap": 1}, "unknown_parameter", "overlap"),
        ({"key": "sk_mine"}, "unknown_parameter", "key"),
        ([], "invalid_value", None),
        (b'{"overlap_seconds": 1e999}', "invalid_json", None),
        (b'{"overlap_\\u0000": 1}', "invalid_json", None),
        (b"\xff", "invalid_json", None),
    ],
)
def test_a_wrong_body_rotates_nothing(ada: Caller, body: Any, code: str, param: str | None):
    caller = ada.with_key()
    before = ApiKey.objects.values().get()
    assert refusal(ada.call("POST", f"{KEYS}/{caller.key.public_id}/rotate", body)) == (400, code, param)
    assert ApiKey.objects.values().get() == before


@pytest.mark.parametrize("ended", [{"revoked_at": timezone.now()}, {"expires_at": timezone.now()}])
def test_an_ended_key_is_not_rotated(ada: Caller, ended: dict[str, Any]):
    caller = ada.with_key()
    ApiKey.objects.update(**ended)
    before = ApiKey.objects.values().get()
    answer = ada.call("POST", f"{KEYS}/{caller.key.public_id}/rotate")
    assert refusal(answer) == (409, "api_key_not_rotatable", None)
    assert ApiKey.objects.values().get() == before
    assert not AuditEvent.objects.filter(action="api_key.rotated").exists()


def test_nobody_gains_rights_by_rotating_a_wider_key(ada: Caller):
    wide = ada.with_key()
    narrow = ada.with_key(scopes={Scope.API_KEYS_READ, Scope.API_KEYS_WRITE})
    ending = ada.with_key(expires_at=timezone.now() + HOUR)
    path = f"{KEYS}/{wide.key.public_id}/rotate"
    before = list(ApiKey.objects.order_by("id").values())
    assert refusal(narrow.call("POST", path)) == (403, "insufficient_permissions", "scopes")
    assert refusal(ending.call("POST", path)) == (403, "insufficient_permissions", "expires_at")
    assert list(ApiKey.objects.order_by("id").values()) == before
    for caller in (wide, narrow, ending):
        assert caller.call("POST", f"{KEYS}/{caller.key.public_id}/rotate").status_code == 200


def test_the_secret_before_cannot_prolong_itself(ada: Caller):
    """Whoever is left with the old secret gets no new one for it."""
    caller = ada.with_key()
    rotated(caller)
    answer = caller.call("POST", f"{KEYS}/{caller.key.public_id}/rotate")
    assert refusal(answer) == (403, "insufficient_permissions", "expires_at")


def test_a_machines_key_rotates_no_persons_key(ada: Caller, eve: Caller):
    personal, machine = ada.with_key(), ada.with_key(kind=KeyKind.PROJECT)
    join(eve.user, ada.organization)
    path = f"{KEYS}/{personal.key.public_id}/rotate"
    assert machine.call("POST", path).status_code == 404
    assert eve.call("POST", path, OpenAI_Organization=ada.organization.public_id).status_code == 404
    assert not is_refused(personal.secret)


@pytest.mark.django_db(transaction=True)
def test_of_many_rotations_at_once_one_wins():
    key = sign_up("ada@example.com").with_key().key
    together = threading.Barrier(8)

    def rotate(_: int) -> str | None:
        together.wait()
        try:
            return rotate_key(key=copy.copy(key), actor=SYSTEM)[1]
        except Conflict:
            return None
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        won = [secret for secret in pool.map(rotate, range(8)) if secret]
    assert len(won) == 1
    assert not is_refused(won[0])
    assert AuditEvent.objects.filter(action="api_key.rotated").count() == 1


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite names its plans differently")
def test_a_lookup_by_either_secret_hits_an_index(ada: Caller):
    ada.with_key()
    seen = []

    def explained(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "previous_digest" in sql and sql.startswith("SELECT"):
            with connection.connection.cursor() as cursor:
                seen.extend(row[0] for row in cursor.execute(f"EXPLAIN {sql}", params))
        return execute(sql, params, many, context)

    token = ada.with_key().secret
    # So many that reading all of them, or all of somebody's, is not the cheapest way.
    mine = {"kind": "project", "organization": ada.organization, "project": ada.project, "user": ada.user}
    ApiKey.objects.bulk_create(
        ApiKey(name="k", digest=f"{number:064}", pepper_id="p", last_four="last", **mine) for number in range(5000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE api_keys_apikey")
        cursor.execute("SET LOCAL enable_seqscan = off")  # the other tables are small
    with connection.execute_wrapper(explained):
        assert ApiKey.objects.for_token(token) is not None
    plan = "\n".join(seen)
    assert "Seq Scan" not in plan
    assert "BitmapOr" in plan
    assert plan.count("Index Cond: ((digest)::text") + plan.count("Index Cond: ((previous_digest)::text") >= 2


# --- On a running server: two processes, PostgreSQL, Redis ---------------------------------------


@pytest.fixture
def chatting(live_pg: Server) -> Any:
    with httpx2.Client(base_url=live_pg.base_url, timeout=20) as client:

        def chat(secret: str) -> int:
            return client.post(CHAT, json=HELLO, headers={"x-api-key": secret}).status_code

        chat.client = client
        yield chat


def make_live_key(live_pg: Server, chatting: Any) -> tuple[str, str]:
    made = chatting.client.post(KEYS, json={"name": "k"}, headers={"x-api-key": live_pg.user_key()}).json()
    return made["id"], made["key"]


@pytest.mark.e2e
def test_the_old_secret_works_for_the_overlap_and_then_stops_everywhere(live_pg: Server, chatting: Any):
    key_id, old = make_live_key(live_pg, chatting)
    assert chatting(old) == 200
    asked_at = time.monotonic()
    answer = chatting.client.post(f"{KEYS}/{key_id}/rotate", json={"overlap_seconds": 3}, headers={"x-api-key": old})
    new, rotated_at = answer.json()["key"], time.monotonic()
    assert (chatting(old), chatting(new)) == (200, 200)
    while chatting(old) == 200:
        assert time.monotonic() - rotated_at < 3 + 2
    stopped_at = time.monotonic()
    assert stopped_at - asked_at >= 3
    late = []
    while time.monotonic() - rotated_at < 3 + 2.5:
        late.append((chatting(old), chatting(new)))
    late = late[-10:]
    assert late == [(401, 200)] * len(late)  # whichever of the two processes answers


@pytest.mark.e2e
def test_both_secrets_are_one_key_in_the_usage_records(live_pg: Server, chatting: Any):
    key_id, old = make_live_key(live_pg, chatting)
    headers = {"x-api-key": old}
    new = chatting.client.post(f"{KEYS}/{key_id}/rotate", json={"overlap_seconds": 600}, headers=headers).json()["key"]
    assert [chatting(secret) for secret in (old, new, new)] == [200, 200, 200]
    count = (
        "import json; from apps.usage.models import UsageRecord as U;"
        f"print(json.dumps(list(U.objects.filter(api_key__public_id={key_id!r}).values_list('status', flat=True))))"
    )
    limit = time.monotonic() + 40
    while (found := json.loads(live_pg.manage("shell", "--no-imports", "-c", count).stdout)) != [200, 200, 200]:
        assert time.monotonic() < limit, found
    while chatting.client.get(f"{KEYS}/{key_id}", headers={"x-api-key": new}).json()["last_used_at"] is None:
        assert time.monotonic() < limit


@pytest.mark.e2e
def test_an_open_socket_hears_that_its_key_was_deleted(live_pg: Server, chatting: Any):
    key_id, secret = make_live_key(live_pg, chatting)
    url = live_pg.base_url.replace("http", "ws") + "/ws/v1/chat/completions"
    with connect(url, additional_headers={"x-api-key": secret}) as socket:
        assert json.loads(socket.recv(10)) == {"type": "ready"}
        headers = {"x-api-key": live_pg.user_key()}
        assert chatting.client.delete(f"{KEYS}/{key_id}", headers=headers).status_code == 204
        deleted_at = time.monotonic()
        while True:
            socket.send(json.dumps(HELLO))
            frames = [json.loads(socket.recv(10))]
            while frames[-1].get("type") not in ("done", "error"):
                frames.append(json.loads(socket.recv(10)))
            if frames[-1]["type"] == "error":
                break
            assert time.monotonic() - deleted_at < 2
        assert frames[-1]["error"]["code"] == "invalid_api_key"

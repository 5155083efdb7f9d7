"""The front door: what it refuses, what every answer carries, and how fresh it is."""

from __future__ import annotations

import asyncio
import json
import time

import aiohttp
import httpx2
import pytest
import websockets.sync.client

from tests.provider import Provider
from tests.server import Server, create_database, start_server

pytestmark = pytest.mark.e2e
CHAT = "/v1/chat/completions"
HELLO = {"model": "plain", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture(scope="module")
def key(live_pg: Server) -> str:
    return live_pg.user_key()


@pytest.fixture
def client(live_pg: Server, key: str):
    with httpx2.Client(base_url=live_pg.base_url, headers={"x-api-key": key}, timeout=20) as client:
        yield client


def error_of(answer: httpx2.Response) -> tuple[int, str, str | None]:
    error = answer.json()["error"]
    assert set(error) >= {"message", "type", "code", "param", "request_id"}
    assert error["request_id"] == answer.headers["x-request-id"]
    return answer.status_code, error["code"], error["param"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "invalid_json"),
        (b"{", 400, "invalid_json"),
        (b"\xff\xfe", 400, "invalid_json"),
        (b'{"model": "plain", "model": "x", "messages": []}', 400, "invalid_json"),
        (b'{"model": "plain", "messages": [{"role": "user", "content": "\\u0000"}]}', 400, "invalid_json"),
        (b'{"model": "plain", "messages": [{"role": "user", "content": "\\ud800"}]}', 400, "invalid_json"),
        (b'{"model": "plain", "n": NaN}', 400, "invalid_json"),
        (b"[" * 100_000, 400, "invalid_json"),
        (b'{"model": "plain"}', 400, "missing_required_parameter"),
        (b"x" * (11 * 2**20), 413, "request_too_large"),
    ],
)
def test_bad_bodies_are_refused_and_reach_no_provider(client, provider: Provider, body, status, code):
    before = len(provider.requests)
    assert error_of(client.post(CHAT, content=body))[:2] == (status, code)
    assert len(provider.requests) == before


def test_a_body_without_a_length_is_counted_as_it_comes(client):
    answer = client.post(CHAT, content=(b"x" * 2**20 for _ in range(11)))
    assert error_of(answer)[:2] == (413, "request_too_large")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ([("x-api-key", "a"), ("x-api-key", "b")], 400, "duplicate_header"),
        ([("authorization", "Bearer a"), ("authorization", "Bearer b")], 400, "duplicate_header"),
        ([("authorization", "Basic abc")], 401, "invalid_authorization"),
        ([("authorization", "Bearer sk_nothing")], 401, "invalid_api_key"),
        ([("authorization", "Bearer a.b.c")], 401, "invalid_token"),
        ([], 401, "missing_credentials"),
        ([(f"x-{number}", "y") for number in range(120)], 431, "headers_too_large"),
        ([("x-big", "y" * 40_000)], 431, "headers_too_large"),
    ],
)
@pytest.mark.parametrize("path", [CHAT, "/v1/models"])
def test_bad_headers_are_refused(live_pg: Server, path, headers, status, code):
    method = "POST" if path == CHAT else "GET"
    answer = httpx2.request(method, live_pg.base_url + path, headers=headers)
    assert error_of(answer)[:2] == (status, code)


@pytest.mark.parametrize(
    "cookies",
    [
        [r'jan_session="abcd\000efghijk"'],
        [r'a=b; jan_csrf="\0000"'],
        [r'jan_session="abcd\000', 'efghijk"'],  # Django reads both headers as one
    ],
)
@pytest.mark.parametrize("path", ["/", "/accounts/login/", "/admin/", "/v1/models"])
def test_a_nul_in_a_cookie_is_refused(live_pg: Server, path, cookies):
    answer = httpx2.get(live_pg.base_url + path, headers=[("cookie", cookie) for cookie in cookies])
    assert error_of(answer)[:2] == (400, "invalid_cookie")


def test_trust_headers_are_not_believed(live_pg: Server):
    headers = {"x-user-id": "user_1", "x-auth-method": "jwt", "x-principal-id": "user_1"}
    answer = httpx2.get(live_pg.base_url + "/v1/auth/me", headers=headers)
    assert error_of(answer)[:2] == (401, "missing_credentials")


@pytest.mark.parametrize("prefix", ["/v1", "/api/v1", "/llm/v1", "/api/llm/v1"])
def test_every_prefix_answers(client, prefix):
    assert client.post(f"{prefix}/chat/completions", json=HELLO).status_code == 200
    assert client.get(f"{prefix}/models").status_code == 200


@pytest.mark.parametrize("prefix", ["/v1/auth", "/auth", "/llm/auth", "/api/v1/auth"])
def test_guests_sign_in_under_every_prefix_and_are_who_they_are(live_pg: Server, prefix):
    answer = httpx2.post(f"{live_pg.base_url}{prefix}/guest-login")
    guest = answer.json()
    assert answer.status_code == 201
    assert set(guest) == {
        "access_token", "refresh_token", "token_type", "expires_in", "user_id", "username", "principal_id",
    }  # fmt: skip
    assert (guest["token_type"], guest["expires_in"]) == ("Bearer", 3600)
    assert "set-cookie" not in answer.headers
    headers = {"authorization": f"Bearer {guest['access_token']}"}
    me = httpx2.get(f"{live_pg.base_url}{prefix}/me", headers=headers)
    assert (me.json()["id"], me.json()["is_guest"]) == (guest["user_id"], True)
    assert me.headers["x-auth-method"] == "jwt"
    refused = httpx2.get(f"{live_pg.base_url}/v1/models", headers={"authorization": f"Bearer {guest['refresh_token']}"})
    assert error_of(refused)[:2] == (401, "invalid_token")


def test_a_key_is_made_listed_and_revoked_everywhere_within_two_seconds(live_pg: Server, client):
    made = client.post("/v1/auth/api-keys", json={"name": "laptop", "scopes": ["inference"]}).json()
    assert made["key"].startswith("sk_")
    listed = client.get("/v1/auth/api-keys?limit=100").json()
    assert made["id"] in [each["id"] for each in listed["data"]]
    assert made["key"] not in json.dumps(listed)
    headers = {"x-api-key": made["key"]}
    url = live_pg.base_url
    assert httpx2.post(url + CHAT, json=HELLO, headers=headers).status_code == 200
    assert error_of(httpx2.get(url + "/v1/models", headers=headers))[:2] == (403, "insufficient_permissions")
    assert client.delete(f"/v1/auth/api-keys/{made['id']}").status_code == 204
    revoked_at = time.monotonic()
    while httpx2.post(url + CHAT, json=HELLO, headers=headers).status_code == 200:
        assert time.monotonic() - revoked_at < 2
    answers = []
    while time.monotonic() - revoked_at < 2.5:
        answers.append(httpx2.post(url + CHAT, json=HELLO, headers=headers).status_code)
    late = answers[-10:]
    assert late == [401] * len(late)  # whichever of the two processes answers


def test_a_key_has_no_more_rights_than_its_maker(client, live_pg: Server):
    weak = client.post("/v1/auth/api-keys", json={"name": "weak", "scopes": ["api_keys.write", "api_keys.read"]}).json()
    with httpx2.Client(base_url=live_pg.base_url, headers={"x-api-key": weak["key"]}) as other:
        before = other.get("/v1/auth/api-keys").json()["total"]
        refused = other.post("/v1/auth/api-keys", json={"name": "strong", "scopes": ["inference"]})
        assert error_of(refused) == (403, "insufficient_permissions", "scopes")
        assert other.get("/v1/auth/api-keys").json()["total"] == before


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, "missing_required_parameter", "name"),
        ({"name": "x", "odd": 1}, "unknown_parameter", "odd"),
        ({"name": "x", "scopes": ["all"]}, "invalid_value", "scopes"),
        ({"name": "x", "expires_at": "2020-01-01T00:00:00Z"}, "invalid_value", "expires_at"),
        ({"name": "x", "expires_in_days": 0}, "invalid_value", "expires_in_days"),
    ],
)
def test_bad_management_bodies_name_the_parameter(client, body, code, param):
    status, got_code, got_param = error_of(client.post("/v1/auth/api-keys", json=body))
    assert (status, got_code) == (400, code)
    assert got_param.startswith(param)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("order=up", "order"),
        ("after=key_no", "after"),
        ("offset=-1", "offset"),
    ],
)
def test_bad_paging_names_the_parameter(client, query, param):
    assert error_of(client.get(f"/v1/auth/api-keys?{query}")) == (400, "invalid_value", param)


def test_the_published_key_set_verifies_our_tokens(live_pg: Server):
    [key] = live_pg.call("GET", "/.well-known/jwks.json")["keys"]
    assert set(key) == {"kty", "kid", "use", "alg", "n", "e", "key_ops"}
    assert key["key_ops"] == ["verify"]


def test_browsers_of_listed_origins_may_call_and_strangers_may_not(client):
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,x-stainless-os"}
    allowed = client.options(CHAT, headers={"origin": "http://localhost:8080", **asked})
    assert allowed.status_code == 204
    assert allowed.headers["access-control-allow-origin"] == "http://localhost:8080"
    assert "x-stainless-os" in allowed.headers["access-control-allow-headers"]
    answer = client.post(CHAT, json=HELLO, headers={"origin": "http://localhost:8080"})
    assert answer.headers["access-control-allow-origin"] == "http://localhost:8080"
    stranger = client.options(CHAT, headers={"origin": "https://evil.example", **asked})
    assert "access-control-allow-origin" not in stranger.headers


def test_open_streams_hold_no_database_connections(provider: Provider):
    with start_server(provider, profile="sqlite", DATABASE_URL=create_database(), DATABASE_POOL_SIZE="10") as server:
        key = server.user_key()
        slowest, finished = asyncio.run(_hundred_streams(server, key))
        assert finished == 100
        assert slowest < 2.0  # one that waited for a stream to end would take six


async def _hundred_streams(server: Server, key: str) -> tuple[float, int]:
    body = {**HELLO, "model": "c300-d20", "stream": True}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(server.base_url, connector=connector, headers={"x-api-key": key}) as session:

        async def stream() -> bool:
            async with session.post(CHAT, json=body) as answer:
                return (await answer.read()).endswith(b"data: [DONE]\n\n")

        streams = [asyncio.create_task(stream()) for _ in range(100)]
        slowest = 0.0
        while not streams[0].done():
            began = time.monotonic()
            async with session.get("/v1/models") as answer:
                assert answer.status == 200
                await answer.read()
            slowest = max(slowest, time.monotonic() - began)
        return slowest, sum(await asyncio.gather(*streams))


def test_a_quiet_socket_stays_open(live_pg: Server, key: str):
    """Longer than the five seconds after which Redis clients give up reading."""
    url = live_pg.base_url.replace("http", "ws") + "/ws/v1/chat/completions"
    with websockets.sync.client.connect(url, additional_headers={"x-api-key": key}) as socket:
        assert json.loads(socket.recv(10)) == {"type": "ready"}
        with pytest.raises(TimeoutError):
            socket.recv(6)
        socket.send(json.dumps(HELLO))
        frames = [json.loads(socket.recv(10))]
        while frames[-1].get("type") not in ("done", "error"):
            frames.append(json.loads(socket.recv(10)))
        assert frames[-1] == {"type": "done"}

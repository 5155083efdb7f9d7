"""Each curl example of the seeds about authentication, as printed, answered by a running server with the documented keys."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.api_keys.conftest import Curl
from tests.parts.issuer import answer_at, mock_provider, put_user
from tests.server import OPERATOR, Server

pytestmark = pytest.mark.e2e

TOKENS = {"access_token", "refresh_token", "expires_in", "token_type"}
PROFILE = {"id", "email", "name", "picture", "is_guest", "created_at", "updated_at"}
CHAT = """-d '{"model": "plain", "messages": [{"role": "user", "content": "Hello!"}]}'"""


@pytest.fixture
def guest(live: Server) -> dict[str, str]:
    return dict(live.call("POST", "/llm/auth/guest-login"))


@pytest.fixture(scope="module")
def token(live: Server) -> str:
    """A person's access token."""
    script = (
        "from apps.accounts.models import User; from tests.api_keys.conftest import token_of;"
        f"print(token_of(User.objects.get(email={OPERATOR[0]!r})))"
    )
    made = live.manage("shell", "--no-imports", "-c", script)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def google(live: Server) -> Iterator[str]:
    """An issuer that this server takes for Google's."""
    with mock_provider() as issuer:
        put_user(issuer, "ada", email="ada@example.com", email_verified=True, name="Ada")
        script = (
            "from tests.sso.conftest import add_provider;"
            f"print(add_provider({issuer!r}, slug='google', kind='google').pk)"
        )
        made = live.manage("shell", "--no-imports", "-c", script)
        assert made.returncode == 0, made.stderr
        yield issuer
        removed = "from apps.sso.models import IdentityProvider; IdentityProvider.objects.get(slug='google').delete()"
        assert live.manage("shell", "--no-imports", "-c", removed).returncode == 0


def answered(answer: httpx2.Response, status: int, keys: set[str]) -> Any:
    assert answer.status_code == status, answer.text
    document = answer.json()
    assert keys <= set(document)
    return document


# --- 004-authentication --------------------------------------------------------------------------


def test_google_login_and_callback(curl: Curl, google: str):
    begun = answered(curl("curl http://localhost:8080/v1/auth/google/login"), 200, {"url"})
    sent = answer_at(begun["url"], "ada")
    command = """curl -X POST http://localhost:8080/v1/auth/google/callback \\
-H "Content-Type: application/json" \\
-d '{
"code": "<code>",
"state": "<state>"
}'"""
    tokens = answered(curl(command, code=sent["code"], state=sent["state"]), 200, TOKENS)
    assert (tokens["expires_in"], tokens["token_type"]) == (3600, "Bearer")
    made_up = curl(command, code="4/0AX4XfWh...", state="random_state_string")
    assert made_up.json()["error"]["type"] in ("auth_error", "invalid_request_error")


@pytest.mark.parametrize(
    "command",
    [
        'curl -X POST http://localhost:8080/v1/auth/guest-login \\\n-H "Content-Type: application/json"',
        "curl -X POST http://localhost:8000/llm/auth/guest-login",
    ],
)
def test_guest_login(curl: Curl, command: str):
    tokens = answered(curl(command), 201, TOKENS)
    assert (tokens["expires_in"], tokens["token_type"]) == (3600, "Bearer")


def test_logout(curl: Curl, guest: dict[str, str]):
    command = 'curl -H "Authorization: Bearer <refresh_token>" \\\nhttp://localhost:8080/v1/auth/logout'
    assert curl(command, **guest).status_code == 200
    assert curl(command, **guest).status_code == 401


@pytest.mark.parametrize(
    "command",
    [
        'curl -H "Authorization: Bearer <access_token>" \\\nhttp://localhost:8080/v1/auth/me',
        'curl -H "Authorization: Bearer <access_token>" \\\nhttp://localhost:8080/api/v1/user/profile',
    ],
)
def test_user_profile(curl: Curl, guest: dict[str, str], token: str, command: str):
    answer = curl(command, **guest)
    assert answered(answer, 200, PROFILE)["is_guest"] is True
    assert (answer.headers["x-auth-method"], answer.headers["cache-control"]) == ("jwt", "no-store")
    person = answered(curl(command, access_token=token), 200, PROFILE)
    assert (person["email"], person["email_verified"], person["is_guest"]) == (OPERATOR[0], True, False)


@pytest.mark.parametrize(
    "command",
    [
        'curl -H "Authorization: Bearer <refresh_token>" \\\nhttp://localhost:8080/v1/auth/refresh-token',
        'curl -X POST http://localhost:8080/api/v1/auth/refresh -H "Authorization: Bearer <refresh_token>"',
        """curl -X POST http://localhost:8000/llm/auth/refresh-token \\
 -H "Content-Type: application/json" \\
 -d '{"refresh_token": "<refresh_token>"}'""",
    ],
)
def test_refresh(curl: Curl, guest: dict[str, str], command: str):
    tokens = answered(curl(command, **guest), 200, TOKENS)
    assert tokens["refresh_token"] != guest["refresh_token"]


def test_token_and_key_open_a_protected_endpoint(curl: Curl, live: Server, token: str):
    path = "http://localhost:8080/v1/models"
    for words, method in (({"jwt_token": token}, "jwt"), ({"api_key": live.user_key()}, "api_key")):
        answer = curl(f'curl -H "Authorization: Bearer <{next(iter(words))}>" \\\n{path}', **words)
        assert (answer.status_code, answer.headers["x-auth-method"]) == (200, method)
        asked = httpx2.post(f"{live.base_url}/auth/validate", headers={"authorization": f"Bearer {words.popitem()[1]}"})
        assert (asked.status_code, asked.json()["auth_method"]) == (200, method)


@pytest.mark.parametrize(
    ("command", "status", "kind"),
    [
        ("curl -X POST http://localhost:8080/v1/auth/refresh-token -H 'Content-Type: application/json' -d '{'", 400, "invalid_request_error"),
        ("curl http://localhost:8080/v1/auth/me", 401, "auth_error"),
        ("curl -X POST http://localhost:8080/v1/auth/api-keys -H 'Authorization: Bearer <access_token>'", 403, "permission_error"),
    ],
)  # fmt: skip
def test_errors_have_the_documented_form(curl: Curl, guest: dict[str, str], command: str, status: int, kind: str):
    answer = curl(command, **guest)
    error = answered(answer, status, {"error"})["error"]
    assert {"message", "type", "code"} <= set(error)
    assert error["type"] == kind


# --- 000 to 003 ----------------------------------------------------------------------------------


def test_a_guest_token_and_a_key_chat(curl: Curl, live: Server, guest: dict[str, str]):
    by_token = f'curl -H "Authorization: Bearer <access_token>" \\\n http://localhost:8000/v1/chat/completions {CHAT}'
    by_key = f'curl -H "X-API-Key: <key>" \\\n http://localhost:8000/v1/chat/completions {CHAT}'
    assert answered(curl(by_token, **guest), 200, {"choices"})["object"] == "chat.completion"
    answer = curl(by_key, key=live.user_key())
    assert (answer.status_code, answer.headers["x-auth-method"]) == (200, "api_key")


def test_revoke(curl: Curl, live: Server, guest: dict[str, str]):
    command = """curl -X POST http://localhost:8000/llm/auth/revoke \\
 -H "Authorization: Bearer <access_token>" \\
 -H "Content-Type: application/json" \\
 -d '{"token": "<refresh_token>"}'"""
    assert curl(command, **guest).status_code == 200
    assert curl(command, **guest).status_code == 200
    told = httpx2.post(f"{live.base_url}/v1/auth/validate", json={"token": guest["access_token"]})
    assert (told.status_code, told.json()["error"]["code"]) == (401, "invalid_token")


def test_google_by_redirect(curl: Curl, live: Server, google: str):
    answer = curl("curl http://localhost:8080/auth/google")
    assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (302, f"{google}/oauth2/authorize")
    sent = answer_at(answer.headers["location"], "ada")
    command = "curl 'http://localhost:8080/auth/google/callback?code=<auth_code>&state=<state>'"
    answered(curl(command, auth_code=sent["code"], state=sent["state"]), 200, TOKENS)


def test_a_new_key(curl: Curl, token: str):
    command = """curl -X POST http://localhost:8080/api/v1/user/api-keys \\
-H "Authorization: Bearer <token>" \\
-H "Content-Type: application/json" \\
-d '{
"name": "Development Key",
"permissions": ["read", "write"]
}'"""
    keys = {
        "id", "name", "prefix", "suffix", "key", "permissions", "created_at", "expires_at", "last_used_at", "status",
    }  # fmt: skip
    made = answered(curl(command, token=token), 201, keys)
    assert (made["name"], made["permissions"], made["status"]) == ("Development Key", ["read", "write"], "active")
    chat = f'curl -H "X-API-Key: <key>" http://localhost:8000/v1/chat/completions {CHAT}'
    assert curl(chat, key=made["key"]).status_code == 200
    deleted = curl(f"curl -X DELETE -H 'X-API-Key: <key>' http://localhost:8080/v1/auth/api-keys/{made['id']}", **made)
    assert (deleted.status_code, deleted.content) == (204, b"")


# --- What only a real socket can send ------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/v1/auth/api-keys/%00", "/v1/auth/api-keys/%00/rotate", "/v1/user/api-keys?after=%00", "/v1/auth/me?%00"]
)
def test_a_nul_in_the_address_is_refused(live: Server, token: str, path: str):
    answer = httpx2.get(live.base_url + path, headers={"authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_url")


@pytest.mark.parametrize("name", ["Authorization", "X-API-Key", "OpenAI-Organization", "OpenAI-Project"])
@pytest.mark.parametrize("value", [b"a\x00b", b"\xff\xfe", b"\xed\xa0\x80", b"k" * 9000])
def test_odd_header_bytes_are_refused(live: Server, token: str, name: str, value: bytes):
    lines = {"Host": b"localhost", "Authorization": b"Bearer " + token.encode(), "Connection": b"close"}
    lines[name] = b"Bearer " + value if name == "Authorization" else value
    head = b"".join(b"%s: %s\r\n" % (key.encode(), text) for key, text in lines.items())
    with socket.create_connection(("127.0.0.1", live.port), timeout=20) as connection:
        connection.sendall(b"GET /v1/auth/api-keys HTTP/1.1\r\n" + head + b"\r\n")
        status = int(connection.makefile("rb").readline().split()[1])
    assert status in (400, 401, 403)

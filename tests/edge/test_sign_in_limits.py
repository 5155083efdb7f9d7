"""Every way in has a limit: per address at the edge, per account behind it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx2
import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.conf import settings as django_settings
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core import mail
from django.core.cache import cache
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from rest_framework.views import APIView

from apps.accounts.models import User
from apps.accounts.services import upgrade_guest
from apps.core.errors import RateLimited
from apps.edge.requests import address_of, canonical
from apps.ratelimit.accounts import admit
from apps.ratelimit.cache import SharedCache
from apps.ratelimit.policy import Caller, sign_in_limit, windows_for
from tests.provider import Provider
from tests.server import OPERATOR, Server, start_server

PASSWORD = "analytical-engine-1"
PREFIXES = ("/v1/auth", "/api/v1/auth", "/llm/v1/auth", "/api/llm/v1/auth", "/auth", "/llm/auth")


def walk(patterns: list[Any], prefix: str = "/") -> Iterator[tuple[str, URLPattern]]:
    for pattern in patterns:
        path = prefix + str(pattern.pattern).removeprefix("^").removesuffix("$")
        if isinstance(pattern, URLResolver):
            yield from walk(pattern.url_patterns, path)
        else:
            yield path, pattern


def is_public(pattern: URLPattern) -> bool:
    view = getattr(pattern.callback, "cls", None) or getattr(pattern.callback, "view_class", None)
    return not (isinstance(view, type) and issubclass(view, APIView)) or not getattr(view, "required_scope", None)


ROUTES = sorted(
    path
    for path, pattern in walk(get_resolver().url_patterns)
    if path.startswith(("/accounts/", "/admin/login/"))
    or (
        path.startswith(tuple(f"{prefix}/" for prefix in PREFIXES))
        and (is_public(pattern) or path.endswith("/upgrade"))
    )
)


def test_the_routes_are_found():
    assert len(ROUTES) > 60
    assert {f"{prefix}/guest-login" for prefix in PREFIXES} <= set(ROUTES)
    assert {"/accounts/login/", "/accounts/2fa/authenticate/", "/admin/login/"} <= set(ROUTES)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("route", ROUTES)
def test_every_way_in_has_a_limit_of_its_own_for_each_address(route: str, method: str):
    windows = windows_for(method, canonical(route), Caller("2001:db8::1", None, None, False))
    own = [window for window in windows if window.name not in ("all", "v1")]
    assert own
    assert {window.scope for window in own} == {"address"}
    assert all(window.key.endswith("2001:db8::/64") for window in own)


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("POST", "/accounts/login/", "sign_in"),
        ("POST", "/accounts/2fa/authenticate/", "sign_in"),
        ("POST", "/accounts/reauthenticate/", "sign_in"),
        ("POST", "/admin/login/", "sign_in"),
        ("GET", "/accounts/login/", "account_pages"),
        ("POST", "/accounts/signup/", "sign_up"),
        ("POST", "/accounts/password/reset/", "password_reset"),
        ("POST", "/accounts/password/reset/key/1-abc/", "password_reset"),
        ("POST", "/v1/auth/upgrade", "sign_up"),
        ("GET", "/v1/auth/refresh-token", "refresh"),
        ("POST", "/v1/auth/revoke", "end_session"),
        ("POST", "/v1/auth/validate-api-key", "validate"),
        ("GET", "/v1/auth/google/callback", "single_sign_on"),
        ("GET", "/accounts/sso/acme/callback/", "single_sign_on"),
        ("GET", "/accounts/invite/", "account_pages"),
        ("POST", "/accounts/invite/accept/", "sign_in"),
        ("GET", "/v1/organization/invites/inv_1", "invite_link"),
        ("POST", "/v1/organization/invites/inv_1/accept", "invite_link"),
        ("GET", "/v1/organization/invites", None),
        ("GET", "/v1/models", None),
        ("GET", "/v1/auth/me", None),
    ],
)
def test_the_table_names_the_limit_of_a_way_in(method: str, path: str, name: str | None):
    assert sign_in_limit(method, path) == name


def test_the_documented_table_is_the_one_that_counts():
    text = (Path(__file__).resolve().parents[2] / "docs" / "limits.md").read_text()
    documented = re.findall(r"^\| `(\w+)` \| ([^|]+) \| (\w+) \|", text, re.M)
    rows = django_settings.RATE_LIMITS.items()
    assert documented == [(name, ", ".join(row["limits"]), row["per"]) for name, row in rows]
    streams = django_settings.CONCURRENT_STREAMS
    amounts = f"At most {streams['key']} streams run at once for each key or user, {streams['guest']} for each guest, "
    assert f"{amounts}{streams['organization']} for each organization." in text


PEER = ("::ffff:192.0.2.1", 1234)


@pytest.mark.parametrize(
    ("proxies", "lines", "address"),
    [
        (0, [], "192.0.2.1"),
        (0, ["198.51.100.7"], "192.0.2.1"),
        (1, [], "192.0.2.1"),
        (1, ["198.51.100.7"], "198.51.100.7"),
        (1, ["203.0.113.9, 198.51.100.7"], "198.51.100.7"),
        (1, ["203.0.113.9", "198.51.100.7"], "198.51.100.7"),
        (1, ["::ffff:198.51.100.7"], "198.51.100.7"),
        (1, ["[2001:db8::7]"], "2001:db8::7"),
        (1, ["2001:DB8:0::7"], "2001:db8::7"),
        (1, ["198.51.100.7:1234"], "198.51.100.7"),
        (1, ["[2001:db8::7]:443"], "2001:db8::7"),
        (1, ["[::ffff:198.51.100.7]:443"], "198.51.100.7"),
        (1, ["203.0.113.9:80, 198.51.100.7:1234"], "198.51.100.7"),
        (1, ["198.51.100.7:"], "192.0.2.1"),
        (1, ["[2001:db8::7]443"], "192.0.2.1"),
        (1, ["nonsense:80"], "192.0.2.1"),
        (1, ["nonsense"], "192.0.2.1"),
        (1, ["198.51.100.7,"], "192.0.2.1"),
        (2, ["198.51.100.7"], "192.0.2.1"),
        (2, ["198.51.100.7, 10.0.0.2"], "198.51.100.7"),
        (2, ["198.51.100.7", "10.0.0.2"], "198.51.100.7"),
        (2, ["203.0.113.9, 198.51.100.7, 10.0.0.2"], "198.51.100.7"),
    ],
)
def test_only_our_proxies_say_where_a_request_comes_from(settings, proxies: int, lines: list[str], address: str):
    settings.TRUSTED_PROXY_COUNT = proxies
    headers = [(b"x-forwarded-for", line.encode()) for line in lines]
    assert address_of({"client": PEER, "headers": headers}) == address


def test_behind_a_local_socket_nobody_has_an_address(settings):
    settings.TRUSTED_PROXY_COUNT = 0
    assert address_of({"client": None, "headers": []}) == "unknown"


# --- Per account ---


@pytest.fixture(autouse=True)
def _fresh_limits() -> None:
    cache.clear()


@pytest.fixture
def person(db: None) -> User:
    user = User.objects.create_user("ada@example.com", PASSWORD)
    EmailAddress.objects.create(user=user, email="ada@example.com", verified=True, primary=True)
    return user


def try_to_sign_in(email: str, password: str, address: str = "192.0.2.1") -> Any:
    return Client(REMOTE_ADDR=address).post(reverse("account_login"), {"login": email, "password": password})


@pytest.mark.parametrize("email", ["ada@example.com", "nobody@example.com"])
def test_an_account_is_guessed_at_five_times_from_one_address(person: User, email: str):
    answers = [try_to_sign_in(email, f"wrong-{number}") for number in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    refused = try_to_sign_in(email.upper(), PASSWORD)
    assert (refused.status_code, refused["Retry-After"], refused.client.session.get("_auth_user_id")) == (
        429,
        "300",
        None,
    )
    assert b"Too many tries" in refused.content


def test_a_stranger_does_not_lock_anybody_out(person: User):
    answers = [try_to_sign_in("ada@example.com", f"wrong-{number}", f"192.0.2.{number % 5}") for number in range(25)]
    assert {answer.status_code for answer in answers} == {200}
    assert try_to_sign_in("ada@example.com", "wrong", "192.0.2.0").status_code == 429
    own = try_to_sign_in("ada@example.com", PASSWORD, "192.0.2.99")
    assert (own.status_code, own.client.session.get("_auth_user_id")) == (302, person.pk)


@pytest.mark.parametrize("email", ["ada@example.com", "nobody@example.com"])
def test_an_account_is_guessed_at_a_hundred_times_from_everywhere(person: User, email: str):
    answers = [try_to_sign_in(email, f"wrong-{number}", f"192.0.2.{number % 25}") for number in range(100)]
    assert {answer.status_code for answer in answers} == {200}
    refused = try_to_sign_in(email, PASSWORD, "192.0.2.99")
    assert (refused.status_code, refused.client.session.get("_auth_user_id")) == (429, None)


def somebody(kind: str) -> None:
    """Somebody who signs in as ada@example.com, or does not."""
    user = User.objects.create_user("ada@example.com", None if kind == "without a password" else PASSWORD)
    EmailAddress.objects.create(user=user, email="ada@example.com", verified=kind != "unverified", primary=True)
    if kind == "disabled":
        User.objects.get_queryset().filter(pk=user.pk).update(is_active=False)
    if kind == "with a second factor":
        Authenticator.objects.create(user=user, type="totp", data={"secret": "sealed"})


@pytest.mark.django_db
@pytest.mark.parametrize("kind", ["usual", "disabled", "unverified", "without a password", "with a second factor"])
def test_a_known_and_an_unknown_address_are_answered_alike(kind: str, monkeypatch: pytest.MonkeyPatch):
    somebody(kind)
    hashed: list[str] = []
    encode = MD5PasswordHasher.encode

    def counted(self: MD5PasswordHasher, password: str, salt: str) -> str:
        hashed.append(password)
        return encode(self, password, salt)

    monkeypatch.setattr(MD5PasswordHasher, "encode", counted)
    answers, work = [], []
    for email in ("ada@example.com", "eve@example.com"):
        before = len(hashed)
        answers.append(try_to_sign_in(email, "wrong"))
        work.append(len(hashed) - before)
    known, unknown = answers
    assert work == [1, 1]
    assert (known.status_code, unknown.status_code) == (200, 200)
    assert shape_of(known, "ada@example.com") == shape_of(unknown, "eve@example.com")


def shape_of(answer: Any, email: str) -> tuple[Any, ...]:
    """An answer without what is random in every one."""
    token, nonce = answer.context["csrf_token"], answer.wsgi_request.META.get("CSRF_COOKIE", "")
    body = answer.content.decode().replace(str(token), "").replace(email, "")
    headers = {name: value for name, value in answer.items() if name not in ("Content-Length", "Expires")}
    policy = headers.pop("Content-Security-Policy").split("'nonce-")[0]
    assert nonce
    return body, headers, policy, sorted(answer.cookies)


def test_a_session_refreshes_so_often_and_no_more():
    for _ in range(30):
        admit("refresh_session", "a")
    with pytest.raises(RateLimited) as refused:
        admit("refresh_session", "a")
    assert 1 <= refused.value.retry_after <= 60
    assert refused.value.details is not None
    assert (refused.value.details["name"], refused.value.details["scope"]) == ("refresh_session", "session")
    admit("refresh_session", "b")


def test_a_mailbox_is_not_filled_by_upgrading_guests(db: None, django_capture_on_commit_callbacks: Any):
    for _ in range(7):
        guest = User.objects.create_user(is_guest=True)
        with django_capture_on_commit_callbacks(execute=True):
            upgrade_guest(guest=guest, session=Client().session, email="Eve@example.com")
    assert [message.to for message in mail.outbox] == [["eve@example.com"]] * 5


def test_the_cache_goes_on_in_memory_while_redis_is_away(redis_url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(SharedCache, "away_until", 0.0)
    options = {"OPTIONS": {"socket_connect_timeout": 0.2, "socket_timeout": 0.2}}
    shared, away = SharedCache(redis_url, options), SharedCache("redis://127.0.0.1:1/0", options)
    assert shared.add("counter", 1, 60)
    assert SharedCache(redis_url, options).incr("counter") == 2
    assert away.add("counter", 1, 60)
    assert SharedCache.away_until > time.monotonic()
    assert [away.incr("counter"), away.get("counter"), away.add("counter", 9, 60)] == [2, 2, False]
    monkeypatch.setattr(SharedCache, "away_until", 0.0)
    assert shared.get("counter") == 2


# --- On a running server, with one proxy in front and the limits of a real installation ---

live_only = pytest.mark.e2e


@pytest.fixture(scope="module")
def limited(provider: Provider) -> Iterator[Server]:
    with start_server(provider, profile="sqlite", JAN_RATELIMIT_SCALE="1", TRUSTED_PROXY_COUNT="1") as server:
        yield server


def ask(server: Server, method: str, path: str, address: str, body: str = "", **headers: str) -> tuple[int, Any, bytes]:
    connection = HTTPConnection("localhost", server.port, timeout=20)
    sent = {"X-Forwarded-For": f"203.0.113.66, {address}", "Content-Type": "application/json", **headers}
    connection.request(method, path, body or None, sent)
    answer = connection.getresponse()
    found = answer.status, answer.headers, answer.read()
    connection.close()
    return found


@pytest.mark.e2e
@pytest.mark.parametrize(("proxies", "address"), [(0, "127.0.0.1"), (1, "198.51.100.7"), (2, "203.0.113.66")])
def test_allauth_hears_the_address_that_the_edge_found(provider: Provider, proxies: int, address: str):
    with start_server(provider, profile="sqlite", TRUSTED_PROXY_COUNT=str(proxies)) as server:
        assert ask(server, "POST", "/v1/auth/guest-login", "::ffff:198.51.100.7")[0] == 201
        script = "from allauth.usersessions.models import UserSession; print(UserSession.objects.get().ip)"
        assert server.manage("shell", "--no-imports", "-c", script).stdout.split() == [address]


LIMITS = {"guest-login": 5, "refresh": 60, "refresh-token": 60, "revoke": 60, "logout": 60}


@pytest.mark.e2e
@pytest.mark.parametrize(("route", "amount"), LIMITS.items())
def test_a_route_is_limited_under_all_its_prefixes_together(limited: Server, route: str, amount: int):
    network = f"2001:db8:{list(LIMITS).index(route) + 1}"
    statuses = []
    for number in range(amount + 1):
        prefix = PREFIXES[number % len(PREFIXES)]
        status, headers, body = ask(limited, "POST", f"{prefix}/{route}", f"{network}::{number:x}", "{}")
        statuses.append(status)
    assert statuses[amount] == 429
    assert 429 not in statuses[:amount]
    error = json.loads(body)["error"]
    assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
    assert error["details"]["limit"] == amount
    assert 1 <= int(headers["retry-after"]) <= 60
    assert ask(limited, "POST", f"/v1/auth/{route}", f"{network}:1::", "{}")[0] != 429


@pytest.mark.e2e
def test_a_page_is_refused_with_a_page(limited: Server):
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answers = [ask(limited, "POST", "/accounts/login/", "::ffff:198.51.100.7", "a=b", **form) for _ in range(20)]
    assert {status for status, _, _ in answers} == {403}  # a form without its token
    status, headers, body = ask(limited, "POST", "/accounts/login/", "198.51.100.7", "a=b", **form)
    assert (status, headers["content-type"]) == (429, "text/html; charset=utf-8")
    assert 1 <= int(headers["retry-after"]) <= 60
    assert b"Too many tries" in body
    assert "default-src 'none'" in headers["content-security-policy"]
    assert ask(limited, "GET", "/accounts/login/", "198.51.100.7")[0] == 200


@pytest.mark.e2e
def test_people_sign_in_while_redis_is_away(provider: Provider):
    with (
        start_server(provider, profile="postgres", REDIS_URL="redis://127.0.0.1:1/0") as server,
        httpx2.Client(base_url=server.base_url, timeout=20, follow_redirects=True) as browser,
    ):
        page = browser.get("/accounts/login/").text
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
        assert token is not None
        form = {"login": OPERATOR[0], "password": OPERATOR[1], "csrfmiddlewaretoken": token.group(1)}
        assert browser.post("/accounts/login/", data=form).url.path == "/admin/"

"""A person signs in with Google-shaped and Keycloak-shaped providers, in a browser, against the real server."""

from __future__ import annotations

import json
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.e2e.test_browser import FLAGS
from tests.parts.issuer import ScriptedIssuer, answer_at, mock_provider, put_user
from tests.provider import Provider
from tests.server import Server, start_server

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed; .ci/run installs it"),
]


@pytest.fixture(scope="module")
def keycloak() -> Iterator[str]:
    with mock_provider() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def google() -> Iterator[str]:
    with mock_provider() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def server(provider: Provider, keycloak: str, google: str) -> Iterator[Server]:
    """Both providers come from the environment; Google's is then moved to a socket of this machine."""
    names = {
        "ISSUER": keycloak,
        "OIDC_CLIENT_ID": "jan",
        "OIDC_CLIENT_SECRET": "keycloak-secret",
        "OAUTH2_GOOGLE_CLIENT_ID": "google-id",
        "OAUTH2_GOOGLE_CLIENT_SECRET": "google-secret",
    }
    with start_server(provider, profile="sqlite", **names) as running:
        script = f"from apps.sso.models import IdentityProvider as P; P.objects.filter(slug='google').update(issuer={google!r})"
        moved = running.manage("shell", "--no-imports", "-c", script)
        assert moved.returncode == 0, moved.stderr
        yield running


@pytest.fixture
def page(server: Server) -> Iterator[Page]:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        page = browser.new_page(base_url=server.base_url)
        complaints: list[str] = []
        page.on(
            "console", lambda message: complaints.append(message.text) if "Content Security" in message.text else None
        )
        yield page
        browser.close()
        assert complaints == []


@pytest.mark.parametrize(("name", "which"), [("Google", "google"), ("localhost", "keycloak")])
def test_from_the_sign_in_page_to_ones_account(
    server: Server, page: Page, request: pytest.FixtureRequest, name: str, which: str
):
    issuer = request.getfixturevalue(which)
    email = f"ada.{which}@example.com"
    put_user(issuer, which, email=email, email_verified=True, name="Ada Lovelace")
    page.goto("/accounts/login/")
    page.get_by_role("link", name=f"Continue with {name}").click()
    expect(page.get_by_role("heading", name=f"Sign in with {name}")).to_be_visible()
    page.get_by_role("button", name=f"Continue to {name}").click()
    expect(page.get_by_text("Authorize Client")).to_be_visible()
    assert page.url.startswith(issuer)
    page.fill("input[name=sub]", which)
    page.get_by_role("button", name="Authorize").click()
    page.wait_for_url(f"{server.base_url}/**")
    expect(page.get_by_role("navigation", name="Account", exact=True)).to_contain_text(email)
    page.goto("/accounts/3rdparty/")
    expect(page.get_by_role("button", name=f"Disconnect {name}")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()


def test_declining_and_an_unverified_address_lead_back_to_sign_in(server: Server, page: Page, google: str):
    page.goto("/accounts/sso/google/")
    page.get_by_role("button", name="Continue to Google").click()
    page.fill("input[name=sub]", "mallory")
    put_user(google, "mallory", email="ada@example.com", email_verified=False)
    page.get_by_role("button", name="Authorize").click()
    expect(page.get_by_text("has not verified your e-mail address")).to_be_visible()
    page.get_by_role("link", name="Back to sign-in").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


@pytest.mark.parametrize(("login", "key", "callback", "which"), [
    ("/v1/auth/google/login", "url", "/v1/auth/google/callback", "google"),
    ("/llm/auth/login", "authorization_url", "/llm/auth/callback", "keycloak"),
])  # fmt: skip
def test_over_the_api_with_curls_requests(server: Server, request: pytest.FixtureRequest, login, key, callback, which):
    issuer = request.getfixturevalue(which)
    put_user(issuer, f"{which}-api", email=f"api.{which}@example.com", email_verified=True, name="Ada")
    sent = answer_at(server.call("GET", login)[key], f"{which}-api")
    query = "&".join(f"{name}={text}" for name, text in sent.items())
    tokens = server.call("GET", f"{callback}?{query}")
    me = server.call("GET", "/v1/auth/me", authorization=f"Bearer {tokens['access_token']}")
    assert (me["email"], me["name"], me["is_guest"]) == (f"api.{which}@example.com", "Ada", False)
    again = server.call("POST", "/v1/auth/refresh-token", {"refresh_token": tokens["refresh_token"]})
    assert set(again) == set(tokens)


def test_the_short_google_route_redirects_to_it(server: Server, google: str):
    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: object) -> None:
            return None

    opener = urllib.request.build_opener(Stay)
    with pytest.raises(urllib.error.HTTPError) as redirect:
        opener.open(f"{server.base_url}/auth/google", timeout=10)
    redirect.value.close()
    location = redirect.value.headers["location"]
    assert (redirect.value.code, location.startswith(google)) == (302, True)
    assert dict(parse_qsl(urlsplit(location).query))["client_id"] == "google-id"


def within(seconds: float, call: Callable[[], Any]) -> Any:
    """Return what `call` returns once it no longer raises, or let the last failure out."""
    limit = time.monotonic() + seconds
    while True:
        try:
            return call()
        except (urllib.error.HTTPError, pytest.fail.Exception):
            if time.monotonic() > limit:
                raise
            time.sleep(0.1)


def refused(server: Server, token: str) -> tuple[int, str, str | None]:
    with pytest.raises(urllib.error.HTTPError) as refusal:
        server.call("GET", "/v1/models", authorization=f"Bearer {token}")
    with refusal.value as answer:
        return answer.code, json.load(answer)["error"]["code"], answer.headers["retry-after"]


def test_access_tokens_of_an_issuer_open_the_api(provider: Provider):
    with ScriptedIssuer() as issuer:
        names = {"ISSUER": issuer.issuer, "JWKS_URL": f"{issuer.issuer}/jwks", "AUDIENCE": "jan", "ACCOUNT": "account"}
        with start_server(provider, profile="sqlite", **names) as server:
            issuer.is_down = True
            token = issuer.access_token(email="ada@example.com", email_verified=True, name="Ada")
            assert refused(server, token) == (503, "identity_provider_unavailable", "10")
            issuer.is_down = False
            assert refused(server, issuer.access_token(aud="another"))[:2] == (503, "identity_provider_unavailable")
            within(15, lambda: server.call("GET", "/v1/models", authorization=f"Bearer {token}"))
            me = server.call("GET", "/v1/auth/me", authorization=f"Bearer {token}")
            assert (me["email"], me["name"]) == ("ada@example.com", "Ada")
            body = {"model": "plain", "messages": [{"role": "user", "content": "hi"}]}
            answer = server.call("POST", "/v1/chat/completions", body, authorization=f"Bearer {token}")
            assert answer["choices"][0]["finish_reason"] == "stop"
            assert refused(server, issuer.access_token(aud="another"))[:2] == (401, "invalid_token")
            assert issuer.asked.count("/jwks") == 2
            disable = "from apps.sso.models import IdentityProvider as P; P.objects.update(is_enabled=False)"
            assert server.manage("shell", "--no-imports", "-c", disable).returncode == 0
            assert within(2.5, lambda: refused(server, token))[:2] == (401, "invalid_token")


def test_in_production_every_process_knows_the_provider_and_the_states_of_the_others(provider: Provider, keycloak: str):
    put_user(keycloak, "grace", email="grace@example.com", email_verified=True, name="Grace")
    names = {"ISSUER": keycloak, "OIDC_CLIENT_ID": "jan", "OIDC_CLIENT_SECRET": "keycloak-secret"}
    with start_server(provider, profile="postgres", **names) as server:
        for _ in range(6):
            sent = answer_at(server.call("GET", "/v1/auth/login")["authorization_url"], "grace")
            query = "&".join(f"{name}={text}" for name, text in sent.items())
            token = server.call("GET", f"/v1/auth/callback?{query}")["access_token"]
            assert server.call("GET", "/v1/auth/me", authorization=f"Bearer {token}")["email"] == "grace@example.com"


def test_no_secret_is_in_the_log_or_the_admins_pages(server: Server):
    log = server.log.read_text()
    assert "google-secret" not in log
    assert "keycloak-secret" not in log
    assert json.loads(server.manage("fsck", "--json").stdout)["ok"] is True

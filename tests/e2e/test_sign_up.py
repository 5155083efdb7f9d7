"""What people do with their accounts, in a browser without JavaScript, with mail over SMTP."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import urllib.error
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.mailbox import Mailbox, link_in, text_of
from tests.provider import Provider
from tests.server import OPERATOR, ROOT, Server, start_server

CHROMIUM = shutil.which("chromium")
FLAGS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync"
PASSWORD, NEW = "analytical-engine-1", "a-newer-engine-22"
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed; .ci/run installs it"),
]


@pytest.fixture(scope="module")
def server(provider: Provider, mailbox: Mailbox) -> Iterator[Server]:
    with start_server(provider, profile="sqlite", **mailbox.settings) as running:
        yield running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield browser
        browser.close()


@pytest.fixture
def browse(chromium: Browser, server: Server) -> Iterator[Callable[..., Page]]:
    """Open a browser of somebody's own, in which nothing may go wrong and no script runs unless asked for."""
    opened, complaints = [], []

    def somebody(*, script: bool = False) -> Page:
        context = chromium.new_context(base_url=server.base_url, java_script_enabled=script)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("response", lambda answer: complaints.append(answer.url) if answer.status >= 400 else None)
        page.on(
            "request",
            lambda request: complaints.append(request.url) if not request.url.startswith(server.base_url) else None,
        )
        opened.append(context)
        return page

    yield somebody
    for context in opened:
        context.close()
    assert complaints == []


def sign_in(page: Page, email: str, password: str = PASSWORD) -> None:
    page.goto("/accounts/login/")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", name="Your account")).to_be_visible()


def test_somebody_signs_up_by_mail(server: Server, mailbox: Mailbox, browse: Callable[..., Page]):
    page = browse()
    page.goto("/")
    page.get_by_role("link", name="Sign in").click()
    page.get_by_role("link", name="Create an account").click()
    page.get_by_label("E-mail").fill("grace@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_role("heading", name="Look into your mail")).to_be_visible()

    link = link_in(text_of(mailbox.take("grace@example.com")))
    assert link.startswith(f"{server.base_url}/accounts/confirm-email/")
    page.goto(link)
    page.get_by_role("button", name="Yes, confirm it").click()
    expect(page.get_by_role("heading", name="Your account")).to_be_visible()
    expect(page.get_by_text("grace@example.com is confirmed.")).to_be_visible()

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You are signed out.")).to_be_visible()


def test_a_newcomer_makes_a_key_and_calls_a_model_with_it(
    server: Server, mailbox: Mailbox, browse: Callable[..., Page]
):
    page = browse()
    page.goto("/accounts/signup/")
    page.get_by_label("E-mail").fill("newcomer@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    page.goto(link_in(text_of(mailbox.take("newcomer@example.com"))))
    page.get_by_role("button", name="Yes, confirm it").click()
    page.get_by_role("navigation", name="Your account").get_by_role("link", name="API keys").click()
    page.get_by_role("link", name="Make a key").click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    page.get_by_label("Name").fill("laptop")
    page.get_by_role("button", name="Make the key").click()
    expect(page.get_by_role("heading", name="The secret of laptop")).to_be_visible()

    key, example = page.locator("#secret").inner_text(), page.locator("pre").last.inner_text()
    assert f"curl {server.base_url}/v1/chat/completions" in example
    body = json.loads(example.partition("-d '")[2].partition("'")[0])
    assert body["model"] in {model["id"] for model in _models(server, key)}
    body["model"] = "plain"  # others of the test's provider fail on purpose
    answer = server.call("POST", "/v1/chat/completions", body, authorization=f"Bearer {key}")
    assert (answer["model"], answer["choices"][0]["message"]["role"]) == (body["model"], "assistant")

    limit = time.monotonic() + 40
    page.goto("/accounts/usage/")
    while page.get_by_role("row").count() == 0 and time.monotonic() < limit:
        page.reload()
    expect(page.get_by_role("row").nth(1)).to_contain_text(body["model"])

    page.goto("/accounts/keys/")
    page.get_by_role("link", name="Revoke laptop").click()
    page.get_by_role("button", name="Revoke the key").click()
    expect(page.get_by_text("laptop stops working everywhere within two seconds.")).to_be_visible()
    limit = time.monotonic() + 2
    while (listed := _models(server, key)) and time.monotonic() < limit:
        pass
    assert listed == []


def _models(server: Server, key: str) -> list[dict[str, Any]]:
    """The models that a key may call; none for a key that is not good."""
    try:
        listed: list[dict[str, Any]] = server.call("GET", "/v1/models", authorization=f"Bearer {key}")["data"]
    except urllib.error.HTTPError as refusal:
        return [] if refusal.code == 401 else [{"refused": refusal.code}]
    return listed


def test_an_operator_invites_somebody(mailbox: Mailbox, browse: Callable[..., Page]):
    admin, invited = browse(script=True), browse()
    admin.goto("/admin/accounts/user/invite/")
    admin.get_by_label("E-mail").fill(OPERATOR[0])
    admin.get_by_label("Password", exact=True).fill(OPERATOR[1])
    admin.get_by_role("button", name="Sign in", exact=True).click()
    admin.locator("input[name=email]").fill("invited@example.com")
    admin.get_by_role("button", name="Send the invitation").click()
    expect(admin.get_by_text("invited@example.com is mailed a link")).to_be_visible()

    invited.goto(link_in(text_of(mailbox.take("invited@example.com"))))
    expect(invited.get_by_label("E-mail")).to_be_disabled()
    invited.get_by_label("Password").fill(PASSWORD)
    invited.get_by_role("button", name="Create account").click()
    expect(invited.get_by_role("heading", name="Your account")).to_be_visible()


def test_somebody_forgot_the_password(server: Server, mailbox: Mailbox, browse: Callable[..., Page]):
    person = Person(server, mailbox, browse(), "forgetful@example.com")
    page = browse()
    page.goto("/accounts/login/")
    page.get_by_role("link", name="Forgot your password?").click()
    page.get_by_label("E-mail").fill(person.email)
    page.get_by_role("button", name="Send the link").click()
    expect(page.get_by_role("heading", name="Look into your mail")).to_be_visible()

    page.goto(link_in(text_of(mailbox.take(person.email))))
    page.get_by_label("New password", exact=True).fill(NEW)
    page.get_by_label("New password, again").fill(NEW)
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_role("heading", name="Password changed")).to_be_visible()
    assert mailbox.take(person.email)["subject"] == "Your password was changed"
    person.is_refused_within(2.0)
    sign_in(page, person.email, NEW)


def test_signing_out_everywhere_reaches_other_browsers_and_programs(
    server: Server, mailbox: Mailbox, browse: Callable[..., Page]
):
    person = Person(server, mailbox, browse(), "careful@example.com")
    here, there = browse(), browse()
    for page in (here, there):
        sign_in(page, person.email)
    assert person.is_admitted()

    here.goto("/accounts/sessions/")
    expect(here.get_by_role("main").get_by_text("This one", exact=True)).to_have_count(1)
    here.get_by_role("button", name="Sign out everywhere else").click()
    person.is_refused_within(2.0)
    expect(here.get_by_text("You are signed out everywhere else.")).to_be_visible()
    there.goto("/accounts/")
    expect(there.get_by_role("heading", name="Sign in")).to_be_visible()
    here.goto("/accounts/")
    expect(here.get_by_role("heading", name="Your account")).to_be_visible()


def test_in_production_a_worker_sends_the_mails(provider: Provider, mailbox: Mailbox):
    with start_server(provider, profile="postgres", **mailbox.settings) as server:
        words = [sys.executable, "-m", "celery", "-A", "janserver", "worker", "--pool", "threads", "--concurrency", "1"]
        with server.log.open("ab") as log:
            server.processes["worker"] = subprocess.Popen(words, cwd=ROOT, env=server.env, stdout=log, stderr=log)
        token = {"authorization": f"Bearer {server.guest_token()}"}
        server.call("POST", "/v1/auth/upgrade", {"email": "production@example.com", "password": PASSWORD}, **token)
        assert link_in(text_of(mailbox.take("production@example.com"))).startswith(server.base_url)
        # What a mail says is in no log, whatever its level.
        assert "confirm-email" not in server.log.read_text()


ISSUE = """
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore
from django.test import RequestFactory
from apps.accounts.models import User
from apps.accounts.sessions import issue_tokens
request = RequestFactory().get("/")
request.session, request.user = SessionStore(), AnonymousUser()
print(issue_tokens(request, User.objects.get(email="{email}"))["access_token"])
"""


class Person:
    """Somebody with an account made of a guest, and a program with a token of the account."""

    def __init__(self, server: Server, mailbox: Mailbox, page: Page, email: str) -> None:
        self._server, self.email = server, email
        guest = {"authorization": f"Bearer {server.guest_token()}"}
        server.call("POST", "/v1/auth/upgrade", {"email": email}, **guest)
        page.goto(link_in(text_of(mailbox.take(email))))
        page.get_by_role("button", name="Yes, confirm it").click()
        page.get_by_label("New password", exact=True).fill(PASSWORD)
        page.get_by_label("New password, again").fill(PASSWORD)
        page.get_by_role("button", name="Change password").click()
        expect(page.get_by_role("heading", name="Password changed")).to_be_visible()
        assert mailbox.take(email)["subject"] == "Your password was changed"
        made = server.manage("shell", "--no-imports", "-c", ISSUE.format(email=email))
        self._headers = {"authorization": f"Bearer {made.stdout.strip()}"}

    def is_admitted(self) -> bool:
        try:
            self._server.call("GET", "/v1/models", **self._headers)
        except urllib.error.HTTPError as refusal:
            return refusal.code != 401
        return True

    def is_refused_within(self, seconds: float) -> None:
        limit = time.monotonic() + seconds
        while self.is_admitted():
            assert time.monotonic() < limit

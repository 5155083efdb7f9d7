"""What people do with an invite, in a browser without JavaScript, with mail over SMTP."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.mailbox import Mailbox, link_in, text_of
from tests.provider import Provider
from tests.server import OPERATOR, Server, start_server

CHROMIUM = shutil.which("chromium")
FLAGS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync"
PASSWORD = "analytical-engine-1"
WIDTHS = {"phone": 390, "desk": 1280}
# Where pictures of the pages go, for whoever wants to look at them.
PICTURES = os.environ.get("JAN_TEST_PICTURES")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed; .ci/run installs it"),
]
_names = itertools.count()

SETUP = f"""
from apps.accounts.models import User
from apps.api_keys.services import Holder, create_key
from apps.api_keys.tokens import KeyKind
from apps.projects.services import create_organization
user = User.objects.get(email={OPERATOR[0]!r})
place = create_organization(name="Acme Corp", owner=user)
place.domain = "acme.com"
place.save()
print(create_key(kind=KeyKind.ADMIN, name="sdk", place=place, holder=Holder(user))[1])
"""


@pytest.fixture(scope="module")
def server(provider: Provider, mailbox: Mailbox) -> Iterator[Server]:
    with start_server(provider, profile="sqlite", JAN_SIGNUP="invitation", **mailbox.settings) as running:
        yield running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def admin_key(server: Server) -> str:
    made = server.manage("shell", "--no-imports", "-c", SETUP)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip().splitlines()[-1]


@pytest.fixture
def browse(chromium: Browser, server: Server) -> Iterator[Callable[..., Page]]:
    """Open a browser of somebody's own, in which nothing goes wrong unless expected, and no script runs."""
    opened, complaints = [], []

    def somebody(width: int = 1280, expected: tuple[int, ...] = ()) -> Page:
        context = chromium.new_context(
            base_url=server.base_url, java_script_enabled=False, viewport={"width": width, "height": 900}
        )
        page = context.new_page()
        page.on(
            "console",
            lambda message: complaints.append(message.text) if message.type == "error" and not expected else None,
        )
        page.on(
            "response",
            lambda answer: (
                complaints.append(answer.url) if answer.status >= 400 and answer.status not in expected else None
            ),
        )
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


@pytest.fixture
def invite(server: Server, mailbox: Mailbox, admin_key: str) -> Callable[..., tuple[str, str, dict[str, Any]]]:
    """Invite somebody, and return the address, the link of the mail, and the answer."""

    def invited(email: str = "") -> tuple[str, str, dict[str, Any]]:
        email = email or f"grace-{next(_names)}@example.com"
        made = server.call(
            "POST",
            "/v1/organization/invites",
            {"email": email, "role": "member", "message": "Welcome!\nYour desk is by the window."},
            authorization=f"Bearer {admin_key}",
        )
        return email, link_in(text_of(mailbox.take(email))), made

    return invited


def look(page: Page, name: str) -> None:
    """Nothing sticks out of the window. A picture is kept where one was asked for."""
    assert page.evaluate("document.documentElement.scrollWidth") <= (page.viewport_size or {})["width"]
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


def make_account(page: Page, link: str) -> None:
    page.goto(link)
    page.get_by_role("link", name="Create an account").click()
    expect(page.get_by_label("E-mail")).to_be_disabled()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()


@pytest.mark.parametrize("size", WIDTHS)
def test_somebody_new_follows_the_mail_and_joins(invite: Any, browse: Callable[..., Page], server: Server, size: str):
    email, link, _ = invite()
    page = browse(WIDTHS[size])
    page.goto(link)
    assert page.url == f"{server.base_url}/accounts/invite/"
    expect(page.get_by_role("heading", name="You are invited to Acme Corp")).to_be_visible()
    expect(page.get_by_text("Your desk is by the window.")).to_be_visible()
    look(page, f"stranger-{size}")
    make_account(page, link)
    expect(page.get_by_text(f"You are signed in as {email}.")).to_be_visible()
    look(page, f"open-{size}")
    page.get_by_role("button", name="Accept").click()
    expect(page.get_by_role("heading", name="You are in Acme Corp")).to_be_visible()
    look(page, f"joined-{size}")
    again = browse(WIDTHS[size], expected=(404,))
    again.goto(link)
    expect(again.get_by_role("heading", name="The invitation is not good")).to_be_visible()
    look(again, f"not-good-{size}")
    # Who may look at the log sees no secret in it.
    secret = link.partition("token=")[2]
    assert len(secret) == 32
    assert secret not in server.log.read_text()


def test_somebody_with_an_account_signs_in_and_declines(invite: Any, browse: Callable[..., Page]):
    email, link, _ = invite()
    page = browse()
    make_account(page, link)
    page.get_by_role("button", name="Decline").click()
    expect(page.get_by_text("You declined the invitation to Acme Corp.")).to_be_visible()

    _, link, _ = invite(email)
    page = browse(390)
    page.goto(link)
    page.get_by_role("link", name="Sign in").click()
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_role("button", name="Accept").click()
    expect(page.get_by_role("heading", name="You are in Acme Corp")).to_be_visible()


def test_in_somebody_elses_browser_one_signs_out_first(invite: Any, browse: Callable[..., Page]):
    page = browse(390)
    other, link, _ = invite()
    make_account(page, link)
    email, link, _ = invite()
    page.goto(link)
    expect(page.get_by_text(f"you are signed in as {other}")).to_be_visible()
    look(page, "elsewhere-phone")
    page.get_by_role("button", name="Sign out and go on").click()
    expect(page.get_by_role("link", name="Create an account")).to_be_visible()
    expect(page.get_by_text(f"signed in as {email}")).to_be_visible()


def test_the_inviters_own_link_asks_to_prove_the_address(
    invite: Any, mailbox: Mailbox, browse: Callable[..., Page], server: Server
):
    email, _, made = invite()
    page = browse()
    make_account(page, made["invite_url"])
    expect(page.get_by_role("heading", name="Look into your mail")).to_be_visible()
    page.goto(link_in(text_of(mailbox.take(email))))
    page.get_by_role("button", name="Yes, confirm it").click()
    page.get_by_role("button", name="Accept").click()
    expect(page.get_by_role("heading", name="You are in Acme Corp")).to_be_visible()


@pytest.mark.parametrize("size", WIDTHS)
def test_the_mail_can_be_looked_at(
    invite: Any, mailbox: Mailbox, browse: Callable[..., Page], server: Server, size: str, admin_key: str
):
    email = f"reader-{next(_names)}@example.com"
    server.call(
        "POST",
        "/v1/organization/invites",
        {"email": email, "role": "viewer", "message": "Hello <b>there</b>,\n\nsee you soon:\nhttp://localhost/"},
        authorization=f"Bearer {admin_key}",
    )
    message = mailbox.take(email)
    assert message["subject"] == f"{OPERATOR[0]} invites you to Acme Corp"
    page = browse(WIDTHS[size])
    page.set_content(str(message.get_body(("html",)).get_content()))
    expect(page.get_by_role("link")).to_have_count(1)
    expect(page.get_by_role("link", name="Look at the invitation")).to_be_visible()
    expect(page.get_by_text("Hello <b>there</b>,")).to_be_visible()
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"mail-{size}.png", full_page=True)

"""Second factors in a browser: an authenticator app, a passkey, and what operators have to do first."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from playwright.sync_api import Page, expect, sync_playwright

from tests.provider import Provider
from tests.server import OPERATOR, Server, start_server

CHROMIUM = shutil.which("chromium")
FLAGS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync"
PERSON = ("ada@example.com", "analytical-engine-1")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed; .ci/run installs it"),
]


@pytest.fixture(scope="module")
def server(provider: Provider) -> Iterator[Server]:
    """A server whose operators need a second factor, and one person."""
    with start_server(provider, profile="sqlite", JAN_OPERATOR_MFA="true") as running:
        script = (
            "from allauth.account.models import EmailAddress; from apps.accounts.models import User;"
            f"user = User.objects.create_user(*{PERSON!r}, name='Ada');"
            "EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)"
        )
        made = running.manage("shell", "--no-imports", "-c", script)
        assert made.returncode == 0, made.stderr
        yield running


@pytest.fixture
def page(server: Server) -> Iterator[Page]:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        page = browser.new_page(base_url=server.base_url)
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        yield page
        browser.close()
        assert complaints == []


def sign_in(page: Page, email: str, password: str) -> None:
    page.goto("/accounts/login/")
    page.fill("input[name=login]", email)
    page.fill("input[name=password]", password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def sign_out(page: Page) -> None:
    page.goto("/accounts/logout/")
    page.locator("main button[type=submit]").click()


def confirm(page: Page, password: str) -> None:
    expect(page.get_by_role("heading", name="Confirm it is you")).to_be_visible()
    page.fill("input[name=password]", password)
    page.get_by_role("button", name="Confirm").click()


def code(secret: str, step: int = 0) -> str:
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + step))


def test_an_operator_sets_up_an_app_and_signs_in_with_it(page: Page):
    sign_in(page, *OPERATOR)
    expect(page.get_by_text("Operators need a second factor")).to_be_visible()
    page.goto("/admin/accounts/user/")
    expect(page).to_have_url(re.compile(r"/accounts/2fa/$"))

    page.get_by_role("link", name="Set up").click()
    confirm(page, OPERATOR[1])
    assert page.locator("img.qr").evaluate("image => image.complete && image.naturalWidth > 0")
    secret = page.locator("#totp_secret").inner_text()
    page.fill("input[name=code]", code(secret))
    page.get_by_role("button", name="Turn on").click()
    recovery = page.locator("#recovery_codes li").all_inner_texts()
    assert len(recovery) == 10
    with page.expect_download() as downloaded:
        page.get_by_role("link", name="Download").click()
    assert downloaded.value.path().read_text().split() == recovery
    page.goto("/admin/")
    expect(page.get_by_text("Requests per hour")).to_be_visible()

    sign_out(page)
    sign_in(page, *OPERATOR)
    expect(page.get_by_role("heading", name="Second step")).to_be_visible()
    page.fill("input[name=code]", "000000")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("Incorrect code.")).to_be_visible()
    page.fill("input[name=code]", code(secret, step=1))  # the one that set the app up was used
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("Requests per hour")).to_be_visible()

    sign_out(page)
    sign_in(page, *OPERATOR)
    page.fill("input[name=code]", recovery[0])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("Requests per hour")).to_be_visible()

    act_and_come_back(page)


def act_and_come_back(page: Page) -> None:
    page.goto(f"/admin/accounts/user/?q={PERSON[0]}")
    page.get_by_role("link", name=PERSON[0]).first.click()
    expect(page).to_have_url(re.compile(r"/change/"))
    page.get_by_role("link", name="Act as").click()
    page.fill("input[name=reason]", "Ticket 17")
    page.get_by_role("button", name=f"Act as {PERSON[0]}").click()
    banner = page.locator(".acting")
    expect(banner).to_contain_text(f"You act as {PERSON[0]}")
    assert banner.evaluate("element => getComputedStyle(element).position") == "fixed"
    banner.get_by_role("button", name="Stop").click()
    expect(page).to_have_url(re.compile(r"/admin/accounts/user/$"))
    expect(page.locator(".acting")).to_have_count(0)


def test_a_person_adds_a_passkey_and_signs_in_with_it(page: Page):
    devices = page.context.new_cdp_session(page)
    devices.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True}
    options |= {"isUserVerified": True, "automaticPresenceSimulation": True}
    device = devices.send("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"]

    sign_in(page, *PERSON)
    page.goto("/accounts/2fa/webauthn/add/")
    confirm(page, PERSON[1])
    page.fill("input[name=name]", "Laptop")
    page.get_by_role("button", name="Add").click()
    expect(page.locator("#recovery_codes li")).to_have_count(10)
    stored = devices.send("WebAuthn.getCredentials", {"authenticatorId": device})["credentials"]
    assert [(each["rpId"], each["isResidentCredential"]) for each in stored] == [("localhost", True)]

    sign_out(page)
    page.goto("/accounts/login/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page).to_have_url(re.compile(r"/accounts/$"))

    sign_out(page)
    sign_in(page, *PERSON)
    page.get_by_role("button", name="Use a passkey").click()
    expect(page).to_have_url(re.compile(r"/accounts/$"))

    page.goto("/accounts/2fa/webauthn/")
    page.get_by_role("link", name="Rename").click()
    page.get_by_role("link", name="Use a passkey").click()
    page.get_by_role("button", name="Use a passkey").click()
    page.fill("input[name=name]", "Old laptop")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Old laptop")).to_be_visible()
    page.get_by_role("link", name="Remove").click()
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("The passkey was removed.")).to_be_visible()

    sign_out(page)
    page.goto("/accounts/login/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_text("Incorrect code.")).to_be_visible()

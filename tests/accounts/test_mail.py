"""Mails: what is in them, and how they leave."""

from __future__ import annotations

import logging
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import celery
import pytest
from allauth.account.adapter import get_adapter
from django.conf import settings as django_settings
from django.core import mail
from django.core.mail import send_mail
from django.test import Client, RequestFactory
from django.utils import timezone

from apps.accounts.models import User
from tests.mailbox import Mailbox, link_in, text_of
from tests.parts.certificate import make_certificate

LIBRARY = Path(get_adapter.__code__.co_filename).parents[1] / "templates"
# Mails of flows that are switched off: codes instead of links, and an unused confirmation.
UNUSED = {"login_code", "password_reset_code", "email_confirm"}
NAMES = sorted(
    {
        f"{path.parent.parent.name}/email/{path.name.removesuffix('_message.txt')}"
        for folder in (LIBRARY, Path(django_settings.BASE_DIR) / "templates")
        for path in folder.rglob("email/*_message.txt")
        if not path.name.startswith("base_") and path.name.removesuffix("_message.txt") not in UNUSED
    }
)


@pytest.fixture
def worker() -> Iterator[None]:
    """Run background tasks at once, and what is tried again without its pause."""
    conf = celery.current_app.conf
    conf.task_always_eager = True
    yield
    conf.task_always_eager = False


@pytest.fixture
def smtp(settings: Any, mailbox: Mailbox, worker: None) -> Iterator[Mailbox]:
    """Mails leave for the mailbox, as in production."""
    settings.EMAIL_BACKEND = "apps.accounts.mail.QueueBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_USE_TLS = "127.0.0.1", mailbox.port, False
    mailbox.received.clear()
    mailbox.turned_away = mailbox.attempts = 0
    yield mailbox
    mailbox.login = None
    mailbox.answers.clear()


def send_through(settings: Any, mailbox: Mailbox, security: str) -> None:
    """Send by this mail server, as `SMTP_SECURITY` and a user would have it."""
    settings.EMAIL_BACKEND = "apps.accounts.mail.QueueBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", mailbox.port
    settings.EMAIL_USE_TLS, settings.EMAIL_USE_SSL = security == "starttls", security == "tls"
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "jan", "smtp-password-1"


@pytest.mark.django_db(transaction=True)
def test_a_mail_arrives_as_text_and_html_with_one_link_to_the_public_address(client: Client, smtp: Mailbox):
    # A host name that is allowed, and is not the one links are for.
    form = {"email": "ada@example.com", "password1": "analytical-engine-1"}
    assert client.post("/accounts/signup/", form, headers={"host": "127.0.0.1:4444"}).status_code == 302
    message = smtp.take("ada@example.com")
    assert message["subject"] == "Confirm your e-mail address"
    assert message["from"] == "Jan Server <noreply@localhost>"
    assert message["auto-submitted"] == "auto-generated"
    assert message["message-id"].endswith("@localhost>")
    text, html = text_of(message), message.get_body(("html",)).get_content()
    assert link_in(text).startswith("http://localhost:8000/accounts/confirm-email/")
    assert html.count("<a ") == 1
    assert f'href="{link_in(text)}"' in html
    assert "4444" not in str(message)


@pytest.mark.django_db(transaction=True)
def test_the_mail_server_is_given_user_and_password(settings: Any, smtp: Mailbox):
    smtp.login = (b"jan", b"smtp-password-1")
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "jan", "smtp-password-1"
    send_mail("Hello", "text", None, ["ada@example.com"])
    assert smtp.take("ada@example.com")["subject"] == "Hello"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_user_and_password_go_over_an_encrypted_connection(
    settings: Any, worker: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, security: str
):
    certificate, context = make_certificate(tmp_path)
    with Mailbox(context, starttls=security == "starttls") as mailbox:
        mailbox.login = (b"jan", b"smtp-password-1")
        send_through(settings, mailbox, security)
        send_mail("Hello", "text", None, ["unknown@example.com"])
        assert mailbox.received == []  # nobody vouches for this certificate

        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        send_mail("Hello", "text", None, ["ada@example.com"])
        assert mailbox.take("ada@example.com")["subject"] == "Hello"


@pytest.mark.django_db(transaction=True)
def test_a_server_without_encryption_is_not_told_the_password(settings: Any, smtp: Mailbox):
    send_through(settings, smtp, "starttls")
    smtp.login = (b"jan", b"smtp-password-1")
    send_mail("Hello", "text", None, ["ada@example.com"])
    assert (smtp.received, smtp.attempts) == ([], 0)


@pytest.mark.django_db(transaction=True)
def test_what_may_heal_is_tried_again(smtp: Mailbox, caplog: pytest.LogCaptureFixture):
    smtp.answers = ["451 4.3.0 the words of the mail", "421 4.7.0 slow down"]
    send_mail("Hello", "a secret link", None, ["ada@example.com"])
    assert smtp.take("ada@example.com")["subject"] == "Hello"
    assert (smtp.turned_away, smtp.received) == (2, [])
    ours = [record.getMessage() for record in caplog.records if record.name == "jan.mail"]
    assert ours == [
        "a mail could not be delivered yet: SMTPDataError 451",
        "a mail could not be delivered yet: SMTPDataError 421",
    ]
    assert "secret" not in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_refusal_for_good_is_logged_without_the_mail(smtp: Mailbox, caplog: pytest.LogCaptureFixture):
    smtp.answers = ["554 5.7.1 I do not like: a secret link", "250 must not be asked for again"]
    send_mail("Hello", "a secret link", None, ["ada@example.com"])
    assert (smtp.turned_away, smtp.received) == (1, [])
    assert [(record.levelno, record.getMessage()) for record in caplog.records if record.name == "jan.mail"] == [
        (logging.ERROR, "a mail was not delivered: SMTPDataError 554")
    ]
    assert "secret" not in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_mail_server_that_is_away_is_given_up_in_the_end(
    settings: Any, smtp: Mailbox, free_port: int, caplog: pytest.LogCaptureFixture
):
    settings.EMAIL_PORT = free_port
    send_mail("Hello", "a secret link", None, ["ada@example.com"])
    ours = [record.getMessage() for record in caplog.records if record.name == "jan.mail"]
    assert ours == [
        *["a mail could not be delivered yet: ConnectionRefusedError"] * 8,
        "a mail was not delivered: ConnectionRefusedError",
    ]


def test_a_broker_that_is_away_loses_no_mail(mailbox: Mailbox, free_port: int, tmp_path: Path):
    env = {
        **os.environ,
        **mailbox.settings,
        "JAN_DATA_DIR": str(tmp_path),
        "REDIS_URL": f"redis://127.0.0.1:{free_port}",
    }
    words = [sys.executable, "manage.py", "sendtestemail", "away@example.com"]
    sent = subprocess.run(
        words, cwd=django_settings.BASE_DIR, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert sent.returncode == 0, sent.stderr
    assert "Test email" in mailbox.take("away@example.com")["subject"]
    assert "the broker is away, so a mail is delivered at once" in sent.stderr


def test_without_a_mail_server_a_mail_is_a_file_of_its_own(
    settings: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    settings.EMAIL_BACKEND = "apps.accounts.mail.FileBackend"
    settings.MAIL_DIR = tmp_path / "mail"
    with caplog.at_level(logging.INFO, logger="jan.mail"):
        send_mail("Hello", "a secret link", None, ["ada@example.com"])
    (path,) = settings.MAIL_DIR.iterdir()
    assert (path.suffix, stat.S_IMODE(path.stat().st_mode)) == (".eml", 0o600)
    assert stat.S_IMODE(settings.MAIL_DIR.stat().st_mode) == 0o700
    message = message_from_bytes(path.read_bytes(), policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert (message["to"], text_of(message).strip()) == ("ada@example.com", "a secret link")
    assert [record.getMessage() for record in caplog.records] == [
        f"SMTP_HOST is not set, so a mail to ada@example.com was written to {path}"
    ]


def test_there_are_mails_to_look_at():
    assert {"account/email/invitation", "account/email/password_reset_key", "mfa/email/totp_activated"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_mail_is_whole_and_in_our_words(rf: RequestFactory, person: User, name: str):
    link = "http://localhost:8000/accounts/confirm-email/abc/"
    facts = dict.fromkeys(("activate_url", "password_reset_url", "signup_url", "invitation_url"), link)
    facts |= dict.fromkeys(("from_email", "to_email", "deleted_email"), "<b>other@example.com</b>")
    facts |= {"ip": "203.0.113.7", "user_agent": "<b>Firefox</b>", "timestamp": timezone.now(), "days": 7}
    facts["provider"] = SimpleNamespace(name="<b>Acme</b>")
    get_adapter(rf.get("/")).send_mail(name, "ada@example.com", {"user": person, **facts})
    (message,) = mail.outbox
    (html, kind) = message.alternatives[0]
    assert (kind, message.to) == ("text/html", ["ada@example.com"])
    assert message.subject
    assert message.body.endswith("This mail was sent by Jan Server at http://localhost:8000.")
    for text in (message.body, html):
        assert not {"{{", "{%", "example.com!", "None", "testserver"} & set(text.split())
    assert "<b>" not in html
    assert "Hello from" not in message.body

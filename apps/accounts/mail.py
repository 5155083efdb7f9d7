"""How mails look, and where they go: to a mail server in the background, or into files without one."""

from __future__ import annotations

import base64
import logging
import os
from collections.abc import Sequence
from email.utils import make_msgid
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.message import sanitize_address
from django.db import transaction
from django.template.loader import render_to_string
from django.utils import timezone
from kombu.exceptions import OperationalError

from apps.accounts.tasks import deliver_mail, deliver_now
from apps.core.ids import random_base62

log = logging.getLogger("jan.mail")

_QUOTE = "> "


def as_html(text: str) -> str:
    """
    Return a mail's text as HTML.

    Paragraphs stay paragraphs; one of two lines, words with a colon and a link to this server (or to
    the operator's page for invites), becomes a button. Nothing else becomes a link.
    """
    return render_to_string("account/email/base.html", {"paragraphs": [_parse(part) for part in text.split("\n\n")]})


def quoted(text: str) -> str:
    """
    Return what somebody wrote as it stands in a mail of ours: each line marked as not our words.

    So it makes no paragraph, and no button.
    """
    lines = ("".join(each if each.isprintable() else " " for each in line).rstrip() for line in text.splitlines())
    return "\n".join(f"{_QUOTE}{line}" for line in lines)


def _parse(paragraph: str) -> dict[str, Any]:
    lines = paragraph.strip().splitlines()
    if lines and all(line.startswith(_QUOTE.strip()) for line in lines):
        return {"quote": [line.removeprefix(_QUOTE.strip()).strip() for line in lines]}
    if len(lines) == 2 and lines[0].endswith(":") and lines[1].startswith(_own_pages()):
        return {"label": lines[0][:-1], "url": lines[1]}
    return {"lines": lines}


def _own_pages() -> tuple[str, ...]:
    return tuple(filter(None, (f"{settings.PUBLIC_URL}/", settings.INVITE_REDIRECT_URL)))


class QueueBackend(BaseEmailBackend):
    """
    Leaves delivery to a background task.

    So no page waits for a mail server, or tells by its time whether a mail was sent.
    """

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        for message in email_messages:
            sender = sanitize_address(message.from_email, "utf-8")
            recipients = [sanitize_address(recipient, "utf-8") for recipient in message.recipients()]
            content = base64.b64encode(_bytes_of(message)).decode()
            self._hand_over_on_commit(sender, recipients, content)
        return len(email_messages)

    @staticmethod
    def _hand_over_on_commit(sender: str, recipients: list[str], content: str) -> None:
        # What was changed stays changed and is answered so, whatever becomes of the mail.
        transaction.on_commit(lambda: _hand_over(sender, recipients, content), robust=True)


def _hand_over(sender: str, recipients: list[str], content: str) -> None:
    try:
        deliver_mail.delay(sender, recipients, content)
    except OperationalError:
        # The broker is away. Late is better than never, so for once the page waits for the mail server.
        log.warning("the broker is away, so a mail is delivered at once")
        deliver_now(sender, recipients, content)


class FileBackend(BaseEmailBackend):
    """Writes each mail into a file, for installations without a mail server."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        settings.MAIL_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
        for message in email_messages:
            path = settings.MAIL_DIR / f"{timezone.now():%Y%m%d-%H%M%S}-{random_base62(6)}.eml"
            # The links in it sign people in: for the server's own user only.
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(_bytes_of(message))
            log.info("SMTP_HOST is not set, so a mail to %s was written to %s", ", ".join(message.recipients()), path)
        return len(email_messages)


def _bytes_of(message: EmailMessage) -> bytes:
    # Django would ask the resolver for this machine's name, which can take seconds.
    message.extra_headers.setdefault("Message-ID", make_msgid(domain=urlsplit(settings.PUBLIC_URL).hostname))
    return message.message().as_bytes(linesep="\r\n")  # type: ignore[call-arg]  # Django's own

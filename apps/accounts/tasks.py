from __future__ import annotations

import base64
import logging
import smtplib
from typing import Any

from celery import shared_task
from django.core.mail.backends.smtp import EmailBackend as SMTPBackend

log = logging.getLogger("jan.mail")

# Nine tries within an hour: the pauses are 2 s, 8 s, 32 s and so on, up to a quarter of an hour.
MAX_RETRIES = 8
MAX_PAUSE_SECONDS = 900


@shared_task(  # type: ignore[untyped-decorator]  # no types
    name="apps.accounts.tasks.deliver_mail", bind=True, ignore_result=True, max_retries=MAX_RETRIES
)
def deliver_mail(self: Any, sender: str, recipients: list[str], content: str) -> None:
    """Hand a mail (base64) to the mail server. What may heal is tried again; a refusal for good is logged."""
    tries = self.request.retries
    if not deliver_now(sender, recipients, content, is_last_try=tries == MAX_RETRIES):
        raise self.retry(countdown=min(MAX_PAUSE_SECONDS, 2 * 4**tries))


def deliver_now(sender: str, recipients: list[str], content: str, *, is_last_try: bool = True) -> bool:
    """Hand a mail (base64) to the mail server once. Returns whether nothing is left to do about it."""
    try:
        _send(sender, recipients, base64.b64decode(content))
    except OSError as problem:  # smtplib's errors are OSErrors too
        if not is_last_try and not _is_final(problem):
            log.warning("a mail could not be delivered yet: %s", _reason(problem))
            return False
        log.error("a mail was not delivered: %s", _reason(problem))
    return True


def _send(sender: str, recipients: list[str], content: bytes) -> None:
    connection = SMTPBackend()
    try:
        connection.open()
        assert connection.connection is not None  # what `open` says when it cannot raise
        connection.connection.sendmail(sender, recipients, content)
    finally:
        connection.close()


def _is_final(problem: OSError) -> bool:
    """Say whether a mail server meant it: codes from 500 on (RFC 5321, 4.2.1)."""
    return any(code >= 500 for code in _codes(problem))


def _codes(problem: OSError) -> list[int]:
    if isinstance(problem, smtplib.SMTPRecipientsRefused):
        return [code for code, _ in problem.recipients.values()]
    return [problem.smtp_code] if isinstance(problem, smtplib.SMTPResponseException) else []


def _reason(problem: OSError) -> str:
    """Name the error and the server's codes. Its words may quote the mail, so they are left out."""
    codes = " ".join(map(str, _codes(problem)))
    return f"{type(problem).__name__} {codes}".strip()

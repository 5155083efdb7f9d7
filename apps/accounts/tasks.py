from __future__ import annotations

import base64
import logging
import smtplib
from typing import Any

from celery import shared_task
from django.core.mail.backends.smtp import EmailBackend as SMTPBackend

log = logging.getLogger("jan.mail")

# Seven tries over an hour: the pauses are 2 s, 8 s, 32 s, then up to a quarter of an hour.
MAX_RETRIES = 8
MAX_PAUSE_SECONDS = 900


@shared_task(  # type: ignore[untyped-decorator]  # no types
    name="apps.accounts.tasks.deliver_mail", bind=True, ignore_result=True, max_retries=MAX_RETRIES
)
def deliver_mail(self: Any, sender: str, recipients: list[str], content: str) -> None:
    """Hand a mail (base64) to the mail server. What may heal is tried again; a refusal for good is logged."""
    try:
        _send(sender, recipients, base64.b64decode(content))
    except OSError as problem:  # smtplib's errors are OSErrors too
        reason, tries = _reason(problem), self.request.retries
        if _is_final(problem) or tries == MAX_RETRIES:
            log.error("a mail was not delivered: %s", reason)
            return
        log.warning("a mail could not be delivered yet: %s", reason)
        raise self.retry(countdown=min(MAX_PAUSE_SECONDS, 2 * 4**tries)) from None


def _send(sender: str, recipients: list[str], content: bytes) -> None:
    connection = SMTPBackend()
    connection.open()
    assert connection.connection is not None  # what `open` says when it cannot raise
    try:
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

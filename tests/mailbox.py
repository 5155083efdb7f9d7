"""A mail server on a real socket that keeps what it is given."""

from __future__ import annotations

import email
import email.policy
import re
import socket
import ssl
import threading
import time
from email.message import EmailMessage
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session

PATIENCE_SECONDS = 20.0


class Mailbox:
    """
    Everybody's mail.

    `answers` are given to the next mails instead of taking them. `login`: what must be given to
    send at all, if anything. `tls`: how to encrypt, from the start or, with `starttls`, when asked to.
    """

    def __init__(self, tls: ssl.SSLContext | None = None, *, starttls: bool = False) -> None:
        self.answers: list[str] = []
        self.login: tuple[bytes, bytes] | None = None
        self.received: list[EmailMessage] = []
        self.turned_away = 0
        self.attempts = 0  # to log in
        self._arrived = threading.Condition()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        if tls is not None and starttls:
            encryption: dict[str, Any] = {"tls_context": tls, "require_starttls": True}
        else:
            encryption = {"ssl_context": tls, "auth_require_tls": False}
        self._controller = Controller(self, "127.0.0.1", self.port, authenticator=self._authenticate, **encryption)

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *args: Any) -> None:
        self._controller.stop()

    @property
    def settings(self) -> dict[str, str]:
        """The environment of a server that sends here."""
        return {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(self.port), "SMTP_SECURITY": "none"}

    def _authenticate(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
        self.attempts += 1
        is_right = isinstance(given, LoginPassword) and (given.login, given.password) == self.login
        return AuthResult(success=is_right)

    async def handle_DATA(self, _server: Any, session: Session, envelope: Envelope) -> str:  # noqa: N802
        with self._arrived:
            if self.login is not None and not session.authenticated:
                return "530 5.7.0 Authentication required"
            if self.answers:
                self.turned_away += 1
                return self.answers.pop(0)
            message = email.message_from_bytes(envelope.original_content or b"", policy=email.policy.default)
            assert isinstance(message, EmailMessage)
            self.received.append(message)
            self._arrived.notify_all()
        return "250 OK"

    def take(self, recipient: str) -> EmailMessage:
        """Return the next mail to somebody, waiting for it if need be."""
        limit = time.monotonic() + PATIENCE_SECONDS
        with self._arrived:
            while True:
                for message in self.received:
                    if recipient in str(message["to"]):
                        self.received.remove(message)
                        return message
                assert self._arrived.wait(limit - time.monotonic()), f"no mail for {recipient}"


def text_of(message: EmailMessage) -> str:
    return str(message.get_body(("plain",)).get_content())  # type: ignore[union-attr]


def link_in(text: str) -> str:
    """Return the one link of a mail that carries a secret."""
    found = re.findall(r"https?://\S*/(?:confirm-email/|password/reset/key/|invitation/|invite/\?token=)\S+", text)
    assert len(found) == 1, text
    return str(found[0])

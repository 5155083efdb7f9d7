"""What happens before the first request: the operator, the providers, the static files."""

from __future__ import annotations

import hashlib
import logging
import secrets
import threading
from dataclasses import dataclass

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.db import connections

from apps.accounts.services import ensure_operator
from apps.catalog.services import register_at_start

log = logging.getLogger("jan.startup")

DEFAULT_OPERATOR = "operator@localhost"
RETRY_SECONDS = 5.0


@dataclass(frozen=True)
class Operator:
    """Who may sign in to the admin; `password` only in the start that made it up."""

    email: str
    password: str | None


def prepare_operator() -> Operator:
    """Make the first operator, with the password of the environment or one made up now."""
    email = settings.OPERATOR_EMAIL or DEFAULT_OPERATOR
    password = settings.OPERATOR_PASSWORD or secrets.token_urlsafe(12)
    is_new = ensure_operator(email=email, password=password)
    return Operator(email, password if is_new and not settings.OPERATOR_PASSWORD else None)


def collect_static() -> bool:
    """Collect static files if they changed since the last time. Returns whether it did."""
    stamp = settings.DATA_DIR / "static.stamp"
    digest = hashlib.sha256(settings.VERSION.encode())
    for finder in get_finders():
        for path, storage in finder.list([]):
            digest.update(f"{path} {storage.get_modified_time(path).timestamp()}".encode())
    current = digest.hexdigest()
    if stamp.exists() and stamp.read_text() == current:
        return False
    call_command("collectstatic", interactive=False, verbosity=0)
    stamp.write_text(current)
    return True


def register_providers(stop: threading.Event) -> list[str]:
    """
    Register what the environment and this machine offer; return warnings.

    A provider that does not answer yet is asked again in the background until `stop`.
    """
    warnings = register_at_start()
    if warnings:
        threading.Thread(target=_register_later, args=(stop,), name="jan-register", daemon=True).start()
    return warnings


def _register_later(stop: threading.Event) -> None:
    while not stop.wait(RETRY_SECONDS):
        try:
            if not register_at_start():
                log.info("the configured provider answers now")
                return
        finally:
            connections.close_all()

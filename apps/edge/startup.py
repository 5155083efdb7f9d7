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
from django.db import Error as DatabaseError
from django.db import connections

from apps.accounts.services import ensure_operator
from apps.catalog.services import register_at_start
from apps.catalog.tasks import sync_providers
from apps.core.policies import check_role
from apps.sso.configured import register_from_environment

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


def wall_warnings() -> list[str]:
    """Return why the second wall is not there, where it could be."""
    return [f"{found.msg} {found.hint}" for found in check_role(databases=["default"])]


def register_providers(stop: threading.Event) -> list[str]:
    """
    Register what the environment and this machine offer, identity providers as well; return warnings.

    In the background, every other provider is synced, and one that does not answer yet is asked
    again until `stop`.
    """
    warnings = register_at_start()
    threading.Thread(target=_follow_up, args=(stop, bool(warnings)), name="jan-register", daemon=True).start()
    return [*register_from_environment(), *warnings]


def _follow_up(stop: threading.Event, retry: bool) -> None:
    try:
        sync_providers()
        while retry and not stop.wait(RETRY_SECONDS):
            retry = _register_again()
    finally:
        connections.close_all()


def _register_again() -> bool:
    """Ask again what did not answer. Returns whether to go on asking."""
    try:
        if register_at_start():
            return True
    except (DatabaseError, OSError) as problem:
        log.warning("cannot register providers: %s", problem)
        return True
    log.info("every provider of the environment answers now")
    return False

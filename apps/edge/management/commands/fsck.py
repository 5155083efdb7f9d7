import datetime
import json
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.conversations import integrity as conversations
from apps.usage import integrity as usage


class Command(BaseCommand):
    help = (
        "Check what must always be true of usage, keys, the catalog and conversations. Changes nothing; exit status 1 "
        "on a violation."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--since",
            help="Look only at usage accepted and conversations changed from this time on (ISO 8601; UTC if it has no "
            "offset).",
        )
        parser.add_argument("--json", action="store_true", dest="as_json", help="Print one JSON object.")

    def handle(self, *args: Any, since: str | None, as_json: bool, **options: Any) -> None:
        report = _inspect(_moment(since) if since else None)
        if as_json:
            self.stdout.write(json.dumps(report))
        else:
            self._print(report)
        if not report["ok"]:
            sys.exit(1)

    def _print(self, report: dict[str, Any]) -> None:
        for violation in report["violations"]:
            self.stdout.write(f"{violation['check']}: {violation['detail']}")
        requests = ", ".join(f"{count} {state}" for state, count in report["requests"].items()) or "none"
        tokens = ", ".join(f"{count} {name}" for name, count in report["tokens"].items())
        self.stdout.write(f"Requests: {requests}. Tokens: {tokens}. Lines not moved yet: {report['pending_lines']}.")
        if interrupted := report["interrupted_keys"]:
            self.stdout.write(f"Requests with an Idempotency-Key that were interrupted: {interrupted}.")
        if expired := report["expired_turns"]:
            self.stdout.write(f"Conversations that a turn held when its process died: {expired}.")
        self.stdout.write("Everything is in order." if report["ok"] else f"{len(report['violations'])} violations.")


def _inspect(since: datetime.datetime | None) -> dict[str, Any]:
    """Return the body of the contract's `fsck --json`."""
    report = usage.inspect(settings.JOURNAL_DIR, since)
    violations = [*report["violations"], *conversations.inspect(since)]
    expired = conversations.expired_turns()
    return {**report, "ok": not violations, "violations": violations, "expired_turns": expired}


def _moment(text: str) -> datetime.datetime:
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(f"--since {text!r} is not an ISO 8601 time, such as 2026-01-31T12:00:00Z.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)

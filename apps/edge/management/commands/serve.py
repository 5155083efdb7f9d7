"""The web processes of a production installation."""

import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.edge.server import run
from apps.edge.startup import prepare_operator, register_providers, wall_warnings


class Command(BaseCommand):
    help = "Serve requests. `drain_usage`, a Celery worker and Celery beat run beside it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--workers", type=int, default=1, help="processes; about one for each core")

    def handle(self, *args: Any, workers: int, **options: Any) -> None:
        if workers > 1 and settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
            raise CommandError("SQLite is for one process: set DATABASE_URL to PostgreSQL, or leave out --workers.")
        if settings.OPERATOR_EMAIL and settings.OPERATOR_PASSWORD:
            prepare_operator()
        stop = threading.Event()
        for warning in [*wall_warnings(), *register_providers(stop)]:
            self.stderr.write(warning)
        try:
            run(workers=workers, on_ready=lambda: None)
        finally:
            stop.set()

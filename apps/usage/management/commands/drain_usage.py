import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from apps.usage.drainer import Drainer


class Command(BaseCommand):
    help = (
        "Move the usage journals into the ledger until SIGTERM or SIGINT. One such process for each journal directory."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        # Blocked before the thread starts, so that they come to sigwait and interrupt nothing.
        signals = {signal.SIGTERM, signal.SIGINT}
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        stop = threading.Event()
        drainer = threading.Thread(target=Drainer(settings.JOURNAL_DIR).run, args=(stop,), name="jan-drainer")
        drainer.start()
        self.stdout.write(f"Draining {settings.JOURNAL_DIR}")
        self.stdout.flush()
        signal.sigwait(signals)
        stop.set()
        drainer.join()

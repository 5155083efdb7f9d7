"""Starting the web server, with or without everything else in the same process."""

from __future__ import annotations

import logging
import resource
import signal
import socket
import threading
from collections.abc import Callable

import celery
import uvicorn
from celery.beat import EmbeddedService
from django.conf import settings
from django.core.management.base import CommandError
from uvicorn.supervisors import Multiprocess

from apps.usage.drainer import Drainer

log = logging.getLogger("jan.server")

APPLICATION = "janserver.asgi:application"


def config_for(*, workers: int = 1) -> uvicorn.Config:
    """Return uvicorn's configuration. Draining is ours; what is left after it gets five seconds."""
    return uvicorn.Config(
        APPLICATION,
        host=settings.HTTP_HOST,
        port=settings.HTTP_PORT,
        workers=workers,
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        ws_max_size=settings.MAX_JSON_BYTES,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        backlog=4096,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=5,
    )


class Server(uvicorn.Server):
    """Says when it serves."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()


def run(*, workers: int, on_ready: Callable[[], None]) -> None:
    """Serve until a signal. Raises CommandError if the port is taken."""
    raise_file_limit()
    config = config_for(workers=workers)
    listener = _listen()
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn raises the signal again when it has stopped; what runs beside it still has to stop in order.
        signal.signal(number, lambda *_: None)
    if workers == 1:
        Server(config, on_ready).run([listener])
        return
    on_ready()
    Multiprocess(config, sockets=[listener]).run()


def _listen() -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.HTTP_HOST else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.HTTP_HOST, settings.HTTP_PORT))
    except OSError as problem:
        listener.close()
        raise CommandError(
            f"Port {settings.HTTP_PORT} of {settings.HTTP_HOST} cannot be used ({problem.strerror}). "
            "Choose another: HTTP_PORT=8001 make up"
        ) from None
    listener.set_inheritable(True)
    return listener


def raise_file_limit() -> None:
    """Each stream holds two sockets: take as many descriptors as the system gives."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Companions:
    """What production runs as processes of their own, as threads of this one: drainer, Celery worker and beat."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._drainer = threading.Thread(
            target=Drainer(settings.JOURNAL_DIR).run, args=(self._stop,), name="jan-drainer", daemon=True
        )
        app = celery.current_app
        self._worker = app.WorkController(
            pool="threads", concurrency=2, without_gossip=True, without_mingle=True, without_heartbeat=True
        )
        self._beat = EmbeddedService(app, thread=True, schedule_filename=str(settings.DATA_DIR / "beat-schedule"))

    def start(self) -> None:
        self._drainer.start()
        threading.Thread(target=self._worker.start, name="jan-worker", daemon=True).start()
        self._beat.start()

    def stop(self) -> None:
        """Stop in an order that loses nothing: the ledger last."""
        self._beat.stop()
        self._worker.stop()
        self._stop.set()
        self._drainer.join(timeout=10)

"""The real server, as processes of its own."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import psycopg

from tests.provider import Provider

ROOT = Path(__file__).resolve().parent.parent
OPERATOR = ("operator@example.com", "correct-horse-battery")
READY_SECONDS = 60.0
_servers = itertools.count()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """A running installation: a web process (or several) and what belongs to it."""

    env: dict[str, str]
    port: int
    log: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def base_url(self) -> str:
        return f"http://localhost:{self.port}"

    def start(self, name: str, *words: str) -> None:
        with self.log.open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "manage.py", *words],
                cwd=ROOT,
                env=self.env,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_ready(self) -> None:
        limit = time.monotonic() + READY_SECONDS
        while True:
            try:
                self.call("GET", "/readyz")
                return
            except (urllib.error.URLError, ConnectionError):
                dead = [name for name, process in self.processes.items() if self._ends_soon(process)]
                if dead or time.monotonic() > limit:
                    raise AssertionError(f"not ready; dead: {dead}\n{self.log.read_text()[-4000:]}") from None

    @staticmethod
    def _ends_soon(process: subprocess.Popen[bytes]) -> bool:
        """Give a process that starts a moment of the core that asking again at once would take from it."""
        try:
            process.wait(0.1)
        except subprocess.TimeoutExpired:
            return False
        return True

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Make a request and return the parsed answer. Raises urllib.error.HTTPError for an error status."""
        data = None if body is None else json.dumps(body).encode()
        sent = {
            "content-type": "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        request = urllib.request.Request(self.base_url + path, data=data, method=method, headers=sent)
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
            return json.loads(text) if text else None

    def guest_token(self) -> str:
        return str(self.call("POST", "/v1/auth/guest-login")["access_token"])

    def manage(self, *words: str, input_text: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=ROOT,
            env=self.env,
            capture_output=True,
            text=True,
            input=input_text,
            timeout=60,
            check=False,
        )

    def user_key(self) -> str:
        """Return a personal API key of the operator, made as an operator would from a shell."""
        script = (
            "from apps.accounts.models import User; from apps.api_keys.services import Holder, create_key;"
            "from apps.api_keys.tokens import KeyKind; from apps.projects.models import Project;"
            f"user = User.objects.get(email={OPERATOR[0]!r});"
            "mine = dict(organization__memberships__user=user, organization__is_personal=True);"
            "project = Project.objects.get(is_default=True, **mine);"
            "print(create_key(kind=KeyKind.USER, name='test', place=project, holder=Holder(user))[1])"
        )
        made = self.manage("shell", "--no-imports", "-c", script)
        assert made.returncode == 0, made.stderr
        return made.stdout.strip().splitlines()[-1]

    def fsck(self) -> dict[str, Any]:
        checked = self.manage("fsck", "--json")
        return dict(json.loads(checked.stdout))

    def settled(self, requests: int, seconds: float = 70.0) -> dict[str, Any]:
        """Return fsck's report once the ledger holds `requests` rows, none of them open."""
        limit = time.monotonic() + seconds
        while True:
            report = self.fsck()
            counts = report["requests"]
            if sum(counts.values()) >= requests and not counts.get("open") and not report.get("pending_lines"):
                return report
            assert time.monotonic() < limit, report

    def kill9(self, name: str = "web") -> None:
        os.killpg(self.processes[name].pid, signal.SIGKILL)
        self.processes.pop(name).wait()

    def stop(self) -> None:
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.processes.clear()


def create_database(template: str = "template1") -> str:
    """Make a PostgreSQL database beside the suite's, empty or as `template` is, and return its URL."""
    admin = os.environ["DATABASE_URL"].rsplit("/", 1)[0]
    name = f"live_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(f"{admin}/postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')  # type: ignore[call-overload]
    return f"{admin}/{name}"


@cache
def _static_files() -> Path:
    """Static files, collected once for all servers of a run: an installation's takes seconds of a core."""
    folder = Path(os.environ["JAN_TEST_SHARED"]) / "static"
    with _locked("static"):
        if not folder.exists():
            env = {**os.environ, "JAN_DATA_DIR": str(folder.with_name("static.draft"))}
            _manage(
                env, "shell", "--no-imports", "-c", "from apps.edge.startup import collect_static; collect_static()"
            )
            folder.with_name("static.draft").rename(folder)
    return folder


@cache
def _migrated_database() -> str:
    """The name of a migrated database, to be a template of others."""
    noted = Path(os.environ["JAN_TEST_SHARED"]) / "database"
    with _locked("database"):
        if not noted.exists():
            url = create_database()
            with tempfile.TemporaryDirectory(prefix="jan-live-", dir="/tmp") as folder:
                _manage({**os.environ, "JAN_DATA_DIR": folder, "DATABASE_URL": url}, "migrate", "--verbosity", "0")
            noted.write_text(url.rsplit("/", 1)[1])
    return noted.read_text()


@cache
def _migrated_file() -> Path:
    """A migrated SQLite database, to be copied."""
    folder = Path(os.environ["JAN_TEST_SHARED"]) / "sqlite"
    with _locked("sqlite"):
        if not folder.exists():
            draft = folder.with_name("sqlite.draft")
            env = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
            _manage({**env, "JAN_DATA_DIR": str(draft)}, "migrate", "--verbosity", "0")
            draft.rename(folder)
    return folder / "jan.sqlite3"


@contextmanager
def _locked(name: str) -> Iterator[None]:
    with (Path(os.environ["JAN_TEST_SHARED"]) / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _manage(env: dict[str, str], *words: str) -> None:
    env = {name: value for name, value in env.items() if name != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def _redis_url() -> str:
    """A Redis database that no other server of the run has."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    return f"{os.environ['JAN_TEST_REDIS_URL']}/{16 + 8 * next(_servers) + worker}"


def environment(provider: Provider, profile: str, **extra: str) -> dict[str, str]:
    env = {
        name: value
        for name, value in os.environ.items()
        if name not in ("DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE") and not name.startswith("JAN_")
    }
    for name in ("SECRET_KEY", "APIKEY_SECRET", "MODEL_PROVIDER_SECRET", "JWT_PRIVATE_KEY"):
        env.pop(name, None)
    data = Path(tempfile.mkdtemp(prefix="jan-live-", dir="/tmp"))
    shutil.copytree(_static_files(), data, copy_function=os.link, dirs_exist_ok=True)
    env |= {
        "JAN_DATA_DIR": str(data),
        "HTTP_PORT": str(free_port()),
        "JAN_INFERENCE_MODEL_URL": provider.base_url,
        "JAN_INFERENCE_MODEL_API_KEY": "sk-provider-secret-1234",
        "JAN_OPERATOR_EMAIL": OPERATOR[0],
        "JAN_OPERATOR_PASSWORD": OPERATOR[1],
        "JAN_DISCOVER_PROVIDERS": "false",
        "JAN_RATELIMIT_SCALE": "1000",
        "JAN_MAX_KEYS_PER_USER": "1000",
        "JAN_UPSTREAM_HEADERS_TIMEOUT": "2",
        "JAN_UPSTREAM_IDLE_TIMEOUT": "2",
        "LOG_LEVEL": "debug",
    }
    if profile == "postgres":
        env["DATABASE_URL"] = create_database(_migrated_database())
        env["REDIS_URL"] = _redis_url()
    else:
        shutil.copy(_migrated_file(), data)
    return env | extra


@contextmanager
def start_server(provider: Provider, *, profile: str, **extra: str) -> Iterator[Server]:
    """
    Start an installation and stop it at the end.

    `sqlite`: `manage.py up`, everything in one process. `postgres`: two web processes on one port
    and a drainer, on PostgreSQL and Redis.
    """
    env = environment(provider, profile, **extra)
    server = Server(env, int(env["HTTP_PORT"]), Path(env["JAN_DATA_DIR"]) / "log.txt")
    try:
        if profile == "sqlite":
            server.start("web", "up")
        else:
            server.start("drainer", "drain_usage")
            server.start("web", "serve", "--workers", "2")
        server.wait_ready()
        yield server
    finally:
        server.stop()

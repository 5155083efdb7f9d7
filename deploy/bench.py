"""
Measure Jan Server beside other gateways: PostgreSQL and Redis from pip, every feature on.

    .venv/bin/python -m deploy.bench PATH/compare.py PEERS/targets.json [arguments of compare.py]

Writes a targets file that puts Jan Server beside `direct` and the peers of the second file, and runs
compare.py on it. Every gateway is one process on CPU 0; Jan Server's PostgreSQL, Redis and usage drainer
run on CPU 1, with the load. The drainer's CPU seconds are printed at the end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.parts import early
from tests.server import environment

ROOT = Path(__file__).resolve().parent.parent
PEERS = ("direct", "litellm", "portkey")


class Upstream:
    base_url = "http://127.0.0.1:9900/v1"


def main() -> int:
    compare, peers, *rest = sys.argv[1:]
    os.sched_setaffinity(0, {1})
    os.environ["DATABASE_URL"] = os.environ.get("DATABASE_URL") or early.start_postgres()
    os.environ["JAN_TEST_REDIS_URL"] = os.environ.get("JAN_TEST_REDIS_URL") or early.start_redis()
    unlimited = {"JAN_RATELIMIT_SCALE": "1000000", "LOG_LEVEL": "info", "JAN_UPSTREAM_IDLE_TIMEOUT": "60"}
    env = environment(Upstream(), "postgres", **unlimited)  # type: ignore[arg-type]
    manage = [sys.executable, "manage.py"]
    mock = subprocess.Popen([sys.executable, str(Path(compare).parent / "mock_upstream.py")], stdout=subprocess.DEVNULL)
    os.sched_setaffinity(mock.pid, {1})
    subprocess.run([*manage, "migrate", "--verbosity", "0"], cwd=ROOT, env=env, check=True)
    drainer = subprocess.Popen([*manage, "drain_usage"], cwd=ROOT, env=env)
    make_key = (
        "from apps.edge.startup import prepare_operator; prepare_operator();"
        "from apps.accounts.models import User; from apps.api_keys.services import Holder, create_key;"
        "from apps.api_keys.tokens import KeyKind; from apps.projects.models import Project;"
        "project = Project.objects.get(is_default=True);"
        "print(create_key(kind=KeyKind.PROJECT, name='bench', place=project, holder=Holder(User.objects.get()))[1])"
    )
    made = subprocess.run(
        [*manage, "shell", "--no-imports", "-c", make_key],
        cwd=ROOT,
        env=env,
        check=True,
        capture_output=True,
        text=True,
    )
    jan = {
        "name": "jan",
        "url": f"http://127.0.0.1:{env['HTTP_PORT']}",
        "headers": {"X-API-Key": made.stdout.strip().splitlines()[-1]},
        "start": [*manage, "serve"],
        "cwd": str(ROOT),
        "env": {name: value for name, value in env.items() if os.environ.get(name) != value},
    }
    others = [each for each in json.loads(Path(peers).read_text())["targets"] if each["name"] in PEERS]
    targets = Path(tempfile.mkdtemp()) / "targets.json"
    targets.write_text(json.dumps({"model": "mock", "targets": [*others, jan]}))
    targets.chmod(0o600)  # it holds a key
    words = [sys.executable, compare, str(targets), "--peer", "litellm,portkey", "--load-cpu", "1", "--target-cpu", "0"]
    os.sched_setaffinity(0, {0, 1})
    try:
        bare = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}  # LiteLLM would read it
        return subprocess.run([*words, *rest], check=False, env=bare).returncode
    finally:
        ticks = Path(f"/proc/{drainer.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
        print(f"usage drainer: {sum(map(int, ticks)) / os.sysconf('SC_CLK_TCK'):.2f} s of CPU")
        for process in (drainer, mock):
            process.terminate()
            process.wait()


if __name__ == "__main__":
    sys.exit(main())

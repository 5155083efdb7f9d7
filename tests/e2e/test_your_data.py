"""A person's data, from the wish to have it to a file, and to its end; written by the real worker."""

from __future__ import annotations

import io
import json
import time
import zipfile
from typing import Any

import httpx2
import pytest
from websockets import ConnectionClosedError
from websockets.sync.client import connect

from tests.server import Server

pytestmark = pytest.mark.e2e
EXPORT = "/v1/users/me/export"


@pytest.fixture
def client(live: Server):
    headers = {"authorization": f"Bearer {live.guest_token()}"}
    with httpx2.Client(base_url=live.base_url, headers=headers, timeout=30) as client:
        yield client


def begin(client: httpx2.Client, text: str) -> str:
    items = [{"type": "message", "role": "user", "content": text}]
    return str(client.post("/v1/conversations", json={"title": "Mine", "items": items}).json()["id"])


def ready(client: httpx2.Client) -> dict[str, Any]:
    limit = time.monotonic() + 20
    while (export := client.get(EXPORT).json())["status"] != "ready":
        assert export["status"] in ("queued", "running")
        assert time.monotonic() < limit
    return dict(export)


def test_the_file_is_written_and_downloaded(live: Server, client: httpx2.Client):
    # More than one piece of the stream, and nothing that packs well.
    conversation = begin(client, " ".join(f"{n * 2654435761 % 2**32:x}" for n in range(10_000)))
    export = ready(client)
    answer = client.get(export["download_url"])
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == f'attachment; filename="{export["id"]}.zip"'
    assert answer.headers["cache-control"] == "no-store"
    assert len(answer.content) == export["bytes"] > 64 * 1024
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        found = [json.loads(line) for line in archive.read("conversations.jsonl").splitlines()]
    assert [row["id"] for row in found] == [conversation]
    with httpx2.Client(base_url=live.base_url, headers={"authorization": f"Bearer {live.guest_token()}"}) as other:
        assert other.get(export["download_url"]).status_code == 404
    assert httpx2.get(live.base_url + export["download_url"]).status_code == 401
    assert httpx2.get(f"{live.base_url}/media/exports/").status_code == 404


def test_an_account_is_gone_with_its_files_and_its_sockets(live: Server, client: httpx2.Client):
    conversation = begin(client, "short-lived")
    ready(client)
    me = client.get("/v1/users/me/settings").json()["user_id"]
    address = f"{live.base_url.replace('http', 'ws')}/ws/v1/conversations/{conversation}"
    with connect(address, additional_headers={"authorization": client.headers["authorization"]}) as socket:
        assert json.loads(socket.recv(10)) == {"type": "ready"}
        answer = client.request("DELETE", "/v1/users/me", json={"confirm": me})
        assert (answer.status_code, answer.json()["deleted"]) == (200, True)
        with pytest.raises(ConnectionClosedError):
            list(socket)
    assert socket.close_code in (4401, 4404)  # the account ends, and its conversations soon after
    limit = time.monotonic() + 2
    while client.get("/v1/models").status_code != 401:
        assert time.monotonic() < limit
    limit = time.monotonic() + 20
    while is_there(live, me):
        assert time.monotonic() < limit


def is_there(live: Server, user_id: str) -> bool:
    script = (
        "from apps.accounts.models import User; from apps.conversations.models import Item;"
        f"print(User.objects.filter(pk={user_id!r}).exists() or Item.objects.filter(text='short-lived').exists())"
    )
    found = live.manage("shell", "--no-imports", "-c", script)
    assert found.returncode == 0, found.stderr
    return found.stdout.strip().splitlines()[-1] == "True"

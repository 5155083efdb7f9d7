from __future__ import annotations

import json

import pytest
import websockets
from websockets.asyncio.client import connect

from tests.server import Server

pytestmark = pytest.mark.e2e
HELLO = [{"role": "user", "content": "hi"}]


@pytest.fixture(scope="module")
def key(live: Server) -> str:
    return live.user_key()


def url(live: Server) -> str:
    return live.base_url.replace("http", "ws") + "/ws/v1/chat/completions"


async def said(socket) -> list[dict]:
    """Read frames up to the one that ends an answer."""
    frames = []
    while not frames or frames[-1].get("type") not in ("done", "cancelled", "error", "ready"):
        frames.append(json.loads(await socket.recv()))
    return frames


async def chat(socket, model: str = "plain") -> list[dict]:
    await socket.send(json.dumps({"model": model, "messages": HELLO}))
    return await said(socket)


async def test_chunks_come_and_the_socket_takes_the_next_request(live, key):
    async with connect(url(live), additional_headers={"x-api-key": key}) as socket:
        assert await said(socket) == [{"type": "ready"}]
        for _ in range(2):
            *chunks, end = await chat(socket)
            assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks) == "w0 w1 w2 w3 w4 "
            assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
            assert end == {"type": "done"}


async def test_a_browser_says_who_it_is_by_subprotocol(live, key):
    async with connect(url(live), subprotocols=["jan", f"jan-key.{key}"]) as socket:
        assert socket.subprotocol == "jan"
        assert (await said(socket), (await chat(socket))[-1]) == ([{"type": "ready"}], {"type": "done"})


async def test_the_first_message_may_say_who_it_is(live):
    async with connect(url(live)) as socket:
        await socket.send(json.dumps({"type": "auth", "api_key": live.guest_token()}))
        assert (await said(socket), (await chat(socket))[-1]) == ([{"type": "ready"}], {"type": "done"})


@pytest.mark.parametrize("first", [{"model": "plain", "messages": HELLO}, {"type": "auth", "api_key": "sk_wrong"}])
async def test_who_proves_nothing_is_closed_with_a_typed_error(live, first):
    async with connect(url(live)) as socket:
        await socket.send(json.dumps(first))
        [error] = await said(socket)
        assert error["error"]["type"] == "auth_error"
        with pytest.raises(websockets.ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 4401


async def test_cancel_stops_the_answer_and_keeps_the_socket(live, key):
    async with connect(url(live), additional_headers={"authorization": f"Bearer {key}"}) as socket:
        await said(socket)
        await socket.send(json.dumps({"model": "c300-d20", "messages": HELLO}))
        await socket.recv()
        await socket.send('{"type": "cancel"}')
        assert (await said(socket))[-1] == {"type": "cancelled"}
        assert (await chat(socket))[-1] == {"type": "done"}


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("{", "invalid_json"),
        ("[]", "invalid_json"),
        ('{"model": "plain"}', "missing_required_parameter"),
        ('{"model": "plain", "messages": [{"role": "user", "content": "\\u0000"}]}', "invalid_json"),
        ('{"model": "nope", "messages": [{"role": "user", "content": "x"}]}', "model_not_found"),
        ('{"model": "bad-json", "messages": [{"role": "user", "content": "x"}]}', "upstream_error"),
    ],
)
async def test_errors_are_typed_and_leave_the_socket_open(live, key, message, code):
    async with connect(url(live), additional_headers={"x-api-key": key}) as socket:
        await said(socket)
        await socket.send(message)
        assert (await said(socket))[-1]["error"]["code"] == code
        assert (await chat(socket))[-1] == {"type": "done"}


async def test_a_page_of_another_origin_is_refused_at_the_handshake(live, key):
    with pytest.raises(websockets.InvalidStatus) as refusal:
        await connect(url(live), origin="https://evil.example", additional_headers={"x-api-key": key})
    assert refusal.value.response.status_code == 403


async def test_no_log_holds_what_was_said_or_who_said_it(live, key):
    token = live.guest_token()
    async with connect(url(live)) as socket:
        await socket.send(json.dumps({"type": "auth", "api_key": token}))
        await said(socket)
        await socket.send(
            json.dumps({"model": "plain", "messages": [{"role": "user", "content": "canary-of-content"}]})
        )
        await said(socket)
    written = live.log.read_text()
    for canary in ("canary-of-content", token[:40], key, "sk-provider-secret-1234"):
        assert canary not in written

"""Every accepted request is accounted for exactly once: under aborts, a killed process, and a stop."""

from __future__ import annotations

import asyncio
import json
import random
import signal

import aiohttp
import pytest

from tests.provider import PROMPT_TOKENS, Provider
from tests.server import Server, start_server

pytestmark = [pytest.mark.e2e]
HELLO = [{"role": "user", "content": "hi"}]


async def stream(session: aiohttp.ClientSession, server: Server, model: str, leave_after: int | None) -> str:
    """Read a stream and return the request's id; leave after so many chunks."""
    body = {"model": model, "messages": HELLO, "stream": True}
    async with session.post(f"{server.base_url}/v1/chat/completions", json=body) as answer:
        assert answer.status == 200, await answer.text()
        request_id = answer.headers["x-request-id"]
        seen = 0
        async for line in answer.content:
            seen += line.startswith(b"data:")
            if leave_after is not None and seen > leave_after:
                answer.close()
                break
    return request_id


async def storm(server: Server, key: str, count: int) -> list[str]:
    """
    Every second client leaves in mid-stream.

    It leaves a stream of 6 seconds within the first two, so that a slow machine cannot have sent
    all of it into the socket's buffers before the client is gone.
    """
    chance = random.Random(7)
    leaves = [chance.randrange(0, 15) if number % 2 else None for number in range(count)]
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers={"x-api-key": key}) as session:
        return list(
            await asyncio.gather(
                *(stream(session, server, "c20-d5" if leave is None else "c60-d100", leave) for leave in leaves)
            )
        )


def tokens_of(provider: Provider, request_ids: list[str]) -> tuple[int, int]:
    sent = [provider.ledger[request_id] for request_id in request_ids]
    return sum(each.prompt for each in sent), sum(each.completion for each in sent)


@pytest.mark.parametrize("profile", ["sqlite", "postgres"])
def test_aborts_and_a_killed_process_lose_nothing(provider: Provider, profile: str):
    with start_server(provider, profile=profile) as server:
        key = server.user_key()
        request_ids = asyncio.run(storm(server, key, 180))
        report = server.settled(180)
        assert report["ok"], report
        assert report["requests"] == {"completed": 90, "client_gone": 90}
        assert len(set(request_ids)) == 180
        assert (report["tokens"]["prompt"], report["tokens"]["completion"]) == tokens_of(provider, request_ids)
        assert report["tokens"]["completion"] == 90 * 20 + 90 * 60

        killed = asyncio.run(killed_in_the_middle(server, key, 40))
        name = "web"
        server.start(name, *(["up"] if profile == "sqlite" else ["serve", "--workers", "2"]))
        server.wait_ready()
        report = server.settled(220)
        assert report["ok"], report
        assert report["requests"] == {"completed": 90, "client_gone": 90, "interrupted": 40}
        counted = report["tokens"]["completion"] - (90 * 20 + 90 * 60)
        # What the process had received: no more than was sent, and no less than its clients had seen.
        assert (
            killed
            <= counted
            <= sum(each.completion for request_id, each in provider.ledger.items() if request_id not in request_ids)
        )


async def killed_in_the_middle(server: Server, key: str, count: int) -> int:
    """Open streams, kill every serving process with SIGKILL, and return how many chunks the clients had seen."""
    seen = [0] * count
    body = {"model": "c300-d20", "messages": HELLO, "stream": True}
    everyone = asyncio.Event()

    async def read(number: int, session: aiohttp.ClientSession) -> None:
        try:
            async with session.post(f"{server.base_url}/v1/chat/completions", json=body) as answer:
                async for line in answer.content:
                    if line.startswith(b"data:") and json.loads(line[5:])["choices"][0]["delta"].get("content"):
                        seen[number] += 1
                        if all(seen):
                            everyone.set()
        except aiohttp.ClientError:
            pass

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers={"x-api-key": key}) as session:
        reading = [asyncio.create_task(read(number, session)) for number in range(count)]
        async with asyncio.timeout(20):
            await everyone.wait()
        server.kill9("web")
        await asyncio.gather(*reading)
    return sum(seen)


def test_a_stop_lets_streams_end_and_cuts_long_ones_with_a_typed_error(provider: Provider):
    with start_server(provider, profile="sqlite", JAN_DRAIN_SECONDS="2") as server:
        key = server.user_key()
        short, long, refused = asyncio.run(stopped_in_the_middle(server, key))
        assert short.endswith("data: [DONE]\n\n")
        assert json.loads(long.strip().split("\n\n")[-1][6:])["error"]["code"] == "server_shutdown"
        assert "[DONE]" not in long
        assert refused == 503
        assert server.processes["web"].wait(30) == 0
        report = server.fsck()
        assert (report["ok"], report["requests"]) == (True, {"completed": 1, "interrupted": 1})


async def stopped_in_the_middle(server: Server, key: str) -> tuple[str, str, int]:
    url = f"{server.base_url}/v1/chat/completions"
    async with aiohttp.ClientSession(headers={"x-api-key": key}) as session:

        async def read(model: str, begun: asyncio.Event) -> str:
            async with session.post(url, json={"model": model, "messages": HELLO, "stream": True}) as answer:
                text = ""
                async for line in answer.content:
                    text += line.decode()
                    begun.set()
                return text

        events = [asyncio.Event(), asyncio.Event()]
        reading = [
            asyncio.create_task(read(model, event))
            for model, event in zip(("c40-d20", "c300-d20"), events, strict=True)
        ]
        for event in events:
            await event.wait()
        server.processes["web"].send_signal(signal.SIGTERM)
        refused = 200
        while refused == 200:
            async with session.post(url, json={"model": "plain", "messages": HELLO}) as answer:
                refused = answer.status
        short, long = await asyncio.gather(*reading)
        return short, long, refused


def test_the_row_of_a_request_says_everything(provider: Provider, live_pg: Server):
    key = live_pg.user_key()
    body = {"model": "plain", "messages": HELLO}
    live_pg.call("POST", "/v1/chat/completions", body, x_api_key=key, x_request_id="row-1")
    live_pg.settled(1)
    script = (
        "import json; from apps.usage.models import UsageRecord;"
        "r = UsageRecord.objects.get(request_id='row-1');"
        "print(json.dumps([r.state, r.status, r.model, r.endpoint, r.prompt_tokens, r.completion_tokens, r.cached_tokens,"
        "r.reasoning_tokens, r.is_estimated, r.raw_usage['total_tokens'], r.first_token_ms <= r.duration_ms, r.provider.name]))"
    )
    made = live_pg.manage("shell", "--no-imports", "-c", script)
    assert json.loads(made.stdout.splitlines()[-1]) == [
        "completed", 200, "plain", "chat/completions", PROMPT_TOKENS, 5, 3, 2, False, PROMPT_TOKENS + 5, True,
        "Configured provider",
    ]  # fmt: skip

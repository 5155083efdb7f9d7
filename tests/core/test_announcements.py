"""Announcements leave a process with a loop through it, and one without through Redis."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from channels.layers import InMemoryChannelLayer, channel_layers
from channels_redis.core import RedisChannelLayer
from django.db import transaction

from apps.core.announcements import MAX_WAITING, Outbox, announce, outbox
from apps.core.db import in_db_thread

MESSAGE = {"type": "something.happened"}


@pytest.fixture
def in_memory():
    layer = InMemoryChannelLayer()
    before = channel_layers.set("default", layer)
    yield layer
    channel_layers.set("default", before)


async def test_threads_are_heard_in_their_order_by_the_loops_sockets(in_memory: InMemoryChannelLayer):
    own, (one, two) = Outbox(), [await in_memory.new_channel() for _ in range(2)]
    await in_memory.group_add("first", one)
    await in_memory.group_add("second", two)
    running = asyncio.create_task(own.run())
    await asyncio.sleep(0)  # let it begin

    def work() -> None:
        own.put(["first", "second"], {**MESSAGE, "n": 0})
        for n in (1, 2):
            own.put(["first"], {**MESSAGE, "n": n})

    thread = threading.Thread(target=work)
    thread.start()
    heard = [await in_memory.receive(one) for _ in range(3)]
    assert [message["n"] for message in heard] == [0, 1, 2]
    assert (await in_memory.receive(two))["n"] == 0
    thread.join()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    own.put(["first"], MESSAGE)  # nobody sends any more
    assert in_memory.channels == {}


async def test_too_much_is_dropped_and_said_once(in_memory: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture):
    own, name = Outbox(), await in_memory.new_channel()
    await in_memory.group_add("first", name)
    running = asyncio.create_task(own.run())
    await asyncio.sleep(0)
    for n in range(MAX_WAITING + 50):
        own.put(["first"], {**MESSAGE, "n": n})
    assert (await in_memory.receive(name))["n"] == 0
    assert caplog.messages == ["open sockets are not told of changes: too much is announced at once"]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def on_redis(url: str) -> RedisChannelLayer:
    return RedisChannelLayer(hosts=[url])


def test_a_process_without_a_loop_sends_through_redis(redis_url: str, settings: Any):
    settings.REDIS_URL = redis_url
    before = channel_layers.set("default", on_redis(redis_url))
    try:

        async def listen() -> dict[str, Any]:
            layer = on_redis(redis_url)
            name = await layer.new_channel()
            await layer.group_add("first", name)
            await asyncio.to_thread(Outbox().put, ["first"], MESSAGE)
            async with asyncio.timeout(10):
                return dict(await layer.receive(name))

        assert asyncio.run(listen()) == MESSAGE
    finally:
        channel_layers.set("default", before)


def test_redis_that_is_away_harms_nobody(settings: Any, caplog: pytest.LogCaptureFixture):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    before = channel_layers.set("default", on_redis(settings.REDIS_URL))
    own = Outbox()
    try:
        own.put(["first"], MESSAGE)
        own.put(["first"], MESSAGE)
    finally:
        channel_layers.set("default", before)
    [said] = caplog.messages
    assert said.startswith("open sockets are not told of changes: ")


@pytest.mark.django_db(transaction=True)
async def test_what_is_rolled_back_is_never_announced(in_memory: InMemoryChannelLayer):
    name = await in_memory.new_channel()
    await in_memory.group_add("first", name)
    running = asyncio.create_task(outbox.run())
    await asyncio.sleep(0)

    def work() -> None:
        with transaction.atomic():
            announce(["first"], {**MESSAGE, "n": 1})
            transaction.set_rollback(True)
        with transaction.atomic():
            announce(["first"], {**MESSAGE, "n": 2})

    await in_db_thread(work)
    assert (await in_memory.receive(name))["n"] == 2
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

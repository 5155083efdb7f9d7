from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import pytest
import redis
from redis.exceptions import RedisError

from apps.core.errors import RateLimited
from apps.ratelimit.backends import REDIS_BUDGET_SECONDS, StreamSlot
from apps.ratelimit.limiter import duration, headers_of, make_limiter, refusal_of
from apps.ratelimit.policy import Caller, Window, network_of, windows_for

MINUTE = Window("test", "user", "test:minute:u1", 3, 60, "minute")
HOUR = Window("test", "user", "test:hour:u1", 2, 3600, "hour")


@pytest.fixture(params=["memory", "redis"])
async def limiter(request):
    url = request.getfixturevalue("redis_url") if request.param == "redis" else ""
    made = make_limiter(url)
    await made.admit([HOUR._replace(key="test:connected")])  # a first connection may take longer than the budget
    yield made
    await made.close()


async def test_what_is_over_a_limit_is_refused_and_counts_nowhere(limiter):
    assert [(await limiter.admit([HOUR])).allowed for _ in range(3)] == [True, True, False]
    both = await limiter.admit([MINUTE, HOUR])
    assert both.exceeded == HOUR
    assert [(await limiter.admit([MINUTE])).remaining for _ in range(3)] == [2, 1, 0]


async def test_simultaneous_requests_are_counted_exactly(limiter):
    window = Window("test", "user", "test:burst", 100, 60, "minute")
    decisions = await asyncio.gather(*(limiter.admit([window]) for _ in range(200)))
    assert sum(decision.allowed for decision in decisions) == 100
    assert not any(decision.is_degraded for decision in decisions)


async def test_streams_at_once_are_bounded_and_given_back(limiter, settings):
    settings.CONCURRENT_STREAMS = {"key": 2, "organization": 3}
    slots = [StreamSlot("org", "key", f"r{number}") for number in range(3)]
    assert [(await limiter.admit([], slot)).allowed for slot in slots] == [True, True, False]
    await limiter.release(slots[0])
    assert (await limiter.admit([], slots[2])).allowed
    other = [StreamSlot("org", "other", f"o{number}") for number in range(2)]
    assert [(await limiter.admit([], slot)).allowed for slot in other] == [True, False]


async def test_guests_run_fewer_streams_at_once(limiter, settings):
    settings.CONCURRENT_STREAMS = {"key": 5, "guest": 1, "organization": 9}
    slots = [StreamSlot("org", "user_1", f"r{number}", is_guest=True) for number in range(2)]
    assert (await limiter.admit([], slots[0])).allowed
    refusal = refusal_of(await limiter.admit([], slots[1]))
    assert (refusal.details["limit"], refusal.details["scope"]) == (1, "guest")
    await limiter.release(slots[0])
    assert (await limiter.admit([], slots[1])).allowed


async def test_the_error_names_limit_scope_window_and_reset(limiter):
    for _ in range(2):
        await limiter.admit([HOUR])
    refusal = refusal_of(await limiter.admit([HOUR]))
    assert isinstance(refusal, RateLimited)
    assert refusal.details["reset"] == pytest.approx(time.time() + 3600, abs=5)
    assert {**refusal.details, "reset": 0} == {
        "limit": 2,
        "name": "test",
        "scope": "user",
        "window": "hour",
        "reset": 0,
    }
    assert refusal.retry_after == pytest.approx(3600, abs=5)


async def test_the_headers_speak_of_the_tightest_window(limiter):
    headers = dict(headers_of(await limiter.admit([MINUTE, HOUR])))
    assert headers[b"x-ratelimit-limit"] == b"2"
    assert headers[b"x-ratelimit-remaining"] == b"1"
    assert headers[b"x-ratelimit-limit-minute"] == b"3"
    assert headers[b"x-ratelimit-remaining-minute"] == b"2"
    assert headers[b"x-ratelimit-limit-requests"] == b"2"
    assert headers[b"x-ratelimit-reset-requests"] in (b"60m0s", b"59m59s")
    assert b"x-ratelimit-policy" not in headers


_BURST = """
import asyncio, os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "janserver.settings.test"
import django
django.setup()
from apps.ratelimit.limiter import make_limiter
from apps.ratelimit.policy import Window
async def main():
    limiter = make_limiter(sys.argv[1])
    window = Window("test", "user", "test:four", 100, 60, "minute")
    print("ready", flush=True)
    sys.stdin.readline()
    decisions = await asyncio.gather(*(limiter.admit([window]) for _ in range(50)))
    print(sum(decision.allowed for decision in decisions), sum(decision.is_degraded for decision in decisions))
    await limiter.close()
asyncio.run(main())
"""


def test_four_processes_share_one_limit_exactly(redis_url):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _BURST, redis_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    results = [process.communicate(timeout=30)[0].split() for process in processes]
    assert sum(int(admitted) for admitted, _ in results) == 100
    assert [degraded for _, degraded in results] == ["0"] * 4


async def test_a_redis_that_hangs_costs_its_budget_and_never_the_limit(redis_url):
    limiter = make_limiter(redis_url)
    await limiter.admit([MINUTE])
    with redis.Redis.from_url(redis_url) as client:
        client.client_pause(1500)
    window = Window("test", "user", "test:paused", 10, 60, "minute")
    began = time.monotonic()
    decisions = [await limiter.admit([window]) for _ in range(12)]
    assert time.monotonic() - began < 12 * REDIS_BUDGET_SECONDS
    assert sum(decision.allowed for decision in decisions) == 5  # half of the limit, counted here
    assert all(decision.is_degraded for decision in decisions)
    assert (b"x-ratelimit-policy", b"degraded") in headers_of(decisions[0])
    await limiter.close()


async def test_without_redis_the_limiter_still_limits():
    limiter = make_limiter("redis://127.0.0.1:1/0")
    decisions = [await limiter.admit([MINUTE._replace(amount=4)]) for _ in range(4)]
    assert [decision.allowed for decision in decisions] == [True, True, False, False]
    with pytest.raises((RedisError, OSError)):
        await limiter._backend.admit([MINUTE], None)
    await limiter.close()


@pytest.mark.parametrize(
    ("path", "caller", "names"),
    [
        ("/v1/models", Caller("1.2.3.4", "u", None, False), ["all", "all", "v1"]),
        ("/admin/", Caller("1.2.3.4", None, None, False), ["all", "all"]),
        ("/v1/auth/guest-login", Caller("1.2.3.4", None, None, False), ["all", "all", "guest_login", "v1"]),
        ("/v1/chat/completions", Caller("1.2.3.4", "u", None, True), ["all", "all", "v1", "inference_guest"]),
        (
            "/v1/chat/completions",
            Caller("1.2.3.4", "u", "k", False),
            ["all", "all", "v1", "inference_user", "inference_key"],
        ),
    ],
)
def test_the_table_says_which_limits_concern_a_request(path, caller, names):
    assert [window.name for window in windows_for("POST", path, caller)] == names


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::2", "2001:db8::/64"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("unknown", "unknown"),
    ],
)
def test_an_ipv6_address_counts_with_its_network(address, network):
    assert network_of(address) == network


@pytest.mark.parametrize(("seconds", "text"), [(0.012, "12ms"), (1, "1s"), (59.6, "1m0s"), (360, "6m0s")])
def test_durations_are_written_as_openai_does(seconds, text):
    assert duration(seconds) == text


TOKENS = Window("test", "project", "test:tokens:p1", 100, 60, "minute", "tokens")


async def settled(limiter):
    """What is charged is nobody's to wait for, but here."""
    await asyncio.gather(*limiter._following)


async def test_tokens_admit_below_their_limit_and_are_counted_afterwards(limiter):
    first = await limiter.admit([MINUTE, TOKENS])
    assert first.tokens == (TOKENS, 100, pytest.approx(60, abs=1))
    limiter.charge([MINUTE, TOKENS], 99)
    await settled(limiter)
    second = await limiter.admit([MINUTE, TOKENS])
    assert (second.tokens[1], second.remaining) == (1, 1)
    limiter.charge([MINUTE, TOKENS], 500)
    await settled(limiter)
    refused = await limiter.admit([MINUTE, TOKENS])
    assert (refused.exceeded, refused.allowed) == (TOKENS, False)
    assert refusal_of(refused).message.startswith("Rate limit 'test' reached: 100 tokens a minute for each project.")
    assert (await limiter.admit([MINUTE])).remaining == 0  # the refused one was not counted


async def test_the_headers_speak_of_tokens_too(limiter):
    headers = dict(headers_of(await limiter.admit([MINUTE, TOKENS])))
    assert headers[b"x-ratelimit-limit-tokens"] == b"100"
    assert headers[b"x-ratelimit-remaining-tokens"] == b"100"
    assert headers[b"x-ratelimit-reset-tokens"] in (b"1m0s", b"59s")
    assert headers[b"x-ratelimit-limit"] == headers[b"x-ratelimit-limit-requests"] == b"3"
    limiter.charge([TOKENS], 100)
    await settled(limiter)
    refused = dict(headers_of(await limiter.admit([MINUTE, TOKENS])))
    assert (refused[b"x-ratelimit-limit"], refused[b"x-ratelimit-remaining-tokens"]) == (b"100", b"0")
    assert b"x-ratelimit-limit-requests" not in refused


async def test_tokens_charged_after_their_window_begin_a_new_one(limiter):
    limiter.charge([TOKENS], 100)
    await settled(limiter)
    refused = await limiter.admit([TOKENS])
    assert (refused.allowed, refused.resets_in) == (False, pytest.approx(60, abs=1))


async def test_without_redis_tokens_are_still_counted():
    limiter = make_limiter("redis://127.0.0.1:1/0")
    limiter.charge([TOKENS], 50)  # half of each limit is this process's
    await settled(limiter)
    assert not (await limiter.admit([TOKENS])).allowed
    await limiter.close()


@pytest.mark.parametrize("place", ["/v1/organization", "/v1/organization/org_4fT0pLq8sT2vW5yZ7aC9dE3b"])
@pytest.mark.parametrize(
    ("rest", "limit"),
    [
        ("", "organization_admin"),
        ("/users/user_1", "organization_admin"),
        ("/audit_logs", "organization_admin"),
        ("/admin_api_keys", "organization_keys"),
        ("/projects/proj_1/api_keys/key_1", "organization_keys"),
        ("/projects/proj_1/service_accounts/sa_1/api_keys", "organization_keys"),
        ("/projects/proj_1/service_accounts/sa_1", "organization_projects"),
        ("/projects", "organization_projects"),
        ("/projects/proj_1/rate_limits", "organization_projects"),
        ("/invites", "organization_invites"),
        ("/invites/inv_1/resend", "organization_invites"),
    ],
)
def test_managing_an_organization_counts_for_the_caller(place, rest, limit):
    def counted(user: str | None, key: str | None) -> list[str]:
        windows = windows_for("GET", place + rest, Caller("1.2.3.4", user, key, False))
        return [window.key for window in windows if window.scope == "caller"]

    assert counted("u", "k") == [f"{limit}:minute:k"]
    assert counted("u", None) == [f"{limit}:minute:u"]
    assert counted(None, None) == []


@pytest.mark.parametrize(
    ("method", "path", "limit"),
    [
        ("GET", "/v1/conversations", "conversation_reads"),
        ("GET", "/v1/conversations/conv_1/items/msg_1", "conversation_reads"),
        ("HEAD", "/v1/conversations/conv_1", "conversation_reads"),
        ("POST", "/v1/conversations", "conversation_writes"),
        ("PATCH", "/v1/conversations/conv_1", "conversation_writes"),
        ("DELETE", "/v1/conversations", "conversation_deletes"),
        ("DELETE", "/v1/conversations/conv_1/messages/msg_1", "conversation_deletes"),
        ("GET", "/v1/conversationsx", None),
    ],
)
def test_conversations_count_by_what_is_done_with_them(method: str, path: str, limit: str | None):
    windows = windows_for(method, path, Caller("1.2.3.4", "u", None, False))
    assert [window.name for window in windows if window.scope == "caller"] == ([limit] if limit else [])


def test_limits_of_a_key_replace_those_every_key_has():
    own = windows_for("POST", "/v1/chat/completions", Caller("1.2.3.4", "u", "k", False, has_own_limits=True))
    assert [window.name for window in own] == ["all", "all", "v1"]

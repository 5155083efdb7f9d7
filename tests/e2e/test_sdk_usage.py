"""The official SDK in strict mode: usage of an organization, and rate limits of its projects."""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

import openai
import pytest

from tests.server import OPERATOR, Server

pytestmark = pytest.mark.e2e

_MAKE = """
import json
from apps.accounts.models import User
from apps.api_keys.services import Holder, create_key
from apps.api_keys.tokens import KeyKind
from apps.projects.models import Project
from apps.projects.services import create_organization
user = User.objects.get(email={email!r})
organization = create_organization(name="Counted", owner=user)
project = Project.objects.get(organization=organization)
admin = create_key(kind=KeyKind.ADMIN, name="admin", place=organization, holder=Holder(user))[1]
key, token = create_key(kind=KeyKind.PROJECT, name="k", place=project, holder=Holder(user))
print(json.dumps({{"admin": admin, "key": token, "key_id": key.public_id, "project": project.public_id,
                  "user": user.pk}}))
"""


@pytest.fixture(scope="module", params=["live", "live_pg"])
def server(request: pytest.FixtureRequest) -> Server:
    running: Server = request.getfixturevalue(request.param)
    return running


@pytest.fixture(scope="module")
def made(server: Server) -> dict[str, Any]:
    """An organization with three completions and one embedding."""
    done = server.manage("shell", "--no-imports", "-c", _MAKE.format(email=OPERATOR[0]))
    assert done.returncode == 0, done.stderr
    world: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    began = int(time.time())
    with openai.OpenAI(base_url=f"{server.base_url}/v1", api_key=world["key"]) as client:
        chats = [
            client.chat.completions.create(model="plain", messages=[{"role": "user", "content": "hi"}])
            for _ in range(2)
        ]
        chats.append(client.completions.create(model="org/plain", prompt="once"))
        embedded = client.embeddings.create(model="text-embedding-small", input="hi")
    return {**world, "began": began, "chats": chats, "embedded": embedded}


@pytest.fixture
def organization(server: Server, made):
    with openai.OpenAI(
        base_url=f"{server.base_url}/v1",
        api_key="unused",
        admin_api_key=made["admin"],
        _strict_response_validation=True,
        max_retries=0,
    ) as client:
        yield client.admin.organization


@pytest.fixture
def usage(organization):
    return organization.usage


def results(page: Any) -> list[Any]:
    return [result for bucket in page.data for result in bucket.results]


def until(read: Any, requests: int) -> Any:
    """Read until the drainer has been there: usage is complete within 40 seconds."""
    limit = time.monotonic() + 40
    while True:
        page = read()
        if sum(result.num_model_requests for result in results(page)) >= requests:
            return page
        assert time.monotonic() < limit, page


def test_completions_are_counted_with_what_they_used(usage, made):
    page = until(lambda: usage.completions(start_time=made["began"], bucket_width="1m"), 3)
    chats = made["chats"]
    assert page.object == "page"
    assert not page.has_more
    assert sum(result.num_model_requests for result in results(page)) == 3
    assert sum(result.input_tokens for result in results(page)) == sum(chat.usage.prompt_tokens for chat in chats)
    assert sum(result.output_tokens for result in results(page)) == sum(chat.usage.completion_tokens for chat in chats)
    assert {result.object for result in results(page)} == {"organization.usage.completions.result"}
    assert {result.model for result in results(page)} == {None}


def test_they_are_grouped_and_filtered_by_public_ids(usage, made):
    asked = {"start_time": made["began"], "bucket_width": "1d", "limit": 2}
    groups = ["project_id", "user_id", "api_key_id", "model", "batch", "service_tier"]
    page = until(lambda: usage.completions(**asked, group_by=groups), 3)
    found = results(page)
    assert {(each.project_id, each.user_id, each.api_key_id) for each in found} == {
        (made["project"], made["user"], made["key_id"])
    }
    assert sorted({each.model for each in found}) == ["org/plain", "plain"]
    one = usage.completions(
        **asked, models=["plain"], project_ids=[made["project"]], user_ids=[made["user"]], api_key_ids=[made["key_id"]]
    )
    assert sum(each.num_model_requests for each in results(one)) == 2


def test_embeddings_are_counted_by_themselves(usage, made):
    page = until(lambda: usage.embeddings(start_time=made["began"], group_by=["model"]), 1)
    (only,) = results(page)
    assert (only.object, only.model, only.num_model_requests, only.input_tokens) == (
        "organization.usage.embeddings.result",
        "text-embedding-small",
        1,
        made["embedded"].usage.prompt_tokens,
    )


def test_pages_are_walked_to_the_end(usage, made):
    until(lambda: usage.completions(start_time=made["began"]), 3)
    start, end = made["began"] - 5 * 3600, made["began"] + 3600
    buckets, cursor = [], openai.omit
    while True:
        page = usage.completions(start_time=start, end_time=end, bucket_width="1h", limit=2, page=cursor)
        buckets += page.data
        if not page.has_more:
            break
        cursor = page.next_page
    assert (buckets[0].start_time, buckets[-1].end_time) == (start, end)
    assert all(first.end_time == second.start_time for first, second in itertools.pairwise(buckets))
    assert sum(each.num_model_requests for bucket in buckets for each in bucket.results) == 3


def test_a_bad_parameter_is_an_error_of_the_sdks(usage):
    with pytest.raises(openai.BadRequestError) as refused:
        usage.completions(start_time=1, bucket_width="2d")
    assert refused.value.param == "bucket_width"


def test_rate_limits_are_walked_and_changed(organization, made):
    rate_limits = organization.projects.rate_limits
    listed = list(rate_limits.list_rate_limits(made["project"], limit=7))
    names = [each.model for each in listed]
    assert names == ["*", *sorted(names[1:])]
    assert len(names) == len(set(names)) > 20
    plain = next(each for each in listed if each.model == "plain")
    changed = rate_limits.update_rate_limit(
        plain.id,
        project_id=made["project"],
        max_requests_per_1_minute=50,
        max_requests_per_1_day=5000,
        max_tokens_per_1_minute=9000,
    )
    assert changed.model_dump(exclude_none=True) == {
        "id": plain.id,
        "object": "project.rate_limit",
        "model": "plain",
        "max_requests_per_1_minute": 50,
        "max_requests_per_1_day": 5000,
        "max_tokens_per_1_minute": 9000,
    }
    assert next(each for each in rate_limits.list_rate_limits(made["project"]) if each.model == "plain") == changed
    with pytest.raises(openai.NotFoundError):
        rate_limits.update_rate_limit("rl_000000000000000000000000", project_id=made["project"])

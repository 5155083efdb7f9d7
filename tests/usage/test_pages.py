"""The page on which people see what they used themselves."""

from __future__ import annotations

import datetime
import re
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.api_keys.tokens import KeyKind
from apps.core.ids import new_id
from apps.organizations.models import Membership, Organization
from apps.projects.models import default_project
from apps.projects.services import create_organization
from apps.usage.models import State, UsageRecord
from tests.api_keys.conftest import Caller, join
from tests.console.conftest import SIGN_IN

USAGE = "/accounts/usage/"
DAY = datetime.timedelta(days=1)


@pytest.fixture
def page(ada: Caller) -> Client:
    client = Client()
    client.force_login(ada.user, backend=SIGN_IN)
    return client


@pytest.fixture
def acme(eve: Caller) -> Organization:
    return create_organization(name="Acme", owner=eve.user)


def used(who: str, where: Organization, *, days_ago: int = 0, model: str = "a/model", **fields: Any) -> None:
    project = default_project(where.pk)
    assert project is not None
    UsageRecord.objects.create(
        public_id=new_id("usage"),
        organization=where,
        project=project,
        user_id=who,
        model=model,
        accepted_at=_midnight() - days_ago * DAY,
        **{
            "request_id": "r",
            "endpoint": "chat/completions",
            "state": State.COMPLETED,
            "prompt_tokens": 10,
            "completion_tokens": 4,
            **fields,
        },
    )


def _midnight() -> datetime.datetime:
    """When today began, in UTC."""
    return timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)


def table(text: str, number: int) -> list[list[str]]:
    body = re.findall(r"<tbody>(.*?)</tbody>", text, re.DOTALL)[number]
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", body)]


def day(days_ago: int) -> str:
    when = _midnight() - days_ago * DAY
    return f"{when.day} {when:%b}"


def test_ones_own_usage_is_told_by_model_and_by_day(ada: Caller, page: Client, acme: Organization):
    join(ada.user, acme)
    for _ in range(2):
        used(ada.user.pk, ada.organization)
    used(ada.user.pk, acme)
    used(ada.user.pk, acme, days_ago=1, prompt_tokens=1_000_000)
    used(ada.user.pk, acme, days_ago=1, model="b/<i>", endpoint="embeddings", completion_tokens=0)
    used(ada.user.pk, ada.organization, days_ago=29, state=State.CLIENT_GONE)
    text = page.get(USAGE).text
    assert table(text, 0) == [["a/model", "5", "1,000,040", "20"], ["b/&lt;i&gt;", "1", "10", "0"]]
    assert table(text, 1) == [
        [day(0), "a/model", "3", "30", "12"],
        [day(1), "a/model", "1", "1,000,000", "4"],
        [day(1), "b/&lt;i&gt;", "1", "10", "0"],
        [day(29), "a/model", "1", "10", "4"],
    ]
    assert re.search(r"<tfoot>.*?All</th><td>6</td><td>1,000,050</td><td>20</td>", text)


def test_nothing_of_others_and_nothing_older_is_told(ada: Caller, eve: Caller, page: Client, acme: Organization):
    member = join(ada.user, acme)
    bot = ada.with_key(kind=KeyKind.SERVICE_ACCOUNT).key
    assert bot is not None
    assert bot.service_account is not None
    used(eve.user.pk, acme)
    used(eve.user.pk, ada.organization)
    used(bot.service_account.public_id, ada.organization)
    used(ada.user.pk, ada.organization, days_ago=30)
    used(ada.user.pk, acme)
    assert table(page.get(USAGE).text, 0) == [["a/model", "1", "10", "4"]]
    Membership.objects.filter(pk=member.pk).delete()
    assert "Nothing yet." in page.get(USAGE).text


def test_it_asks_three_queries_however_much_there_is(ada: Caller, page: Client, django_assert_num_queries: Any):
    for number in range(40):
        used(ada.user.pk, ada.organization, days_ago=number % 30, model=f"model {number % 7}")
    with django_assert_num_queries(3):  # session, user, sums
        answer = page.get(USAGE)
    assert (len(table(answer.text, 0)), answer["Cache-Control"].count("no-store")) == (7, 1)


def test_nobody_signed_in_is_asked_to(db: None):
    answer = Client().get(USAGE)
    assert (answer.status_code, answer["Location"]) == (302, f"/accounts/login/?next={USAGE}")
    assert Client().post(USAGE).status_code == 405

from __future__ import annotations

import asyncio

import pytest
from django.db import connection

from apps.api_keys.authentication import Credentials, resolve
from apps.api_keys.services import Holder, create_key
from apps.api_keys.tokens import KeyKind
from apps.audit.services import SYSTEM
from apps.core.epoch import current_epoch
from apps.core.freshness import Watch
from apps.quotas.services import delete_limits, set_limits
from apps.quotas.snapshot import Place, Quotas, load_table
from apps.ratelimit.limiter import make_limiter
from apps.ratelimit.policy import Window

PLACE = Place(1, 2, 3)


def quotas() -> Quotas:
    made = Quotas(Watch())
    made._table = load_table()
    return made


def shown(windows: tuple[Window, ...]) -> list[tuple[str, int, str]]:
    return [(window.name, window.amount, window.unit) for window in windows]


def test_without_anything_set_a_project_has_what_the_table_says():
    made = Quotas(Watch())
    assert shown(made.windows_of(PLACE, "m")) == [
        ("project_requests", 6000, "minute"),
        ("project_requests", 1_000_000, "day"),
        ("project_tokens", 10_000_000, "minute"),
    ]
    assert made.windows_of(PLACE, "m") is made.windows_of(PLACE, "m")
    assert not made.has_own(3)
    assert not made.has_own(None)


@pytest.mark.django_db
def test_a_call_counts_in_all_that_is_set_for_it_and_in_nobody_elses(ada, eve, settings):
    settings.RATELIMIT_SCALE = 2
    key = ada.with_key(kind=KeyKind.PROJECT).key
    for owner, model, amounts in (
        (ada.organization, "", {"max_requests_per_1_minute": 50, "max_tokens_per_1_minute": 500}),
        (ada.project, "m", {"max_requests_per_1_day": 40}),
        (key, "", {"max_requests_per_1_minute": 30}),
        (eve.organization, "", {"max_requests_per_1_minute": 1}),
        (ada.project, "other", {"max_requests_per_1_minute": 1}),
    ):
        set_limits(owner=owner, model=model, amounts=amounts, actor=SYSTEM)
    made = quotas()
    place = Place(ada.organization.pk, ada.project.pk, key.pk)
    assert shown(made.windows_of(place, "m")) == [
        ("organization_requests", 100, "minute"),
        ("organization_tokens", 1000, "minute"),
        ("project_requests", 100, "minute"),
        ("project_requests", 2_000_000, "day"),
        ("project_tokens", 1000, "minute"),
        ("project_requests:m", 80, "day"),
        ("key_requests", 60, "minute"),
    ]
    assert len({window.key for window in made.windows_of(place, "m")}) == 7
    assert made.has_own(key.pk)
    assert shown(made.windows_of(place, "")) == [
        window for window in shown(made.windows_of(place, "m")) if ":" not in window[0]
    ]


@pytest.mark.django_db
def test_tokens_alone_do_not_replace_what_every_key_has(ada):
    key = ada.with_key(kind=KeyKind.PROJECT).key
    set_limits(owner=key, model="", amounts={"max_tokens_per_1_minute": 5}, actor=SYSTEM)
    set_limits(owner=key, model="m", amounts={"max_requests_per_1_minute": 5}, actor=SYSTEM)
    assert not quotas().has_own(key.pk)


@pytest.mark.django_db
def test_setting_and_taking_back_is_heard_by_every_process(ada):
    def epoch() -> int:
        connection.run_before_commit()
        return current_epoch()

    before = epoch()
    row = set_limits(owner=ada.project, model="", amounts={"max_requests_per_1_minute": 5}, actor=SYSTEM)
    after = epoch()
    delete_limits(limits=row, actor=SYSTEM)
    assert before < after < epoch()


@pytest.mark.django_db
@pytest.mark.parametrize("kind", ["memory", "redis"])
@pytest.mark.parametrize(("scope", "limit"), [("organization", 70), ("project", 50), ("key", 30)])
def test_of_two_hundred_at_once_never_more_than_the_tightest_are_admitted(ada, request, kind, scope, limit):
    key = ada.with_key(kind=KeyKind.PROJECT).key
    owners = {"organization": ada.organization, "project": ada.project, "key": key}
    set_limits(owner=owners[scope], model="", amounts={"max_requests_per_1_minute": limit}, actor=SYSTEM)
    windows = quotas().windows_of(Place(ada.organization.pk, ada.project.pk, key.pk), "m")
    url = request.getfixturevalue("redis_url") if kind == "redis" else ""

    async def burst() -> tuple[list[bool], list[str]]:
        limiter = make_limiter(url)
        await limiter.admit([])
        decisions = await asyncio.gather(*(limiter.admit(windows) for _ in range(200)))
        await limiter.close()
        assert not any(decision.is_degraded for decision in decisions)
        refused_by = {decision.exceeded.scope for decision in decisions if decision.exceeded}
        return [decision.allowed for decision in decisions], sorted(refused_by)

    admitted, refused_by = asyncio.run(burst())
    assert sum(admitted) == limit
    assert refused_by == [scope]


@pytest.mark.django_db
def test_what_an_ephemeral_key_uses_is_used_by_the_key_that_made_it(ada):
    parent = ada.with_key(kind=KeyKind.PROJECT).key
    holder = Holder(ada.user, parent=parent)
    child, secret = create_key(kind=KeyKind.EPHEMERAL, name="e", place=ada.project, holder=holder)
    principal = resolve(Credentials(bearer=secret))
    assert principal is not None
    assert (principal.key_id, principal.parent_key_id) == (child.pk, parent.pk)

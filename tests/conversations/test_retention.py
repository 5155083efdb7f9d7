"""Conversations go when the time their project keeps them is over."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.utils import timezone

from apps.conversations.models import Branch, Conversation, Item
from apps.conversations.tasks import expire
from apps.organizations.models import Organization
from apps.projects.models import Project
from tests.api_keys.conftest import Caller, sign_up
from tests.conversations.conftest import made

HELLO = {"role": "user", "content": "Hello"}


def aged(caller: Caller, days: float, **fields: Any) -> str:
    name = made(caller, items=[HELLO])["id"]
    then = timezone.now() - datetime.timedelta(days=days)
    Conversation.objects.filter(public_id=name).update(updated_at=then, **fields)
    return str(name)


def left() -> set[str]:
    return set(Conversation.objects.values_list("public_id", flat=True))


@pytest.mark.parametrize(
    ("of_project", "of_organization", "kept"),
    [(30, None, [9, 29]), (None, 30, [9, 29]), (30, 10, [9]), (10, 30, [9]), (None, None, [9, 29, 31])],
)
def test_the_shorter_time_counts(ada: Caller, of_project: int | None, of_organization: int | None, kept: list[int]):
    settings = [{"retention_days": days} if days else {} for days in (of_project, of_organization)]
    Project.objects.filter(pk=ada.project.pk).update(settings=settings[0])
    Organization.objects.filter(pk=ada.organization.pk).update(settings=settings[1])
    names = {days: aged(ada, days) for days in (9, 29, 31)}
    elsewhere = aged(sign_up("bob@example.com"), 1000)
    expire()
    still = {names[days] for days in kept}
    assert left() == still | {elsewhere}
    assert (Item.objects.count(), Branch.objects.count()) == (len(still) + 1, len(still) + 1)


def test_many_go_in_batches(ada: Caller):
    Project.objects.filter(pk=ada.project.pk).update(settings={"retention_days": 1})
    Conversation.objects.bulk_create(
        Conversation(
            organization=ada.organization, project=ada.project, user=ada.user,
            updated_at=timezone.now() - datetime.timedelta(days=2),
        )
        for _ in range(250)
    )  # fmt: skip
    fresh = made(ada)["id"]
    expire()
    assert left() == {fresh}


def test_one_that_a_turn_holds_stays_until_it_lets_go(ada: Caller):
    Project.objects.filter(pk=ada.project.pk).update(settings={"retention_days": 1})
    soon = timezone.now() + datetime.timedelta(seconds=30)
    held = aged(ada, 2, turn_id="turn", turn_expires_at=soon)
    aged(ada, 2, turn_id="turn", turn_expires_at=timezone.now())
    expire()
    assert left() == {held}

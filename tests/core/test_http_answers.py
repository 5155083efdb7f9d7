"""How times are written, and what a DELETE answers."""

from __future__ import annotations

import datetime

import pytest
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from apps.core.http.deletion import deleted
from apps.core.http.moments import iso, moment

WHEN = datetime.datetime(2026, 11, 21, 9, 30, 0, 987654, tzinfo=datetime.UTC)


def _request(query: str = "", **headers: str) -> Request:
    return Request(APIRequestFactory().get(f"/{query}", headers=headers))


@pytest.mark.parametrize(
    ("query", "value", "written"),
    [
        ("", WHEN, 1795253400),
        ("?timestamps=iso", WHEN, "2026-11-21T09:30:00Z"),
        ("?timestamps=other", WHEN, 1795253400),
        ("", None, None),
        ("?timestamps=iso", None, None),
    ],
)
def test_a_moment_is_a_number_unless_iso_is_asked_for(query, value, written):
    assert moment(_request(query), value) == written


def test_iso_is_written_in_utc():
    tokyo = datetime.timezone(datetime.timedelta(hours=9))
    assert iso(WHEN.astimezone(tokyo)) == "2026-11-21T09:30:00Z"


def test_a_deletion_says_what_is_gone():
    answer = deleted(_request(), "group_1", "group")
    assert (answer.status_code, answer.data) == (200, {"id": "group_1", "object": "group.deleted", "deleted": True})


@pytest.mark.parametrize("prefer", ["return=minimal", "respond-async, Return=Minimal", "return=minimal; foo=1"])
def test_a_caller_can_prefer_no_content(prefer):
    answer = deleted(_request(Prefer=prefer), "group_1", "group")
    assert (answer.status_code, answer.data) == (204, None)

"""How times are written: seconds since 1970, or ISO 8601 for a caller that asks for it."""

from __future__ import annotations

import datetime

from django.http import HttpRequest, QueryDict
from rest_framework.request import Request


def moment(request: Request, value: datetime.datetime | None) -> int | str | None:
    """Return `value` as the caller wants times: unix seconds, or with `?timestamps=iso` as `iso` writes it."""
    if value is None:
        return None
    return iso(value) if request.query_params.get("timestamps") == "iso" else int(value.timestamp())


def asking(query: str | bytes) -> Request:
    """Return a request with nothing but a query: for what is written for somebody who asks in another way."""
    asked = HttpRequest()
    asked.GET = QueryDict(query)
    return Request(asked)


def iso(value: datetime.datetime | None) -> str | None:
    """Return `value` in ISO 8601, in UTC and to the second."""
    if value is None:
        return None
    return value.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

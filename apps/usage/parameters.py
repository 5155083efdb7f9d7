"""What a request for usage asks for. Whatever cannot be understood is refused, naming the parameter."""

from __future__ import annotations

import base64
import binascii
import time
from typing import NamedTuple

from django.http import QueryDict

from apps.core.errors import BadRequest
from apps.core.http.parameters import MAX_SECONDS, flag, values, whole
from apps.usage.queries import WIDTHS, Filters, Span

# The default and the most buckets of a page, by their width.
LIMITS = {"1m": (60, 1440), "1h": (24, 168), "1d": (7, 31)}


class Asked(NamedTuple):
    """`span` is all that was asked for from this page on, `limit` the number of its buckets."""

    span: Span
    limit: int
    group_by: tuple[str, ...]
    filters: Filters
    is_batch: bool | None


def read(query: QueryDict, groups: frozenset[str]) -> Asked:
    """Read the parameters of a usage report that can be grouped by `groups`. Raises BadRequest."""
    width = query.get("bucket_width", "1d")
    if width not in WIDTHS:
        raise BadRequest(f"'bucket_width' must be one of {', '.join(WIDTHS)}.", param="bucket_width")
    default, most = LIMITS[width]
    group_by = values(query, "group_by") or ()
    if unknown := sorted(set(group_by) - groups):
        raise BadRequest(
            f"Usage cannot be grouped by '{unknown[0]}', only by {', '.join(sorted(groups))}.", param="group_by"
        )
    return Asked(
        span=_span(query, WIDTHS[width]),
        limit=_whole(query, "limit", 1, most, default),
        group_by=group_by,
        filters=Filters(
            project_ids=_set(query, "project_ids"),
            user_ids=_set(query, "user_ids"),
            api_key_ids=_set(query, "api_key_ids"),
            models=_set(query, "models"),
        ),
        is_batch=flag(query, "batch"),
    )


def cursor_of(start: int) -> str:
    """Return the name of the page whose first bucket begins at `start`."""
    return "page_" + base64.urlsafe_b64encode(str(start).encode()).decode().rstrip("=")


def _span(query: QueryDict, width: int) -> Span:
    start = _whole(query, "start_time", 0, MAX_SECONDS - 1)
    # Without an end it is the bucket that is running now.
    now = (int(time.time()) // width + 1) * width
    end = _whole(query, "end_time", 0, MAX_SECONDS, max(now, start + 1))
    if end <= start:
        raise BadRequest("'end_time' must be after 'start_time'.", param="end_time")
    page = query.get("page")
    if page is None:
        return Span(start, end, width)
    begins = _start_of(page)
    if begins is None or not start < begins < end or begins % width:
        raise BadRequest("'page' is not the 'next_page' of this report.", param="page")
    return Span(begins, end, width)


def _start_of(page: str) -> int | None:
    encoded = page.removeprefix("page_")
    try:
        text = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        return None
    return int(text) if text.isdecimal() and len(text) <= 12 and cursor_of(int(text)) == page else None


def _set(query: QueryDict, name: str) -> frozenset[str] | None:
    found = values(query, name)
    return None if found is None else frozenset(found)


def _whole(query: QueryDict, name: str, low: int, high: int, default: int | None = None) -> int:
    found = whole(query, name, low, high)
    if found is None:
        found = default
    if found is None:
        raise BadRequest(f"You must provide '{name}'.", code="missing_required_parameter", param=name)
    return found

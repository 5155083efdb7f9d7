"""The one list envelope, with keyset pages (`after`, `before`) or an `offset`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import Model, Q, QuerySet
from rest_framework.request import Request

from apps.core.errors import BadRequest

DEFAULT_LIMIT, MAX_LIMIT = 20, 100
MAX_COUNT = 10_000


def paginate(
    request: Request,
    queryset: QuerySet[Any],
    render: Callable[[Any], dict[str, Any]],
    *,
    named: str,
    key: str = "public_id",
    ordered_by: str = "created_at",
    always_named: bool = False,
) -> dict[str, Any]:
    """
    Return one page of `queryset` as the contract's list object.

    `key` is the field clients page by, `ordered_by` the column that sorts (ties by primary
    key), `named` the seed's key for the rows, added when `offset` is used (or `always_named`).
    Raises BadRequest naming a bad `limit`, `order`, `offset`, `after` or `before`.
    """
    limit = _whole(request, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT)
    offset = _whole(request, "offset", None, 0, 2**31)
    descending = _order(request) == "desc"
    after = request.query_params.get("after") or request.query_params.get("cursor")
    before = request.query_params.get("before")
    if offset is not None and (after or before):
        raise BadRequest("Use either 'offset' or a cursor, not both.", param="offset")
    total = queryset.order_by()[: MAX_COUNT + 1].count()
    rows = queryset
    if after:
        rows = rows.filter(_beyond(queryset, key, ordered_by, after, "after", descending))
    if before:
        rows = rows.filter(_beyond(queryset, key, ordered_by, before, "before", not descending))
    sign = "-" if descending else ""
    start = offset or 0
    page = list(rows.order_by(f"{sign}{ordered_by}", f"{sign}pk")[start : start + limit + 1])
    has_more, page = len(page) > limit, page[:limit]
    data = [render(row) for row in page]
    last_id = getattr(page[-1], key) if page else None
    answer: dict[str, Any] = {
        "object": "list",
        "data": data,
        "first_id": getattr(page[0], key) if page else None,
        "last_id": last_id,
        "has_more": has_more,
        "next_after": last_id if has_more else None,
        "total": min(total, MAX_COUNT),
    }
    if total > MAX_COUNT:
        answer["total_capped"] = True
    if offset is not None:
        answer.update(limit=limit, offset=offset)
    if offset is not None or always_named:
        answer[named] = data
    return answer


def _whole(request: Request, name: str, default: Any, low: int, high: int) -> Any:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and low <= int(text) <= high):
        raise BadRequest(f"'{name}' must be a whole number from {low} to {high}.", param=name)
    return int(text)


def _order(request: Request) -> str:
    order = request.query_params.get("order", "desc")
    if order not in ("asc", "desc"):
        raise BadRequest("'order' must be 'asc' or 'desc'.", param="order")
    return order


def _beyond(queryset: QuerySet[Any], key: str, ordered_by: str, cursor: str, name: str, descending: bool) -> Q:
    anchor: Model | None = queryset.filter(**{key: cursor}).first() if "\x00" not in cursor else None
    if anchor is None:
        raise BadRequest(f"'{name}' names no object of this list.", param=name)
    value, op = getattr(anchor, ordered_by), "lt" if descending else "gt"
    return Q(**{f"{ordered_by}__{op}": value}) | Q(**{ordered_by: value, f"pk__{op}": anchor.pk})

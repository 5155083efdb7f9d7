"""The one list envelope, with keyset pages (`after`, `before`) or an `offset`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from django.db.models import Model, Q, QuerySet
from rest_framework.request import Request

from apps.core.errors import BadRequest

_Item = TypeVar("_Item")

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
    default_order: str = "desc",
) -> dict[str, Any]:
    """
    Return one page of `queryset` as the contract's list object.

    `key` is the field clients page by, `ordered_by` the column that sorts (ties by primary
    key), `named` the seed's key for the rows, added with `limit` and `offset` when `offset` is used
    (or `always_named`).
    Raises BadRequest naming a bad `limit`, `order`, `offset`, `after` or `before`.
    """
    asked = page_asked(request, default_order)
    # In the order of the page, so that both are read from one index.
    total = queryset.order_by(f"-{ordered_by}", "-pk")[: MAX_COUNT + 1].count()
    rows = queryset
    if asked.after:
        rows = rows.filter(_beyond(queryset, key, ordered_by, asked.after, "after", asked.descending))
    if asked.before:
        rows = rows.filter(_beyond(queryset, key, ordered_by, asked.before, "before", not asked.descending))
    sign = "-" if asked.descending else ""
    start = asked.offset or 0
    page = list(rows.order_by(f"{sign}{ordered_by}", f"{sign}pk")[start : start + asked.limit + 1])
    ids = [getattr(row, key) for row in page]
    return list_object(
        asked, ids, [render(row) for row in page[: asked.limit]], total, named, always_named=always_named
    )


def paginate_items(
    request: Request,
    items: Sequence[_Item],
    render: Callable[[_Item], dict[str, Any]],
    *,
    named: str,
    key: Callable[[_Item], str],
    default_order: str = "desc",
) -> dict[str, Any]:
    """
    Return one page of a short list that is no single queryset, as `paginate` does with `always_named`.

    `items` come oldest first; `key` tells the id that clients page by. Raises what `paginate` does.
    """
    asked = page_asked(request, default_order)
    ordered = list(reversed(items)) if asked.descending else list(items)
    ids = [key(item) for item in ordered]
    first = _place(ids, asked.after, "after") + 1 if asked.after else 0
    end = _place(ids, asked.before, "before") if asked.before else len(ordered)
    start = first + (asked.offset or 0)
    page = slice(start, max(start, min(end, start + asked.limit + 1)))
    data = [render(item) for item in ordered[page][: asked.limit]]
    return list_object(asked, ids[page], data, len(ordered), named, always_named=True)


class PageAsked(NamedTuple):
    """Which page of a list is wanted."""

    limit: int
    offset: int | None
    descending: bool
    after: str | None
    before: str | None


def page_asked(request: Request, default_order: str = "desc") -> PageAsked:
    """Read the parameters of a list. Raises BadRequest naming a bad `limit`, `order` or `offset`."""
    limit = _whole(request, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT)
    offset = _whole(request, "offset", None, 0, 2**31)
    descending = _order(request, default_order) == "desc"
    after = request.query_params.get("after") or request.query_params.get("cursor")
    before = request.query_params.get("before")
    if offset is not None and (after or before):
        raise BadRequest("Use either 'offset' or a cursor, not both.", param="offset")
    return PageAsked(limit, offset, descending, after, before)


def list_object(
    asked: PageAsked,
    ids: list[str],
    data: list[dict[str, Any]],
    total: int,
    named: str,
    *,
    always_named: bool = False,
) -> dict[str, Any]:
    """Return the list object. `ids` has one more than `data` if there are more."""
    has_more = len(ids) > len(data)
    last_id = ids[len(data) - 1] if data else None
    answer: dict[str, Any] = {
        "object": "list",
        "data": data,
        "first_id": ids[0] if data else None,
        "last_id": last_id,
        "has_more": has_more,
        "next_after": last_id if has_more else None,
        "total": min(total, MAX_COUNT),
    }
    if total > MAX_COUNT:
        answer["total_capped"] = True
    if asked.offset is not None or always_named:
        answer.update({"limit": asked.limit, "offset": asked.offset or 0, named: data})
    if always_named:
        # OpenAI's SDK pages some lists of an organization by this name.
        answer["next"] = answer["next_after"]
    return answer


def _place(ids: list[str], cursor: str, name: str) -> int:
    if cursor not in ids:
        raise unknown_cursor(name)
    return ids.index(cursor)


def unknown_cursor(name: str) -> BadRequest:
    """Return what is said of an `after` or `before` that is not in the list."""
    return BadRequest(f"'{name}' names no object of this list.", param=name)


def _whole(request: Request, name: str, default: Any, low: int, high: int) -> Any:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and low <= int(text) <= high):
        raise BadRequest(f"'{name}' must be a whole number from {low} to {high}.", param=name)
    return int(text)


def _order(request: Request, default: str) -> str:
    order = request.query_params.get("order", default)
    if order not in ("asc", "desc"):
        raise BadRequest("'order' must be 'asc' or 'desc'.", param="order")
    return order


def _beyond(queryset: QuerySet[Any], key: str, ordered_by: str, cursor: str, name: str, descending: bool) -> Q:
    anchor: Model | None = queryset.filter(**{key: cursor}).first() if "\x00" not in cursor else None
    if anchor is None:
        raise unknown_cursor(name)
    value, op = getattr(anchor, ordered_by), "lt" if descending else "gt"
    # The first condition bounds the range of an index; of a plain "or" PostgreSQL reads all that stands before.
    later = Q(**{f"{ordered_by}__{op}": value}) | Q(**{f"pk__{op}": anchor.pk})
    return Q(**{f"{ordered_by}__{op}e": value}) & later

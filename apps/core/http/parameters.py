"""Query parameters. Whatever cannot be understood is refused, naming the parameter."""

from __future__ import annotations

from django.http import QueryDict

from apps.core.errors import BadRequest

MAX_VALUES = 100
MAX_LENGTH = 255
# The last second of the year 9999, which is the last that a date can be.
MAX_SECONDS = 253_402_300_799


def values(query: QueryDict, name: str) -> tuple[str, ...] | None:
    """Return a list: `name=a&name=b`, `name[]=a&name[]=b` or `name=a,b`. None if it was not sent. Raises BadRequest."""
    sent = [*query.getlist(name), *query.getlist(f"{name}[]")]
    if not sent:
        return None
    found = tuple(dict.fromkeys(part.strip() for text in sent for part in text.split(",")))
    if len(found) > MAX_VALUES:
        raise BadRequest(f"'{name}' may hold {MAX_VALUES} values at most.", param=name)
    if any(not 0 < len(value) <= MAX_LENGTH or "\x00" in value for value in found):
        raise BadRequest(f"Each value of '{name}' must have 1 to {MAX_LENGTH} characters.", param=name)
    return found


def flag(query: QueryDict, name: str) -> bool | None:
    """Return what was sent, or None. Raises BadRequest unless it is true or false."""
    text = query.get(name)
    if text not in (None, "true", "false"):
        raise BadRequest(f"'{name}' must be true or false.", param=name)
    return None if text is None else text == "true"


def whole(query: QueryDict, name: str, low: int, high: int) -> int | None:
    """Return what was sent, or None. Raises BadRequest unless it is a whole number from `low` to `high`."""
    text = query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 12 and low <= int(text) <= high):
        raise BadRequest(f"'{name}' must be a whole number from {low} to {high}.", param=name)
    return int(text)

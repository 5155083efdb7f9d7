"""
The one way a JSON body is read, on every transport.

What it refuses, it refuses because something behind it would stumble: a NUL or a lone
surrogate is a 500 in PostgreSQL, deep nesting a RecursionError, a repeated key two readers
with two opinions, an infinity a number no JSON writer can give back.
"""

from __future__ import annotations

import json
import re
from typing import Any

from apps.core.errors import BadRequest

MAX_DEPTH = 64
MAX_NODES = 100_000
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89abAB-Fc-f]")


class _Refused(ValueError):
    pass


def parse_json(body: bytes) -> Any:
    """
    Read a JSON document strictly: UTF-8, no repeated keys, no NUL, no lone surrogates, no
    NaN or infinities, at most 64 levels and 100,000 values.

    Raises BadRequest (`invalid_json`) saying what is wrong.
    """
    try:
        document = _DECODER.decode(body.decode("utf-8"))
        _check_size(document, body)
        if b"\\u0000" in body or _SURROGATE_ESCAPE.search(body):
            _check_text(document)
    except UnicodeDecodeError:
        raise _invalid("The body is not valid UTF-8.") from None
    except RecursionError:
        raise _invalid(f"The body is nested deeper than {MAX_DEPTH} levels.") from None
    except json.JSONDecodeError as problem:
        where = f"line {problem.lineno}, column {problem.colno}"
        raise _invalid(f"The body is not valid JSON: {problem.msg} ({where}).") from None
    except _Refused as problem:
        raise _invalid(str(problem)) from None
    except ValueError:  # a number of more digits than Python converts
        raise _invalid("The body holds a number with too many digits.") from None
    return document


def _invalid(message: str) -> BadRequest:
    return BadRequest(message, code="invalid_json")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _Refused(f"The key {key!r} stands twice in one object.")
            seen.add(key)
    return mapping


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise _Refused("The body holds a number too large for a JSON reader.")
    return number


def _no_constant(text: str) -> Any:
    raise _Refused(f"{text} is not JSON.")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique_keys, parse_float=_finite, parse_constant=_no_constant)


def _check_size(document: Any, body: bytes) -> None:
    """Bound depth and number of values. A body with few brackets and commas cannot break either bound."""
    opened = body.count(b"[") + body.count(b"{")
    if opened <= MAX_DEPTH and body.count(b",") < MAX_NODES:
        return
    nodes, level, depth = 0, [document], 0
    while level:
        depth += 1
        nodes += len(level)
        if nodes > MAX_NODES:
            raise _Refused(f"The body holds more than {MAX_NODES} values.")
        containers = [value for value in level if isinstance(value, (dict, list))]
        if containers and depth > MAX_DEPTH:
            raise _Refused(f"The body is nested deeper than {MAX_DEPTH} levels.")
        level = []
        for container in containers:
            level.extend(container.values() if isinstance(container, dict) else container)


def _check_text(document: Any) -> None:
    stack = [document]
    while stack:
        value = stack.pop()
        if isinstance(value, str):
            check_text(value)
        elif isinstance(value, dict):
            stack.extend(value)
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(value)


def check_text(text: str) -> None:
    """Raise ValueError if `text` holds what no column or encoder takes: NUL or a lone surrogate."""
    if "\x00" in text:
        raise _Refused("The body holds a NUL character.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise _Refused("The body holds a lone surrogate.") from None

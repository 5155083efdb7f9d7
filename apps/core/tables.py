"""
Tables as files: CSV and JSON, written so that reading gives back what was written.

What is read came from somebody's spreadsheet or editor: whatever is wrong with it is said in words, with
its row and column.
"""

from __future__ import annotations

import csv
import datetime
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from apps.core.errors import BadRequest
from apps.core.strict_json import parse_json

MAX_BYTES = 1024 * 1024
MAX_ROWS = 1000
_BOM = b"\xef\xbb\xbf"
# What spreadsheets take for the beginning of a formula. The apostrophe that keeps them from it is doubled itself.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_MARKED = ("'", *_FORMULA)
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_MAX_NUMBER = 10**18


class Kind(StrEnum):
    """What a column holds."""

    TEXT = "text"
    NUMBER = "a whole number"
    BOOLEAN = "true or false"
    LIST = "a list of texts"
    OBJECT = "an object"


class Column(NamedTuple):
    """A column of a file. `path` leads from a row to its value; by default that is its field of the same name."""

    name: str
    kind: Kind = Kind.TEXT
    path: str = ""

    def of(self, row: Any) -> Any:
        """Return what a row has there, as a file says it."""
        value = row
        for step in (self.path or self.name).split("."):
            if value is None:
                break
            value = value.get(step) if isinstance(value, dict) else getattr(value, step)
        return self.plain(value)

    def plain(self, value: Any) -> Any:
        """Return a value as files say it: an empty text is the same as none."""
        if self.kind is Kind.TEXT:
            return "" if value is None else as_json(value)
        return {} if value is None and self.kind is Kind.OBJECT else value


class Row(NamedTuple):
    """A row of a file, numbered as whoever looks at the file would: a header counts."""

    number: int
    cells: dict[str, Any]
    problems: list[str]


def as_json(value: Any) -> Any:
    """Return a value that JSON has."""
    if isinstance(value, datetime.datetime | datetime.date):
        return value.isoformat()
    return value if value is None or isinstance(value, bool | int | float | list | dict) else str(value)


def as_cell(value: Any) -> Any:
    """Return a value as a cell of a CSV file: one that no spreadsheet runs as a formula."""
    value = as_json(value)
    if isinstance(value, bool | list | dict):
        return json.dumps(value, ensure_ascii=False)
    return harmless(value)


def harmless(value: Any) -> Any:
    """Return a text that is no formula. `unmarked` takes away what this adds, and nothing else."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_MARKED) else value


def unmarked(text: str) -> str:
    """Return the text that `harmless` made this of. An apostrophe that marks nothing is a text's own."""
    return text[1:] if text.startswith("'") and text[1:].startswith(_MARKED) else text


def write_table(names: Sequence[str], rows: Iterable[Sequence[Any]], *, kind: str) -> str:
    """Return a file's text, `csv` or `json`."""
    if kind == "json":
        objects = [dict(zip(names, map(as_json, row), strict=True)) for row in rows]
        return json.dumps(objects, ensure_ascii=False, indent=1)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(names)
    writer.writerows(map(as_cell, row) for row in rows)
    return text.getvalue()


def read_table(content: bytes, columns: Sequence[Column]) -> list[Row]:
    """
    Return the rows of a CSV file, or of a JSON file with a list of objects.

    A cell that is wrong is a problem of its row. Raises BadRequest for a file that is no table of these columns.
    """
    if len(content) > MAX_BYTES:
        raise BadRequest("The file is larger than 1 MB. Split it.")
    content = content.removeprefix(_BOM)
    known = {column.name: column for column in columns}
    is_json = content.lstrip()[:1] in (b"[", b"{")
    rows = list(_from_json(content, known) if is_json else _from_csv(content, known))
    if not rows:
        raise BadRequest("The file has no rows.")
    return rows


def _from_json(content: bytes, known: dict[str, Column]) -> Iterator[Row]:
    document = _json(content, "The file")
    if not isinstance(document, list):
        raise BadRequest("The file is not a list of objects.")
    _check_length(len(document))
    for number, found in enumerate(document, 1):
        if not isinstance(found, dict):
            raise BadRequest(f"Row {number} is not an object.")
        _check_names(list(found), known, f"Row {number}: unknown")
        yield _row(number, found, known, _checked)


def _from_csv(content: bytes, known: dict[str, Column]) -> Iterator[Row]:
    lines = _lines(content)
    header = next(lines, None)
    if header is None:
        raise BadRequest("The file has no rows.")
    names = header[1]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise BadRequest(f"The column '{shortened(twice)}' stands twice.")
    _check_names(names, known, "Unknown")
    for count, (number, cells) in enumerate(lines, 1):
        _check_length(count)
        if len(cells) != len(names):
            yield Row(number, {}, [f"It has {len(cells)} cells, the header has {len(names)}."])
        else:
            yield _row(number, dict(zip(names, map(unmarked, cells), strict=True)), known, _parsed)


def _lines(content: bytes) -> Iterator[tuple[int, list[str]]]:
    """Return what is in the file's lines that are not empty, each with its number as a spreadsheet would count it."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as problem:
        line = content[: problem.start].count(b"\n") + 1
        raise BadRequest(f"Line {line} is not UTF-8. Save the file as CSV in UTF-8.") from None
    number = 0
    try:
        for number, cells in enumerate(csv.reader(io.StringIO(text, newline=""), strict=True), 1):
            if any(cells):
                yield number, cells
    except csv.Error as problem:
        raise BadRequest(f"Row {number + 1} is not CSV: {problem}.") from None


def _check_length(count: int) -> None:
    if count > MAX_ROWS:
        raise BadRequest(f"The file has more than {MAX_ROWS} rows. Split it.")


def _check_names(names: list[str], known: dict[str, Column], unknown: str) -> None:
    for name in names:
        if name not in known:
            raise BadRequest(f"{unknown} column '{shortened(name)}'. There are {', '.join(known)}.")


def _row(number: int, found: dict[str, Any], known: dict[str, Column], read: Callable[[Any, Column], Any]) -> Row:
    row = Row(number, {}, [])
    for name, value in found.items():
        try:
            row.cells[name] = read(value, known[name])
        except BadRequest as problem:
            row.problems.append(f"{name}: {problem.message}")
    return row


def _parsed(text: str, column: Column) -> Any:
    """Return the value that a CSV cell stands for."""
    if "\x00" in text:
        raise BadRequest("It holds a NUL character.")
    if column.kind is Kind.TEXT:
        return text
    word = text.strip()
    if column.kind is Kind.NUMBER:
        if word and not _WHOLE.fullmatch(word):
            raise _wrong(column)
        return int(word) if word else None
    if column.kind is Kind.BOOLEAN:
        return _checked({"true": True, "false": False}.get(word.lower()), column)
    return _checked(_json(word.encode(), "It") if word else None, column)


def _checked(value: Any, column: Column) -> Any:
    """Return a JSON value, if the column may hold it."""
    if value is None and column.kind is not Kind.BOOLEAN:
        return column.plain(None)
    is_right = {
        Kind.TEXT: isinstance(value, str),
        Kind.NUMBER: isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _MAX_NUMBER,
        Kind.BOOLEAN: isinstance(value, bool),
        Kind.LIST: isinstance(value, list) and all(isinstance(each, str) for each in value),
        Kind.OBJECT: isinstance(value, dict),
    }[column.kind]
    if not is_right:
        raise _wrong(column)
    return value


def _wrong(column: Column) -> BadRequest:
    example = ' such as ["a", "b"]' if column.kind is Kind.LIST else ""
    return BadRequest(f"It must be {column.kind.value}{example}.")


def _json(content: bytes, what: str) -> Any:
    try:
        return parse_json(content)
    except BadRequest as problem:
        raise BadRequest(problem.message.replace("The body", what)) from None


def shortened(text: str, most: int = 60) -> str:
    """Return a text that fits on a page."""
    return text if len(text) <= most else f"{text[:most]}…"

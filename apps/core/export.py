"""What a list shows, as a file: CSV or JSON, with its filters and its search, and nothing it does not show."""

from __future__ import annotations

import csv
import datetime
import io
import json
from collections.abc import Iterator
from typing import Any

from django.contrib.admin.utils import label_for_field, lookup_field
from django.contrib.admin.views.main import ChangeList
from django.utils.html import strip_tags

# A page of a million rows would take minutes to make. Narrow the list down for more.
MOST_ROWS = 20_000
FORMATS = {"csv": "text/csv; charset=utf-8", "json": "application/json"}
# What spreadsheets take for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def exported(changes: ChangeList, kind: str) -> str:
    """Return the rows of a list as a file's text."""
    model_admin = changes.model_admin
    names: list[Any] = [name for name in changes.list_display if name != "action_checkbox"]
    labels = ["id", *(str(label_for_field(name, changes.model, model_admin)) for name in names)]
    rows = _rows(changes, names)
    if kind == "json":
        return json.dumps([dict(zip(labels, row, strict=True)) for row in rows], ensure_ascii=False, indent=1)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(labels)
    writer.writerows([harmless(value) for value in row] for row in rows)
    return text.getvalue()


def harmless(value: Any) -> Any:
    """Return a cell that no spreadsheet runs as a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _rows(changes: ChangeList, names: list[Any]) -> Iterator[list[Any]]:
    for row in changes.queryset[:MOST_ROWS].iterator(chunk_size=2000):
        cells = (lookup_field(name, row, changes.model_admin)[2] for name in names)
        yield [str(getattr(row, "public_id", row.pk)), *map(_plain, cells)]


def _plain(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if value is None or isinstance(value, bool | int | float):
        return value
    return strip_tags(str(value))

"""
A list as a file: CSV or JSON, with its filters and its search.

A list whose files can be imported says which columns they have. Any other has the list's own columns
and the rest of what a row's page shows, but nothing that a page would not show.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from django.contrib.admin.utils import flatten_fieldsets, lookup_field
from django.contrib.admin.views.main import ChangeList
from django.db.models import Field, ForeignKey
from django.http import HttpRequest
from django.utils.html import strip_tags

from apps.core.tables import as_json, write_table

if TYPE_CHECKING:
    from apps.core.admin import OperatorAdmin

# A page of a million rows would take minutes to make. Narrow the list down for more.
MOST_ROWS = 20_000
FORMATS = {"csv": "text/csv; charset=utf-8", "json": "application/json"}
# A user's page says how its password is stored. A file does not.
_SECRET = ("sealed_", "digest", "password", "secret", "session_key")


def exported(changes: ChangeList, request: HttpRequest, kind: str) -> str:
    """Return the rows of a list as a file's text."""
    rows, model_admin = changes.queryset[:MOST_ROWS], cast("OperatorAdmin", changes.model_admin)
    if columns := model_admin.get_columns(request):
        cells = ([column.of(row) for column in columns] for row in rows.iterator(chunk_size=2000))
        return write_table([column.name for column in columns], cells, kind=kind)
    listed = _Listed(changes, request)
    found = (listed.cells(row) for row in rows.iterator(chunk_size=2000))
    return write_table(listed.header, found, kind=kind)


class _Listed:
    """The columns of a list whose files are not read back."""

    def __init__(self, changes: ChangeList, request: HttpRequest) -> None:
        self._admin = changes.model_admin
        fields = {field.name: field for field in changes.opts.concrete_fields if not field.primary_key}
        shown: list[Any] = [name for name in changes.list_display if name != "action_checkbox"]
        page = flatten_fieldsets(self._admin.get_fieldsets(request, changes.queryset.first()))
        there = {str(name).removeprefix("shown_") for name in shown}
        rest = [name for name in page if name in fields and name not in there and _is_plain(fields[name])]
        self._sources = [(name, fields.get(name)) for name in [*shown, *rest] if name != "public_id"]

    @property
    def header(self) -> list[str]:
        names = ["id"]
        for name, field in self._sources:
            # Whom a row belongs to is there twice: by id, and as people call it.
            names += [name, f"{name}_name"] if isinstance(field, ForeignKey) else [name.removeprefix("shown_")]
        return names

    def cells(self, row: Any) -> list[Any]:
        return [str(getattr(row, "public_id", row.pk)), *self._values(row)]

    def _values(self, row: Any) -> Iterator[Any]:
        for name, field in self._sources:
            if isinstance(field, ForeignKey):
                other = getattr(row, name)
                yield None if other is None else str(getattr(other, "public_id", other.pk))
                yield None if other is None else str(other)
            elif field is not None:
                yield as_json(getattr(row, name))
            else:
                value = as_json(lookup_field(name, row, self._admin)[2])
                yield strip_tags(value) if isinstance(value, str) else value


def _is_plain(field: Field[Any, Any]) -> bool:
    return not field.is_relation and not any(word in field.name for word in _SECRET)

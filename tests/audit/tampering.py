"""As the owner of the tables may do, who can turn off what refuses changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from apps.audit.models import AuditEvent, AuditLink

TABLES = (AuditEvent._meta.db_table, AuditLink._meta.db_table)


@contextmanager
def without_triggers() -> Iterator[None]:
    """Let events and links be changed and removed."""
    _each("DISABLE")
    try:
        yield
    finally:
        _each("ENABLE")


def _each(word: str) -> None:
    with connection.cursor() as cursor:
        if connection.in_atomic_block:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # a table with checks to come cannot be altered
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} {word} TRIGGER USER")

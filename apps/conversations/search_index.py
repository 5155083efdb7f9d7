"""
What SQLite searches: an index of titles and one of items' texts, kept by triggers.

They are no migration's: one that rebuilds a table takes its triggers with it.
"""

from __future__ import annotations

from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

_SEARCHED = (("conversations_conversation", "title"), ("conversations_item", "text"))


def install_search(using: str = "default", **_: Any) -> None:
    """Make what is missing, on SQLite. Receives `post_migrate`."""
    connection = connections[using]
    if connection.vendor != "sqlite":
        return
    tables = set(connection.introspection.table_names())
    for table, column in _SEARCHED:
        if table in tables and not _has_triggers(connection, table):
            _install(connection, table, column)


def _has_triggers(connection: BaseDatabaseWrapper, table: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s AND name LIKE %s",
            [table, f"{table}_search_%"],
        )
        return bool(cursor.fetchone()[0] == 3)


def _install(connection: BaseDatabaseWrapper, table: str, column: str) -> None:
    index = f"{table}_search"
    put = f"INSERT INTO {index}(rowid, {column}) VALUES (new.id, new.{column});"  # noqa: S608  # names of ours
    take = f"INSERT INTO {index}({index}, rowid, {column}) VALUES ('delete', old.id, old.{column});"  # noqa: S608
    triggers = {"insert": ("INSERT", put), "delete": ("DELETE", take), "update": (f"UPDATE OF {column}", take + put)}
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE VIRTUAL TABLE IF NOT EXISTS {index} USING fts5({column}, content='{table}', content_rowid='id', "
            "tokenize='unicode61 remove_diacritics 0')"
        )
        for name, (event, action) in triggers.items():
            cursor.execute(f"DROP TRIGGER IF EXISTS {index}_{name}")
            cursor.execute(f"CREATE TRIGGER {index}_{name} AFTER {event} ON {table} BEGIN {action} END")
        cursor.execute(f"INSERT INTO {index}({index}) VALUES ('rebuild')")  # noqa: S608

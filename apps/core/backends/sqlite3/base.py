"""Django's SQLite, with what waits for the end of a transaction."""

from __future__ import annotations

from typing import Any

from django.db.backends.sqlite3 import base, operations

from apps.core.before_commit import BeforeCommitMixin


class DatabaseOperations(operations.DatabaseOperations):
    def sql_flush(self, style: Any, tables: Any, **options: Any) -> list[str]:
        """Empty tables without asking their triggers, as PostgreSQL does: here it takes a DELETE, which some refuse."""
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
            triggers = cursor.fetchall()
        dropped = [f"DROP TRIGGER {self.quote_name(name)}" for name, _ in triggers]
        return [*dropped, *super().sql_flush(style, tables, **options), *(sql for _, sql in triggers)]


class DatabaseWrapper(BeforeCommitMixin, base.DatabaseWrapper):
    ops_class = DatabaseOperations

"""Django's SQLite, with what waits for the end of a transaction."""

from __future__ import annotations

from django.db.backends.sqlite3 import base

from apps.core.before_commit import BeforeCommitMixin


class DatabaseWrapper(BeforeCommitMixin, base.DatabaseWrapper):
    pass

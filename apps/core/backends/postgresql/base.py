"""Django's PostgreSQL, with what waits for the end of a transaction."""

from __future__ import annotations

from django.db.backends.postgresql import base

from apps.core.before_commit import BeforeCommitMixin


class DatabaseWrapper(BeforeCommitMixin, base.DatabaseWrapper):
    pass

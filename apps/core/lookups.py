"""How Django's lookups are asked where PostgreSQL has something better."""

from __future__ import annotations

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Lookup
from django.db.models.lookups import StartsWith


class BeginsWith(StartsWith):
    """
    `startswith`, which PostgreSQL asks as `^@`.

    It trusts that operator to keep quiet about the rows it sees, which it does not say of LIKE. So the second
    wall's policies are not asked before it, and it finds its rows by an index.
    """

    def as_postgresql(self, compiler: Any, connection: BaseDatabaseWrapper, **_: Any) -> tuple[str, list[Any]]:
        column, params = self.process_lhs(compiler, connection)
        # Not a pattern's: nothing is escaped, and no `%` goes behind it.
        beginning, more = Lookup.process_rhs(self, compiler, connection)
        return f"{column} ^@ {beginning}", [*params, *more]

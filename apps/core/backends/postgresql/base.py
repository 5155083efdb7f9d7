"""Django's PostgreSQL, with the second wall and what waits for the end of a transaction."""

from __future__ import annotations

from typing import Any

from django.db.backends.postgresql import base

from apps.core.before_commit import BeforeCommitMixin
from apps.core.wall import WallMixin


class DatabaseWrapper(BeforeCommitMixin, WallMixin, base.DatabaseWrapper):
    def get_connection_params(self) -> dict[str, Any]:
        # A prepared plan would outlive what its session was told; see apps.core.policies.
        return {**super().get_connection_params(), "prepare_threshold": None}

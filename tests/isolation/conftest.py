from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction

from apps.core.policies import tenant_tables
from tests.isolation.matrix import Matrix
from tests.isolation.world import World


@pytest.fixture(scope="module")
def matrix(django_db_setup: None, django_db_blocker: Any) -> Iterator[Matrix]:
    """Two tenants behind both walls."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield Matrix(World())
        transaction.set_rollback(True)


@pytest.fixture(scope="module")
def matrix_without_wall(django_db_setup: None, django_db_blocker: Any) -> Iterator[Matrix]:
    """Two tenants with the querysets alone between them: what leaks here, the database would hide."""
    with django_db_blocker.unblock(), transaction.atomic():
        with connection.cursor() as cursor:
            for table in tenant_tables():
                cursor.execute(f"ALTER TABLE {table.name} NO FORCE ROW LEVEL SECURITY")
        yield Matrix(World())
        transaction.set_rollback(True)

"""The same under /v1/organization/{org_id}/, behind both walls, where the organization is of another tenant once too."""

from __future__ import annotations

import pytest

from tests.architecture.access_table import DJANGO, Entry
from tests.isolation.matrix import Matrix, cells_of, wrong_in

pytestmark = pytest.mark.django_db

ENTRIES = [entry for entry in DJANGO if entry.is_mirrored]


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_another_tenants_id_is_like_one_that_names_nothing(matrix: Matrix, entry: Entry):
    assert wrong_in(matrix, cells_of(entry, is_mirror=True)) == []

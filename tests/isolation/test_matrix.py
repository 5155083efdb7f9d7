"""
Every route x every principal x each id that it takes, of another tenant.

The answer is the one for an id that names nothing, nothing of the other tenant is in it, and
nothing of the other tenant changes. Between the tenants are the querysets alone: what would leak
here, the second wall would hide. `test_matrix_mirror` has the other half, with the wall.
"""

from __future__ import annotations

import pytest

from tests.architecture.access_table import DJANGO, Entry
from tests.isolation.matrix import Matrix, cells_of, wrong_in
from tests.isolation.world import PRINCIPALS

pytestmark = pytest.mark.django_db

ENTRIES = [entry for entry in DJANGO if cells_of(entry, is_mirror=False)]


def test_there_are_thousands_of_cells():
    cells = sum(len(cells_of(entry, is_mirror=False)) for entry in DJANGO)
    mirrored = sum(len(cells_of(entry, is_mirror=True)) for entry in DJANGO if entry.is_mirrored)
    print(f"{cells} cells, and {mirrored} under the organization's id")  # noqa: T201
    assert len(PRINCIPALS) >= 14
    assert cells >= 3_000
    assert mirrored >= 1_500


def test_everybody_named_is_there(matrix_without_wall: Matrix):
    assert list(matrix_without_wall.world.principals) == list(PRINCIPALS)


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_another_tenants_id_is_like_one_that_names_nothing(matrix_without_wall: Matrix, entry: Entry):
    assert wrong_in(matrix_without_wall, cells_of(entry, is_mirror=False)) == []

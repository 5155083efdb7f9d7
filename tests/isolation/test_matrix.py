"""
Every route x every principal x each id that it takes, of another tenant.

The answer is the one for an id that names nothing, nothing of the other tenant is in it, and
nothing of the other tenant changes.
"""

from __future__ import annotations

import pytest

from tests.architecture.access_table import DJANGO, Entry
from tests.isolation.matrix import Cell, Matrix, slots_of
from tests.isolation.world import PRINCIPALS

pytestmark = pytest.mark.django_db

CELLS = [
    Cell(entry, principal, slot, False)
    for entry in DJANGO
    for slot in slots_of(entry, is_mirror=False)
    for principal in PRINCIPALS
]
ENTRIES = [entry for entry in DJANGO if slots_of(entry, is_mirror=False)]


def test_there_are_thousands_of_cells():
    print(f"{len(CELLS)} cells")  # noqa: T201
    assert len(PRINCIPALS) >= 14
    assert len(CELLS) >= 3_000


def test_everybody_named_is_there(matrix_without_wall: Matrix):
    assert list(matrix_without_wall.world.principals) == list(PRINCIPALS)


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_another_tenants_id_is_like_one_that_names_nothing(matrix_without_wall: Matrix, entry: Entry):
    assert wrong_in(matrix_without_wall, [cell for cell in CELLS if cell.entry is entry]) == []


def wrong_in(matrix: Matrix, cells: list[Cell]) -> list[str]:
    found = []
    for cell in cells:
        theirs, nobodys = matrix.world.b_id(cell.slot.kind), matrix.world.random_id(cell.slot.kind)
        first = matrix.ask(cell.entry, cell.principal, slot=cell.slot, value=theirs, is_mirror=cell.is_mirror)
        second = matrix.ask(cell.entry, cell.principal, slot=cell.slot, value=nobodys, is_mirror=cell.is_mirror)
        where = f"{cell.principal}, {cell.slot.place} {cell.slot.name}: "
        if first.answer != second.answer:
            found.append(f"{where}{first.answer} is not {second.answer}")
        if leaked := matrix.leaks(first, theirs):
            found.append(f"{where}shows {leaked}")
        if changed := {name for name in first.differs if name.startswith("!") or first.status >= 400}:
            found.append(f"{where}{first.status} changes {changed}")
        if first.has_sent and first.status >= 400:
            found.append(f"{where}{first.status} and something was sent")
    return found

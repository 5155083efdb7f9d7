"""
Every page of both admin sites and of the accounts x everybody who may come x another tenant's ids.

The pages are read from the URL conf. An answer is the one for an id that names nothing, nothing of the
other tenant is in it, and nothing of the other tenant changes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from django.db import transaction

from apps.projects.models import Project
from tests.isolation.addresses import ACCOUNTS, OPERATORS, OWNERS, PUBLIC_PAGES, Page, Way, pages_of, ways_to_name
from tests.isolation.visitors import VISITORS, Seen, Visitors

pytestmark = pytest.mark.django_db

PAGES = [page for site in (OPERATORS, OWNERS, ACCOUNTS) for page in pages_of(site) if page.name not in PUBLIC_PAGES]
STAFF = ("staff", "staff who may view projects")
# Who gets further than to the sign-in page, or to being refused there.
INSIDE = {
    OPERATORS: (*STAFF, "operator"),
    OWNERS: ("owner", "former owner of the other"),
    ACCOUNTS: VISITORS,
}
# Who names another tenant's rows in what is searched and posted too: to the others, the address decides.
ASKING = {OPERATORS: STAFF, OWNERS: ("owner",), ACCOUNTS: VISITORS}
REFUSALS = (302, 403, 404, 405)


class Cell(NamedTuple):
    page: Page
    visitor: str
    way: Way

    def __str__(self) -> str:
        return f"{self.visitor}: {self.way.method} {self.way.path} {self.way.fields}"

    @property
    def is_admitted(self) -> bool:
        """Say whether the visitor is an operator who may see the row."""
        if self.page.site != OPERATORS:
            return False
        if self.visitor == "operator":
            return self.way.method == "GET"
        pages = ("", "autocomplete", "change", "changelist", "export", "history", "search")
        viewed = self.page.model or self.way.model or Project
        return self.visitor == STAFF[1] and viewed is Project and self.page.part in pages

    @property
    def is_told_from_nothing(self) -> bool:
        """
        Say whether the answer has to be that for an id of nothing. Operators without a right may get any refusal,
        and what lists and empty forms show is looked at for what leaks.
        """
        is_read = self.way.method == "GET" and bool(self.way.fields)
        return self.way.model is not None and self.page.site != OPERATORS and not is_read


def cells_of(page: Page) -> list[Cell]:
    found = []
    for way in ways_to_name(page):
        is_in_address = (way.method == "GET" and not way.fields) or way.fields == page.posted
        found += [Cell(page, visitor, way) for visitor in (VISITORS if is_in_address else ASKING[page.site])]
    # What operators post, they may.
    return [cell for cell in found if (cell.visitor, page.site, cell.way.method) != ("operator", OPERATORS, "POST")]


@pytest.fixture(scope="module")
def visitors(django_db_setup: None, django_db_blocker: Any) -> Iterator[Visitors]:
    logging.disable(logging.ERROR)  # thousands of refusals, some with a traceback
    with django_db_blocker.unblock(), transaction.atomic():
        yield Visitors()
        transaction.set_rollback(True)
    logging.disable(logging.NOTSET)


def wrong_with(visitors: Visitors, cell: Cell) -> list[str]:
    seen = visitors.ask(cell.visitor, cell.way, visitors.theirs(cell.way.model))
    problems = []
    if seen.status >= 500:
        problems.append(f"answers {seen.status}")
    if changed := {name for name in seen.changed if name.startswith("!") or seen.status in (403, 404)}:
        problems.append(f"changes {changed}")
    if cell.is_admitted:
        return problems
    if leaked := visitors.leaks(seen):
        problems.append(f"shows {leaked}")
    if _has_to_refuse(cell) and (seen.status not in REFUSALS or seen.has_sent):
        problems.append(f"answers {seen.status}")
    if cell.is_told_from_nothing and not _leads_to_sign_in(seen):
        nothing = visitors.ask(cell.visitor, cell.way, visitors.nobodys(cell.way.model))
        if (seen.status, seen.leads_to, seen.text) != (nothing.status, nothing.leads_to, nothing.text):
            problems.append(f"is not what nothing answers: {_difference(seen, nothing)}")
    return problems


def _has_to_refuse(cell: Cell) -> bool:
    if cell.visitor not in INSIDE[cell.page.site]:
        return cell.page.name != "choose"
    return cell.page.site != ACCOUNTS and cell.page.names_a_row and not cell.is_admitted


def _leads_to_sign_in(seen: Seen) -> bool:
    return seen.status == 302 and "/login/?next=" in seen.leads_to


def _difference(one: Seen, other: Seen) -> str:
    at = next((at for at, (a, b) in enumerate(zip(one.text, other.text, strict=False)) if a != b), 0)
    texts = [seen.text[max(0, at - 60) : at + 60] for seen in (one, other)]
    return f"{one.status} {one.leads_to} {texts[0]!r}, {other.status} {other.leads_to} {texts[1]!r}"


def test_there_are_thousands_of_cells():
    cells = {site: sum(len(cells_of(page)) for page in PAGES if page.site == site) for site in INSIDE}
    print(f"{sum(cells.values())} cells: {cells} on {len(PAGES)} pages")  # noqa: T201
    assert cells[OPERATORS] >= 4_000
    assert cells[OWNERS] >= 2_000
    assert cells[ACCOUNTS] >= 400


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_another_tenants_id_is_like_one_that_names_nothing(visitors: Visitors, page: Page):
    assert [f"{cell} {problem}" for cell in cells_of(page) for problem in wrong_with(visitors, cell)] == []

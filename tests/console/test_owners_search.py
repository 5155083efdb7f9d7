"""Searches of the owners' lists: behind the second wall they find their rows by an index too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from apps.accounts.models import User
from apps.console.tenant.lists import LISTS, site
from apps.core.wall import narrowed
from apps.organizations.models import Group, Organization

postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no second wall")


def searches() -> Iterator[tuple[Any, str]]:
    """Every kind of term that every list takes."""
    for model in LISTS:
        list_admin: Any = site.get_model_admin(model)
        for mark in list_admin.search_by:
            yield model, {"": "abc", "@": "a@example.com"}.get(mark, f"{mark}abc")


@pytest.fixture
def organization(db: None) -> Organization:
    user = User.objects.create_user("owner@example.com", "correct-horse-9")
    return Organization.objects.get(memberships__user=user)


@postgresql
@pytest.mark.parametrize(("model", "term"), list(searches()), ids=lambda each: getattr(each, "__name__", str(each)))
def test_nothing_is_asked_with_like(organization: Organization, model: Any, term: str):
    """PostgreSQL asks its policies before LIKE, of every row of the tenant."""
    list_admin: Any = site.get_model_admin(model)
    with narrowed(organization.pk, organization.public_id):
        plan = model._default_manager.filter(list_admin.wanted_by(term)).order_by().explain()
    assert term in plan
    assert "~~" not in plan  # how plans write LIKE


@postgresql
def test_the_beginning_of_a_name_is_asked_of_an_index_behind_the_wall(organization: Organization):
    Group.objects.bulk_create(Group(organization=organization, name=f"group {number}") for number in range(3000))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE organizations_group")
    with narrowed(organization.pk, organization.public_id):
        plan = Group.objects.filter(name__startswith="group 77").order_by().explain()
    assert "Index Cond" in plan
    assert "~>=~ 'group 77'" in plan


@pytest.mark.parametrize(
    ("term", "found"),
    [("100%", ["100% Ä"]), ("100_", ["100_"]), ("1", ["100% Ä", "100_"]), ("\\", ["\\x"]), ("100% ä", []), ("'", [])],
)
def test_what_begins_so_is_found_as_it_is_written(organization: Organization, term: str, found: list[str]):
    for name in ("100% Ä", "100_", "\\x"):
        Group.objects.create(organization=organization, name=name)
    assert sorted(Group.objects.filter(name__startswith=term).values_list("name", flat=True)) == found

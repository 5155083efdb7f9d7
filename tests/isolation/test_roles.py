"""
Every route x every principal, with A's own ids.

Who has not the scope where the table says it is asked is refused and changes nothing; who has it is
not refused. What B has is in no answer, neither its rows nor in totals.
"""

from __future__ import annotations

import pytest

from apps.organizations.roles import Scope
from tests.architecture.access_table import DJANGO, Entry, Place
from tests.isolation.matrix import Matrix
from tests.isolation.world import PRINCIPALS, Principal

pytestmark = pytest.mark.django_db

CELLS = [(entry, name) for entry in DJANGO for name in PRINCIPALS]
# Routes for people, which no key can use, and what else a scope is not enough for.
FOR_PEOPLE = {
    ("POST", "/v1/organization"), ("POST", "/v1/organization/leave"), ("POST", "/v1/organization/transfer"),
    ("POST", "/v1/organization/invites/{invite_id}/accept"), ("POST", "/v1/organization/invites/{invite_id}/decline"),
    ("GET", "/metrics"), ("POST", "/v1/auth/upgrade"),
    *((method, "/v1/users/me/settings") for method in ("GET", "POST", "PATCH")),
    *((method, "/v1/users/me/export") for method in ("GET", "POST")),
    ("GET", "/v1/users/me/export/{export_id}/download"), ("DELETE", "/v1/users/me"),
}  # fmt: skip


def may(principal: Principal, entry: Entry) -> bool:
    """What the tables of roles say."""
    if entry.place is Place.PUBLIC:
        return True
    if not principal.is_admitted or principal.is_stranger or principal.secret is None:
        return False
    held: dict[Place, frozenset[Scope]] = {
        Place.ORGANIZATION: principal.at_organization,
        Place.PROJECT: principal.in_work,
        Place.OWN_PROJECT: principal.in_own,
    }
    return entry.place is Place.ANY or entry.scope in held[entry.place]


def test_every_principal_is_tried_on_every_route():
    print(f"{len(CELLS)} cells")  # noqa: T201
    assert len(CELLS) > 1_500


@pytest.mark.parametrize("entry", [entry for entry in DJANGO if entry.place is not Place.PUBLIC], ids=str)
def test_the_owner_is_answered(matrix: Matrix, entry: Entry):
    answer = matrix.ask(entry, "owner")
    assert answer.status == entry.answers, answer.text


@pytest.mark.parametrize("entry", DJANGO, ids=str)
def test_a_scope_opens_its_routes_and_no_others(matrix: Matrix, entry: Entry):
    wrong = []
    for name in PRINCIPALS:
        answer = matrix.ask(entry, name)
        is_refused, principal = answer.status in (401, 403, 404), matrix.world.principals[name]
        if may(principal, entry):
            if (
                answer.status in (401, 403)
                and entry.place is not Place.PUBLIC
                and (entry.method, entry.path) not in FOR_PEOPLE
                and "not_your_key" not in answer.text  # rotation is for a key's holder too
            ):
                wrong.append(f"{name} is refused: {answer.status} {answer.text[:200]}")
        elif not principal.is_stranger and entry.place is not Place.ANY and not is_refused:
            wrong.append(f"{name} is answered {answer.status}")
        if is_refused and (answer.differs or answer.has_sent):
            wrong.append(f"{name} is refused ({answer.status}) and changes {answer.differs}")
        if leaked := matrix.leaks(answer, ""):
            wrong.append(f"{name} is shown {leaked}")
    assert wrong == []

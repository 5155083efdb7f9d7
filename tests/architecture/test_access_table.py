"""The access table and the routes are the same list, and it says of scopes and roles what the code does."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest

from apps.chat import routing as chat
from apps.chat.forks import FORK_PATHS
from apps.conversations import routing as conversations
from apps.edge.app import INFERENCE
from apps.organizations.permissions import ANY_CREDENTIAL
from apps.organizations.roles import PROJECT_ROLE_SCOPES, ROLE_SCOPES, ProjectRole, Role, Scope
from apps.organizations.scoping import OrganizationView
from apps.projects.scoping import ProjectView
from tests.architecture import access_table
from tests.architecture.access_table import DJANGO, OF_ORGANIZATIONS, TABLE, Entry, Id, Place
from tests.architecture.test_guards import api_views
from tests.isolation.tenants import MAKERS

METHODS = ("get", "post", "put", "patch", "delete")
# The same routes under other names (contract, section 1); `test_guards` sees that they are there.
OTHER_PREFIXES = ("/api/v1/", "/llm/", "/api/llm/", "/auth/")
WEAKEST_FIRST = {
    Place.ORGANIZATION: [(role.value, ROLE_SCOPES[role]) for role in reversed(Role)],
    Place.PROJECT: [
        *((role.value, PROJECT_ROLE_SCOPES[role]) for role in reversed(ProjectRole)),
        ("admin of the organization", ROLE_SCOPES[Role.ADMIN]),
        ("owner of the organization", ROLE_SCOPES[Role.OWNER]),
    ],
}
# Views that say themselves where they ask.
ASK_ELSEWHERE = {("GET", "/v1/organization/projects"): Place.OWN_PROJECT}
WEAKEST_FIRST[Place.OWN_PROJECT] = WEAKEST_FIRST[Place.PROJECT]


def plain(path: str) -> str:
    """A path of the URL conf as the table writes it."""
    return "/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", path)


def routes() -> dict[tuple[str, str], Any]:
    """Every canonical route and method of the API, with its view; the mirrors apart."""
    return {
        (method.upper(), plain(path)): view
        for path, view in api_views().items()
        for method in METHODS
        if hasattr(view, method) and not plain(path).startswith(OTHER_PREFIXES)
    }


def outside_django() -> set[tuple[str, str]]:
    patterns = [*chat.websocket_urlpatterns, *conversations.websocket_urlpatterns]
    sockets = {("WEBSOCKET", plain(str(pattern.pattern))) for pattern in patterns}
    return {("POST", path) for path in (*INFERENCE, *FORK_PATHS)} | sockets


def declared(view: Any, method: str) -> Any:
    scope = getattr(view, "required_scope", None)
    return scope.get(method) if isinstance(scope, dict) else scope


def place_of(view: Any, method: str) -> Place:
    scope = declared(view, method)
    if scope is None:
        return Place.PUBLIC
    if scope == ANY_CREDENTIAL:
        return Place.ANY
    if issubclass(view, ProjectView):
        return Place.PROJECT
    return Place.ORGANIZATION if issubclass(view, OrganizationView) else Place.OWN_PROJECT


def test_every_route_and_method_has_one_entry():
    expected = set(routes()) | outside_django()
    mirrors = {(entry.method, entry.mirror) for entry in TABLE if entry.is_mirrored}
    listed = Counter((entry.method, entry.path) for entry in TABLE)
    assert expected - set(listed) - mirrors == set(), "routes that the table does not know"
    assert set(listed) - expected == set(), "entries without a route"
    assert [name for name, count in listed.items() if count > 1] == []
    assert len(listed) > 50


def test_what_an_organization_has_is_under_its_id_too():
    mirrors = {(entry.method, entry.mirror) for entry in TABLE if entry.is_mirrored}
    assert mirrors <= set(routes())


@pytest.mark.parametrize("entry", DJANGO, ids=str)
def test_scope_and_place_are_what_the_view_asks(entry: Entry):
    view = routes()[entry.method, entry.path]
    scope = declared(view, entry.method)
    assert entry.place is ASK_ELSEWHERE.get((entry.method, entry.path), place_of(view, entry.method))
    assert entry.scope == (scope if isinstance(scope, Scope) else None)
    if entry.is_mirrored:
        assert routes()[entry.method, entry.mirror] is view


@pytest.mark.parametrize("entry", [entry for entry in TABLE if entry.scope is not None], ids=str)
def test_the_role_is_the_least_that_holds_the_scope(entry: Entry):
    least = next(role for role, scopes in WEAKEST_FIRST[entry.place] if entry.scope in scopes)
    assert entry.role == least


def kinds_in(value: Any) -> set[str]:
    if isinstance(value, Id):
        return {value.kind}
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return set().union(*map(kinds_in, inside))


@pytest.mark.parametrize("entry", TABLE, ids=str)
def test_ids_are_those_of_the_path_and_of_kinds_that_exist(entry: Entry):
    assert set(entry.ids) == set(re.findall(r"{(\w+)}", entry.path))
    kinds = {*entry.ids.values(), *entry.query.values(), *kinds_in(entry.body)}
    assert kinds <= {*MAKERS, "organization", "audit_event"}


def test_the_table_is_made_of_its_parts():
    sums = (TABLE, DJANGO, OF_ORGANIZATIONS)
    parts = [value for value in vars(access_table).values() if isinstance(value, list) and value not in sums]
    assert sorted(map(str, TABLE)) == sorted(str(entry) for part in parts for entry in part if isinstance(entry, Entry))

"""The cells of the matrix: a request, who makes it, and which of its ids is another tenant's."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.apps import apps
from django.core import mail
from django.core.cache import cache
from django.core.handlers.base import BaseHandler
from django.db import connection, models, transaction
from django.test import RequestFactory

from apps.api_keys.authentication import SCOPE_PRINCIPAL, Credentials, credentials_of, resolve
from apps.core.errors import AppError
from apps.core.policies import tenant_tables
from apps.organizations.models import Organization
from tests.architecture.access_table import Entry, Id, Place
from tests.isolation.tenants import CANARY, Tenant
from tests.isolation.world import PRINCIPALS, Principal, World

# Every credentialed route takes these.
HEADERS = {"OpenAI-Organization": "organization", "OpenAI-Project": "project"}
_factory = RequestFactory()
_READS = ("SELECT", "SAVEPOINT", "RELEASE SAVEPOINT", "ROLLBACK TO SAVEPOINT", "SET CONSTRAINTS")
_REQUEST_ID = re.compile(r'"request_id":\s*(?:null|"[^"]*")')


class Slot(NamedTuple):
    """Where in a request an id stands: `place` is path, query, body or header."""

    place: str
    name: str
    kind: str


class Cell(NamedTuple):
    entry: Entry
    principal: str
    slot: Slot
    is_mirror: bool


class Answer(NamedTuple):
    """What a client sees of an answer, but for the id of the request and the echo of the id that was asked for."""

    status: int
    body: str
    headers: tuple[str, ...]


@dataclass
class Outcome:
    """An answer as it came, and what the request did."""

    status: int
    text: str
    headers: str
    answer: Answer
    has_written: bool
    has_sent: bool
    differs: set[str]


def slots_of(entry: Entry, *, is_mirror: bool) -> list[Slot]:
    """
    The ids of a request, each of which is somebody else's once.

    Under an organization's id it is that id: all others are read by the same views. The headers, which
    are read before any view, stand for themselves where nothing else does.
    """
    if is_mirror:
        return [Slot("path", "org_id", "organization")]
    found = [Slot("path", name, kind) for name, kind in entry.ids.items()]
    found += [Slot("query", name, kind) for name, kind in entry.query.items()]
    found += [Slot("body", name, kind) for name, kind in _ids_in(entry.body)]
    if entry.place is not Place.PUBLIC and not entry.ids:
        found += [Slot("header", name, kind) for name, kind in HEADERS.items()]
    return found


def cells_of(entry: Entry, *, is_mirror: bool) -> list[Cell]:
    """Everybody, with each id of the request."""
    slots = slots_of(entry, is_mirror=is_mirror)
    return [Cell(entry, principal, slot, is_mirror) for slot in slots for principal in PRINCIPALS]


def _ids_in(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Id):
        yield path, value.kind
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in pairs:
        yield from _ids_in(inner, f"{path}.{name}" if path else str(name))


class Matrix:
    """A world, and what asks in it, through all of Django, and takes everything back."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._handler = BaseHandler()
        self._handler.load_middleware()
        self._found: dict[Credentials, Any] = {}
        self._foreign = world.b.ids()
        self._tables = Tables(world.b)
        self._before = self._tables.read()

    def ask(
        self, entry: Entry, principal: str, *, slot: Slot | None = None, value: str = "", is_mirror: bool = False
    ) -> Outcome:
        """Make a request of the table, with `value` in one place and A's own ids in all others, and roll it back."""
        path, body, headers = self._request(entry, self.world.principals[principal], slot, value, is_mirror)
        cache.clear()  # tries are counted there
        mail.outbox.clear()
        with rolled_back(), watched() as statements:
            waiting = len(connection.run_on_commit)
            request = _factory.generic(entry.method, path, body, content_type="application/json", headers=headers)
            request._dont_enforce_csrf_checks = True  # type: ignore[attr-defined]
            if entry.place is not Place.PUBLIC and (slot is None or slot.place != "header"):
                self._authenticate(request)
            response = self._handler.get_response(request)
            has_sent = len(connection.run_on_commit) > waiting or bool(mail.outbox)
            differs = self._tables.compare(self._before) if statements else set()
        text = response.content.decode()
        sent = json.dumps(value, ensure_ascii=False)[1:-1]
        shown = _REQUEST_ID.sub("", text.replace(sent, "<id>") if value else text)
        answer = Answer(response.status_code, shown, tuple(sorted(response.headers)))
        return Outcome(response.status_code, text, str(response.headers), answer, bool(statements), has_sent, differs)

    def _authenticate(self, request: Any) -> None:
        """Leave the caller where the edge would, which asks once and remembers. What proves nothing is asked again."""
        sent = credentials_of({header.lower(): value for header, value in request.headers.items()})
        if sent not in self._found:
            try:
                self._found[sent] = resolve(sent)
            except AppError as error:
                self._found[sent] = error
        if not isinstance(self._found[sent], AppError):
            request.scope = {SCOPE_PRINCIPAL: self._found[sent]}

    def leaks(self, outcome: Outcome, sent: str) -> set[str]:
        """What of B's is in an answer although the caller did not send it."""
        seen = f"{outcome.text}\n{outcome.headers}".replace(sent, "") if sent else f"{outcome.text}\n{outcome.headers}"
        found = {name for name in self._foreign if name in seen}
        return found | ({CANARY} if CANARY in seen else set())

    def _request(
        self, entry: Entry, principal: Principal, slot: Slot | None, value: str, is_mirror: bool
    ) -> tuple[str, str, dict[str, str]]:
        def fill(place: str) -> Callable[[str, str], str]:
            return lambda name, kind: value if slot == (place, name, kind) else self.world.a_id(kind)

        kinds = {**entry.ids, **({"org_id": "organization"} if is_mirror else {})}
        path = (entry.mirror if is_mirror else entry.path).format_map(
            {name: fill("path")(name, kind) for name, kind in kinds.items()}
        )
        query = [entry.fixed] if entry.fixed else []
        if slot is not None and slot.place == "query":
            query.append(f"{slot.name}={value}")
        body = "" if entry.body is None else json.dumps(_filled(entry.body, fill("body")))
        headers = {} if principal.secret is None else {"Authorization": f"Bearer {principal.secret}"}
        if principal.names_organization and "{org_id}" not in (entry.mirror if is_mirror else entry.path):
            headers["OpenAI-Organization"] = self.world.a_id("organization")
        if slot is not None and slot.place == "header":
            headers[slot.name] = value
        return f"{path}?{'&'.join(query)}" if query else path, body, headers


def _filled(value: Any, fill: Callable[[str, str], str], path: str = "") -> Any:
    if isinstance(value, Id):
        return fill(path, value.kind)
    if isinstance(value, dict):
        return {name: _filled(inner, fill, f"{path}.{name}" if path else name) for name, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, fill, f"{path}.{at}" if path else str(at)) for at, inner in enumerate(value)]
    return value


def wrong_in(matrix: Matrix, cells: list[Cell]) -> list[str]:
    """Say of each cell whose answer tells another tenant's id from one that names nothing, or that did something."""
    found = []
    for cell in cells:
        theirs, nobodys = matrix.world.b_id(cell.slot.kind), matrix.world.random_id(cell.slot.kind)
        first, second = (
            matrix.ask(cell.entry, cell.principal, slot=cell.slot, value=value, is_mirror=cell.is_mirror)
            for value in (theirs, nobodys)
        )
        problems = []
        if first.answer != second.answer:
            problems.append(f"{first.answer} is not {second.answer}")
        if leaked := matrix.leaks(first, theirs):
            problems.append(f"shows {leaked}")
        if changed := {name for name in first.differs if name.startswith("!") or first.status >= 400}:
            problems.append(f"{first.status} changes {changed}")
        if first.has_sent and first.status >= 400:
            problems.append(f"{first.status} and something was sent")
        found += [f"{cell.principal}, {cell.slot.place} {cell.slot.name}: {problem}" for problem in problems]
    return found


@contextmanager
def rolled_back() -> Iterator[None]:
    """Inside a savepoint, so whatever is written is gone afterwards."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@contextmanager
def watched() -> Iterator[list[str]]:
    """Collect the statements that are no plain reads."""
    writes: list[str] = []

    def watch(execute: Any, sql: str, *args: Any) -> Any:
        if not sql.lstrip("( ").startswith(_READS):
            writes.append(sql)
        return execute(sql, *args)

    with connection.execute_wrapper(watch):
        yield writes


class Tables:
    """A hash of every table, of B's rows and of all others apart."""

    def __init__(self, b: Tenant) -> None:
        self._sql = " UNION ALL ".join(
            f"SELECT '{model._meta.label}', {_is_of(model, b)}, count(*), "
            f"md5(string_agg(md5(t::text), '' ORDER BY md5(t::text))) FROM {model._meta.db_table} t GROUP BY 2"
            for model in apps.get_models(include_auto_created=True)
            if model._meta.managed and not model._meta.proxy
        )

    def read(self) -> set[tuple[str, bool, int, str]]:
        with connection.cursor() as cursor:
            cursor.execute(self._sql)
            return set(cursor.fetchall())

    def compare(self, before: set[tuple[str, bool, int, str]]) -> set[str]:
        """Name the tables that are not as they were; B's with an exclamation mark."""
        return {f"{'!' if is_b else ''}{label}" for label, is_b, *_ in self.read() ^ before}


def _is_of(model: type[models.Model], b: Tenant) -> str:
    """SQL that says whether a row is B's: by its organization, by its user, or as what belongs to a row of B's."""
    organization = b.organization
    owner = next((table for table in tenant_tables() if table.model is model), None)
    if model is Organization:
        return f"id = {organization.pk}"
    if owner is not None:
        named = f"'{organization.public_id}'" if owner.is_public_id else str(organization.pk)
        return f"coalesce({owner.column} = {named}, false)"
    people = ", ".join(f"'{user.pk}'" for user in b.people.values())
    names = {field.name: field for field in model._meta.concrete_fields}
    if model._meta.label == "accounts.User":
        return f"id IN ({people})"
    if "user" in names:
        return f"coalesce({names['user'].column} IN ({people}), false)"
    if "model" in names and model._meta.label == "catalog.Route":
        return f"model_id = {b.row('model').pk}"
    return "false"

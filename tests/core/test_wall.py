"""The second wall, on PostgreSQL and a role that owns the tables and is no superuser."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.apps import apps
from django.db import DatabaseError, connection, connections, transaction
from django.http import HttpRequest, HttpResponse
from django.test.utils import CaptureQueriesContext

from apps.audit.chain import verify
from apps.audit.models import AuditEvent
from apps.audit.services import SYSTEM, Action, record
from apps.core.backends.postgresql.base import DatabaseWrapper
from apps.core.db import in_db_thread
from apps.core.http.wall import WallMiddleware
from apps.core.policies import check_role, install_policies, tenant_tables
from apps.core.wall import narrow, narrowed, widened
from apps.organizations.models import Organization

from .world import World

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no row-level security"),
]

TABLES = tenant_tables()
# Tables that point at a tenant's and are not behind the wall themselves, and why that is no leak.
WITHOUT_ORGANIZATION = {
    "Route": "is read together with its model and its provider, which are",
    "SignInAttempt": "is somebody's who is not signed in yet; found by a secret",
}
EACH_TABLE = pytest.mark.parametrize("table", TABLES, ids=lambda table: table.model.__name__)


@pytest.fixture
def ours(db: None) -> World:
    return World.of("Ours")


@pytest.fixture
def theirs(ours: World) -> World:
    return World.of("Theirs")


@contextmanager
def inside(world: World) -> Iterator[None]:
    with narrowed(world.organization.pk, world.organization.public_id):
        yield


def refused() -> Any:
    return pytest.raises(DatabaseError, match="row-level security")


def seen() -> list[str]:
    return sorted(Organization.objects.values_list("name", flat=True))


def test_the_guard_finds_every_tenant_table():
    names = {table.model.__name__ for table in TABLES}
    assert names >= {"Organization", "Project", "ApiKey", "Membership", "UsageRecord", "Provider", "AuditEvent"}


def test_a_row_that_is_somebodys_says_whose():
    tenants = {table.model for table in TABLES}
    silent = {
        model.__name__
        for model in apps.get_models(include_auto_created=True)
        for field in model._meta.concrete_fields
        if model not in tenants and field.remote_field and field.remote_field.model in tenants
    }
    assert silent == set(WITHOUT_ORGANIZATION)


@EACH_TABLE
def test_an_organization_sees_its_own_rows_and_the_platforms(ours: World, theirs: World, table: Any):
    rows = table.model._base_manager
    mine = {ours.row(table.model).pk}
    with inside(ours):
        assert set(rows.values_list("pk", flat=True)) == mine
    assert set(rows.values_list("pk", flat=True)) == {*mine, theirs.row(table.model).pk}


@EACH_TABLE
def test_an_organization_adds_changes_and_removes_no_row_of_another(ours: World, theirs: World, table: Any):
    rows = table.model._base_manager
    row, draft = theirs.row(table.model), theirs.draft(table.model)
    before = list(rows.order_by("pk").values())
    with inside(ours):
        with refused(), transaction.atomic():
            rows.bulk_create([draft])
        assert rows.filter(pk=row.pk).update(**{table.model._meta.pk.attname: row.pk}) == 0
        assert rows.filter(pk=row.pk)._raw_delete("default") == 0
    assert list(rows.order_by("pk").values()) == before


@pytest.mark.parametrize(
    "table", [table for table in TABLES if table.is_nullable], ids=lambda table: table.model.__name__
)
def test_the_platforms_rows_are_read_by_all_and_written_by_none(ours: World, theirs: World, table: Any):
    rows, row = table.model._base_manager, theirs.another(table.model)
    rows.filter(pk=row.pk).update(organization=None)
    draft = ours.draft(table.model)
    draft.organization = None
    with inside(ours):
        assert rows.filter(pk=row.pk).count() == 1
        assert rows.filter(pk=row.pk).update(organization=ours.organization) == 0
        assert rows.filter(pk=row.pk)._raw_delete("default") == 0
        with refused(), transaction.atomic():
            rows.bulk_create([draft])
    assert rows.filter(pk=row.pk, organization=None).count() == 1


def test_no_row_is_handed_to_another_organization(ours: World, theirs: World):
    project = apps.get_model("projects", "Project")
    mine = ours.row(project)
    with inside(ours), refused(), transaction.atomic():
        project.objects.filter(pk=mine.pk).update(organization=theirs.organization)
    assert project.objects.get(pk=mine.pk).organization == ours.organization


def test_a_session_that_was_told_nothing_sees_nothing(ours: World):
    with connection.cursor() as cursor:
        for setting in ("", "junk"):
            # What the wall told comes before this statement, so this is what the next one runs under.
            cursor.execute("SELECT set_config('jan.organization', %s, false)", [setting])
            if setting:
                with pytest.raises(DatabaseError, match="invalid input syntax"), transaction.atomic():
                    cursor.execute("SELECT count(*) FROM organizations_organization")
            else:
                cursor.execute("SELECT count(*) FROM organizations_organization")
                assert cursor.fetchone() == (0,)


def test_sight_is_put_back_by_every_end_of_a_block(ours: World, theirs: World):
    both = ["Ours", "Theirs"]
    with inside(ours):
        with inside(theirs):
            assert seen() == ["Theirs"]
            with widened("a test"):
                assert seen() == both
        assert seen() == ["Ours"]
    with pytest.raises(ZeroDivisionError), inside(ours):
        1 / 0  # noqa: B018
    assert seen() == both


def test_a_rollback_does_not_bring_back_what_the_session_was_told_before(ours: World, theirs: World):
    assert seen() == ["Ours", "Theirs"]
    with inside(ours):
        with transaction.atomic():
            assert seen() == ["Ours"]  # told inside what is rolled back
            transaction.set_rollback(True)
        assert seen() == ["Ours"]
        with transaction.atomic():
            with inside(theirs):
                assert seen() == ["Theirs"]
            transaction.set_rollback(True)
        assert seen() == ["Ours"]


def test_leaving_a_narrow_block_by_a_database_error_leaves_a_usable_transaction(ours: World):
    with transaction.atomic():
        with pytest.raises(DatabaseError, match="no_such_table"), transaction.atomic(), inside(ours):
            connection.cursor().execute("SELECT 1 FROM no_such_table")
        assert seen() == ["Ours"]


def test_a_query_more_is_made_only_when_sight_changes(ours: World):
    told: list[str] = []
    real = connection._tell
    connection._tell = lambda sight: (told.append(sight.public_id), real(sight))[1]
    try:
        with inside(ours), CaptureQueriesContext(connection) as queries:
            for _ in range(3):
                seen()
    finally:
        del connection._tell
    assert (told, len(queries)) == ([ours.organization.public_id], 3)


def test_events_of_elsewhere_are_recorded_and_not_seen():
    with narrowed(1, "org_ours"):
        for organization in ("org_ours", "org_theirs", ""):
            record(Action.USER_ADDED, actor=SYSTEM, organization=organization)
        connection.run_before_commit()
        assert [event.organization for event in AuditEvent.objects.all()] == ["org_ours"]
    assert (AuditEvent.objects.exclude(link=None).count(), verify()) == (3, [])


def test_what_a_request_narrowed_ends_with_it(ours: World, theirs: World):
    inside_view: list[list[str]] = []

    def view(request: HttpRequest) -> HttpResponse:
        narrow(ours.organization.pk, ours.organization.public_id)
        inside_view.append(seen())
        return HttpResponse()

    WallMiddleware(view)(HttpRequest())
    assert (inside_view, seen()) == ([["Ours"]], ["Ours", "Theirs"])


@pytest.mark.django_db(transaction=True)
async def test_sight_follows_the_request_into_threads_and_no_further():
    await sync_to_async(lambda: [World.of("Ours"), World.of("Theirs")])()
    ours = await Organization.objects.aget(name="Ours")

    async def request() -> tuple[list[str], list[str]]:
        await sync_to_async(narrow)(ours.pk, ours.public_id)
        return await sync_to_async(seen)(), await in_db_thread(seen)

    assert await asyncio.create_task(request()) == (["Ours"], ["Ours", "Theirs"])
    assert await sync_to_async(seen)() == ["Ours", "Theirs"]
    await sync_to_async(connections.close_all)()


@pytest.mark.django_db(transaction=True)
def test_a_pooled_connection_forgets_what_the_request_before_saw():
    ours = World.of("Ours")
    settings = {**connection.settings_dict, "OPTIONS": {"pool": {"min_size": 1, "max_size": 1}}}

    def request(is_narrowed: bool, in_transaction: bool = False) -> tuple[int, int]:
        """Return the session's process and how many organizations it sees."""
        wrapper = DatabaseWrapper(settings, "pooled")
        if is_narrowed:
            narrow(ours.organization.pk, ours.organization.public_id)
        try:
            wrapper.set_autocommit(not in_transaction)
            with wrapper.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid(), count(*) FROM organizations_organization")
                return tuple(cursor.fetchone())
        finally:
            wrapper.close()

    World.of("Theirs")
    try:
        runs = [
            copy_context().run(request, *how) for how in ((False,), (True,), (False,), (True, True), (False,), (True,))
        ]
    finally:
        DatabaseWrapper(settings, "pooled").close_pool()
    session = runs[0][0]
    assert runs == [(session, 2), (session, 1)] * 3


def test_policies_are_what_the_models_say_and_come_back(ours: World, theirs: World):
    with CaptureQueriesContext(connection) as queries:
        install_policies()
    assert not [query["sql"] for query in queries if "POLICY" in query["sql"]]
    with connection.cursor() as cursor:
        cursor.execute("DROP POLICY jan_wall ON projects_project")
        cursor.execute("CREATE POLICY jan_wall ON projects_project USING (true)")
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE api_keys_apikey NO FORCE ROW LEVEL SECURITY")
    install_policies()
    for name in ("projects.Project", "api_keys.ApiKey"):
        with inside(ours):
            assert apps.get_model(name)._base_manager.count() == 1


def test_the_role_that_runs_the_suite_is_bound():
    assert check_role(databases=["default"]) == []


def test_a_role_that_bypasses_the_wall_is_told():
    superuser = DatabaseWrapper({**connection.settings_dict, "USER": "postgres"}, "superuser")
    before = connections["default"]
    connections["default"] = superuser
    try:
        [warning] = check_role(databases=["default"])
    finally:
        connections["default"] = before
        superuser.close()
    assert (warning.id, warning.msg) == (
        "jan.W001",
        "The database role postgres bypasses row-level security, so the second wall is not there.",
    )


def test_a_scoped_query_and_a_prefix_search_use_their_indexes(ours: World):
    project = apps.get_model("projects", "Project")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    with inside(ours):
        plan = project.objects.in_organization(ours.organization.pk).order_by("-created_at").explain()
        assert ("Index Cond" in plan, "Seq Scan" in plan, "jan_" in plan) == (True, False, False)
        assert "organization_id = " in project.objects.all().order_by().explain()
    plan = project.objects.filter(name__startswith="abc").order_by().explain()
    assert ("Index Cond" in plan, "jan_" in plan) == (True, False)

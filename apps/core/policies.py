"""
The row-level security of every table with a tenant, made from the models after each migration.

A row is seen and written by its organization and by code that sees everything. Rows of the platform
(no organization) are seen by all. A session that was told nothing sees nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from django.apps import apps
from django.core import checks
from django.db import connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

# IMMUTABLE is said so that the planner puts in the answer, and policies cost an index lookup or nothing at
# all: behind a condition that is not known yet, PostgreSQL uses no index for LIKE. It is true as long as no
# plan outlives the setting, so connections never prepare statements.
_FUNCTIONS = {
    "jan_sees_everything": ("boolean", "coalesce(pg_catalog.current_setting('jan.organization', true), '') = '*'"),
    "jan_organization": (
        "bigint",
        "nullif(nullif(pg_catalog.current_setting('jan.organization', true), '*'), '')::bigint",
    ),
    "jan_organization_public_id": (
        "text",
        "nullif(pg_catalog.current_setting('jan.organization_public_id', true), '')",
    ),
}
_BYPASSING_ROLE = "SELECT rolname FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolbypassrls)"
_POLICY, _PLATFORM_POLICY = "jan_wall", "jan_wall_platform"


class TenantTable(NamedTuple):
    """A table, the column that says whose a row is, and how: by the organization's key or by its public id."""

    model: type[models.Model]
    column: str
    is_public_id: bool = False
    is_nullable: bool = False

    @property
    def name(self) -> str:
        return self.model._meta.db_table

    @property
    def policies(self) -> dict[str, str]:
        """What follows CREATE POLICY name ON table."""
        column = connections["default"].ops.quote_name(self.column)
        mine = f"{column} = {'jan_organization_public_id' if self.is_public_id else 'jan_organization'}()"
        wall = f"USING (jan_sees_everything() OR {mine}) WITH CHECK (jan_sees_everything() OR {mine})"
        platform = {_PLATFORM_POLICY: f"FOR SELECT USING ({column} IS NULL)"} if self.is_nullable else {}
        return {_POLICY: wall, **platform}


def tenant_tables() -> list[TenantTable]:
    """Return the table of each model with an `organization`, and the organizations' own."""
    tables = {}
    for model in apps.get_models(include_auto_created=True):
        field = next((field for field in model._meta.local_concrete_fields if field.name == "organization"), None)
        if isinstance(field, models.ForeignKey):
            owner = field.remote_field.model
            tables[model] = TenantTable(model, _column(field), is_nullable=field.null)
            tables[owner] = TenantTable(owner, _column(owner._meta.pk))
        elif field is not None:
            tables[model] = TenantTable(model, _column(field), is_public_id=True)
    return sorted(tables.values(), key=lambda table: table.name)


def _column(field: Any) -> str:
    return str(field.column)


def install_policies(using: str = "default", **_: Any) -> None:
    """Make the policies what the models say. Does nothing when they are, in two queries. Receives `post_migrate`."""
    connection = connections[using]
    if connection.vendor != "postgresql":
        return
    with transaction.atomic(using=using):
        _install_functions(connection)
        present = _present(connection)
        for table in tenant_tables():
            if table.name in present and present[table.name] != (True, table.policies):
                _install(connection, table, list(present[table.name][1]))


def _install_functions(connection: BaseDatabaseWrapper) -> None:
    bodies = {name: f"BEGIN RETURN {answer}; END" for name, (_, answer) in _FUNCTIONS.items()}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = current_schema()::regnamespace"
            " AND proname = ANY(%s)",
            [list(bodies)],
        )
        if dict(cursor.fetchall()) == bodies:
            return
        for name, body in bodies.items():
            cursor.execute(
                f"CREATE OR REPLACE FUNCTION {name}() RETURNS {_FUNCTIONS[name][0]}"
                f" LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $${body}$$"
            )


def _present(connection: BaseDatabaseWrapper) -> dict[str, tuple[bool, dict[str, str | None]]]:
    """Return whether security is on and our policies, as we wrote them, of each tenant table with its column."""
    wanted = [(table.name, table.column) for table in tenant_tables()]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity, p.polname, obj_description(p.oid)"
            " FROM unnest(%s::text[], %s::text[]) AS wanted (tab, col)"
            " JOIN pg_class c ON c.relname = wanted.tab AND c.relnamespace = current_schema()::regnamespace"
            " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = wanted.col AND NOT a.attisdropped"
            " LEFT JOIN pg_policy p ON p.polrelid = c.oid AND p.polname = ANY(%s)",
            [*(list(names) for names in zip(*wanted, strict=True)), [_POLICY, _PLATFORM_POLICY]],
        )
        found: dict[str, tuple[bool, dict[str, str | None]]] = {}
        for table, is_on, policy, text in cursor.fetchall():
            policies = found.setdefault(table, (is_on, {}))[1]
            if policy is not None:
                policies[policy] = text
    return found


def _install(connection: BaseDatabaseWrapper, table: TenantTable, stale: list[str]) -> None:
    name = connection.ops.quote_name(table.name)
    with connection.cursor() as cursor:
        for policy in stale:
            cursor.execute(f"DROP POLICY {policy} ON {name}")
        for policy, text in table.policies.items():
            cursor.execute(f"CREATE POLICY {policy} ON {name} {text}")
            cursor.execute(f"COMMENT ON POLICY {policy} ON {name} IS %s", [text])
        cursor.execute(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")


def check_role(databases: Any = None, **_: Any) -> list[checks.CheckMessage]:
    """Say so when the database's role is one that row-level security does not bind."""
    found: list[checks.CheckMessage] = []
    for using in databases or ():
        if connections[using].vendor == "postgresql":
            with connections[using].cursor() as cursor:
                cursor.execute(
                    "SELECT rolname FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolbypassrls)"
                )
                found += [
                    checks.Warning(
                        f"The database role {role} bypasses row-level security, so the second wall is not there.",
                        hint="Use a role without SUPERUSER and BYPASSRLS; it may own the database.",
                        id="jan.W001",
                    )
                    for (role,) in cursor.fetchall()
                ]
    return found

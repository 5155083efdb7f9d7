"""
Fill a PostgreSQL database with a million rows of everything that grows, and measure every list of the admin.

    DATABASE_URL=postgres://... python deploy/fill.py fill [--rows 1000000]
    DATABASE_URL=postgres://... python deploy/fill.py measure

The database should be empty: `fill` runs the migrations itself. One tenant in a hundred thousand is
a big one: it has a tenth of all rows. What is measured is a page as Django makes it: its queries, and its time,
which is the processor's in Django and the clock's in the database; the best of three, without the network.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "janserver.settings.embedded")

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.contrib import admin  # noqa: E402
from django.contrib.admin import SimpleListFilter  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext, override_settings  # noqa: E402
from django.urls import reverse  # noqa: E402

from apps.accounts.models import User  # noqa: E402
from apps.console.tenant.lists import site as owners_site  # noqa: E402
from apps.core.admin import MomentRangeFilter  # noqa: E402
from apps.organizations.models import Membership, Organization  # noqa: E402

LIMIT_MS = 300
MOST_CHOICES = 8
OPERATOR = "fill-operator@example.com"
BACKEND = "apps.accounts.backends.ProvenAddressBackend"

# In the order of their references. {n} rows; row g belongs to tenant `tenant(g)`: every tenth to the first one.
_TENANT = "CASE WHEN g %% 10 = 0 THEN 1 ELSE g END"
_TEXT_ID = "'{kind}_' || lpad(g::text, 24, '0')"
_AGO = "now() - (({n} - g) * interval '20 seconds')"

TABLES: dict[str, tuple[str, dict[str, str]]] = {
    "users": (
        "accounts_user",
        {
            "id": _TEXT_ID.format(kind="user"),
            "email": "CASE WHEN g %% 20 = 0 THEN NULL ELSE 'user' || g || '@example.com' END",
            "username": "'user-' || g",
            "name": "'Person ' || g",
            "picture": "''",
            "password": "'!'",
            "is_guest": "g %% 20 = 0",
            "is_active": "g %% 1000 <> 1",
            "is_staff": "g %% 100000 = 1",
            "is_superuser": "false",
            "must_change_password": "g %% 50000 = 1",
            "session_version": "0",
            "last_seen_at": "CASE WHEN g %% 3 = 0 THEN NULL ELSE {ago} END",
            "created_at": "{ago}",
            "updated_at": "{ago}",
        },
    ),
    "e-mail addresses": (
        "account_emailaddress",
        {
            "user_id": _TEXT_ID.format(kind="user"),
            "email": "'user' || g || '@example.com'",
            "verified": "g %% 7 <> 0",
            '"primary"': "true",
        },
    ),
    "organizations": (
        "organizations_organization",
        {
            "id": "g",
            "public_id": _TEXT_ID.format(kind="org"),
            "name": "'Tenant ' || g",
            "description": "''",
            "domain": "''",
            "settings": "'{{}}'",
            "is_personal": "g %% 50 <> 1",
            "created_at": "{ago}",
            "updated_at": "{ago}",
            "deleted_at": "CASE WHEN g %% 10000 = 2 THEN now() END",
        },
    ),
    "memberships": (
        "organizations_membership",
        {
            "id": "g",
            "organization_id": "{tenant}",
            "user_id": _TEXT_ID.format(kind="user"),
            "role": "CASE WHEN g %% 10 <> 0 THEN 'owner' WHEN g %% 5000 = 0 THEN 'viewer' ELSE 'member' END",
            "created_at": "{ago}",
        },
    ),
    "projects": (
        "projects_project",
        {
            "id": "g",
            "public_id": _TEXT_ID.format(kind="proj"),
            "organization_id": "{tenant}",
            "name": "CASE WHEN g %% 10 = 0 THEN 'Project ' || g ELSE 'Default project' END",
            "description": "''",
            "settings": "'{{}}'",
            "is_default": "g = 1 OR g %% 10 <> 0",
            "created_at": "{ago}",
            "updated_at": "{ago}",
            "archived_at": "CASE WHEN g %% 5000 = 0 THEN now() END",
            "deleted_at": "CASE WHEN g %% 70000 = 0 THEN now() END",
        },
    ),
    "project members": (
        "projects_projectmembership",
        {
            "organization_id": "{tenant}",
            "project_id": "g",
            "membership_id": "g",
            "role": "CASE WHEN g %% 9000 = 0 THEN 'viewer' ELSE 'member' END",
            "created_at": "{ago}",
        },
    ),
    "service accounts": (
        "projects_serviceaccount",
        {
            "id": "g",
            "public_id": _TEXT_ID.format(kind="sa"),
            "organization_id": "{tenant}",
            "project_id": "g",
            "name": "'robot ' || g",
            "role": "CASE WHEN g %% 9000 = 0 THEN 'viewer' ELSE 'member' END",
            "is_active": "g %% 8000 <> 0",
            "created_at": "{ago}",
        },
    ),
    "keys": (
        "api_keys_apikey",
        {
            "id": "g",
            "public_id": _TEXT_ID.format(kind="key"),
            "kind": "CASE WHEN g %% 4000 = 0 THEN 'admin' WHEN g %% 3 = 0 THEN 'user' ELSE 'project' END",
            "name": "'key ' || g",
            "description": "''",
            "organization_id": "{tenant}",
            "project_id": "CASE WHEN g %% 4000 <> 0 THEN g END",
            "user_id": _TEXT_ID.format(kind="user"),
            "digest": "'digest-' || g",
            "pepper_id": "'p'",
            "last_four": "'abcd'",
            "previous_pepper_id": "''",
            "scopes": """CASE WHEN g %% 2 = 0 THEN '["inference"]' ELSE '["models.read"]' END::jsonb""",
            "allowed_addresses": "'[]'",
            "created_at": "{ago}",
            "expires_at": "CASE WHEN g %% 6000 = 0 THEN now() - interval '1 day' END",
            "revoked_at": "CASE WHEN g %% 5000 = 0 THEN now() END",
            "last_used_at": "CASE WHEN g %% 2 = 0 THEN {ago} END",
        },
    ),
    "invites": (
        "organizations_invite",
        {
            "id": "g",
            "public_id": _TEXT_ID.format(kind="inv"),
            "organization_id": "{tenant}",
            "email": "'invited' || g || '@example.com'",
            "role": "CASE WHEN g %% 5000 = 0 THEN 'viewer' ELSE 'member' END",
            "message": "''",
            "token_digest": "'digest-' || g",
            "state": "CASE WHEN g %% 3000 = 0 THEN 'declined' WHEN g %% 3 = 0 THEN 'pending' ELSE 'accepted' END",
            "inviter": "''",
            "expires_at": "now() + interval '1 day'",
            "created_at": "{ago}",
        },
    ),
    "groups": (
        "organizations_group",
        {
            "id": "g",
            "public_id": _TEXT_ID.format(kind="group"),
            "organization_id": "{tenant}",
            "name": "'group ' || g",
            "created_at": "{ago}",
            "updated_at": "{ago}",
        },
    ),
    "group members": (
        "organizations_groupmembership",
        {"organization_id": "{tenant}", "group_id": "g", "membership_id": "g", "created_at": "{ago}"},
    ),
    "requests": (
        "usage_usagerecord",
        {
            "public_id": _TEXT_ID.format(kind="usage"),
            "request_id": "'req_' || g",
            "organization_id": "{tenant}",
            "project_id": "g",
            "user_id": _TEXT_ID.format(kind="user"),
            "api_key_id": "g",
            "endpoint": "CASE WHEN g %% 5 = 0 THEN 'embeddings' ELSE 'chat/completions' END",
            "model": "'model-' || (g %% 7)",
            "is_stream": "g %% 2 = 0",
            "state": "CASE WHEN g %% 4000 = 0 THEN 'upstream_error' WHEN g %% 50 = 0 THEN 'client_gone' "
            "ELSE 'completed' END",
            "status": "200",
            "error_code": "''",
            "prompt_tokens": "g %% 900",
            "completion_tokens": "g %% 700",
            "cached_tokens": "0",
            "reasoning_tokens": "0",
            "is_estimated": "false",
            "accepted_at": "{ago}",
            "ended_at": "{ago}",
        },
    ),
    "audit": (
        "audit_auditevent",
        {
            "public_id": _TEXT_ID.format(kind="audit"),
            "action": "CASE WHEN g %% 5000 = 0 THEN 'project.deleted' WHEN g %% 2 = 0 THEN 'login.succeeded' "
            "ELSE 'api_key.created' END",
            "organization": "'org_' || lpad(({tenant})::text, 24, '0')",
            "project": "''",
            "actor_kind": "'user'",
            "actor_id": _TEXT_ID.format(kind="user"),
            "actor_label": "'user' || g || '@example.com'",
            "impersonator_id": "''",
            "target_kind": "'user'",
            "target_id": _TEXT_ID.format(kind="user"),
            "details": "'{{}}'",
            "address": "'192.0.2.1'",
            "request_id": "'req_' || g",
            "created_at": "{ago}",
        },
    ),
}


def fill(rows: int) -> None:
    """Make the rows, each table with one statement."""
    call_command("migrate", verbosity=0)
    parts = {"n": str(rows), "ago": _AGO.format(n=rows), "tenant": _TENANT}
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
        cursor.execute("SET session_replication_role = replica")  # no triggers: the references are right by themselves
        for name, (table, columns) in TABLES.items():
            began = time.monotonic()
            values = ", ".join(value.format(**parts) for value in columns.values()).replace("%%", "%")
            columns_named = ", ".join(columns)
            cursor.execute(
                f"INSERT INTO {table} ({columns_named}) SELECT {values} FROM generate_series(1, {rows}) AS g "
                "ON CONFLICT DO NOTHING"
            )
            print(f"{name:20} {rows:>10,} rows  {time.monotonic() - began:6.1f} s", flush=True)
        _move_sequences(cursor)
        cursor.execute("SET session_replication_role = origin")
        cursor.execute("VACUUM ANALYZE")


def _move_sequences(cursor: Any) -> None:
    for table, columns in TABLES.values():
        if columns.get("id") == "g":
            cursor.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))")


class Page(NamedTuple):
    name: str
    status: int
    queries: int
    ms: float
    database_ms: float

    @property
    def is_good(self) -> bool:
        return self.status == 200 and self.ms <= LIMIT_MS


def measure() -> bool:
    """Print a row for each list: its first page and its worst. Says whether all were quick enough."""
    operator = User.objects.get_queryset().filter(email=OPERATOR).first()
    if operator is None:
        operator = User.objects.create_superuser(OPERATOR, "not-used-anywhere-1")
    client = _client(operator)
    print("| list | pages | queries | first page, ms | slowest page | ms | of it database |")
    print("|---|--:|--:|--:|---|--:|--:|")
    good = [_measure(client, admin.site, "", model, admin_class) for model, admin_class in admin.site._registry.items()]
    good.append(_told("the big tenant's tabs", _tabs(client)))
    owner = _client(_owner_of_the_big_one())
    good += [
        _measure(owner, owners_site, "big tenant: ", model, admin_class)
        for model, admin_class in owners_site._registry.items()
        if model is not Organization
    ]
    return all(good)


def _told(what: str, pages: list[Page]) -> bool:
    first, worst = pages[0], max(pages, key=lambda page: (page.status != 200, page.ms))
    queries = sorted({page.queries for page in pages})
    shown = str(queries[0]) if len(queries) == 1 else f"{queries[0]} to {queries[-1]}"
    name = worst.name if worst.status == 200 else f"{worst.name}: {worst.status}"
    print(
        f"| {what} | {len(pages)} | {shown} | {first.ms:.0f} | {name} | {worst.ms:.0f} | {worst.database_ms:.0f} |",
        flush=True,
    )
    for page in pages:
        if not page.is_good:
            print(f"{what}: {page}", file=sys.stderr, flush=True)
    return all(page.is_good for page in pages)


def _owner_of_the_big_one() -> User:
    user, _ = User.objects.get_queryset().get_or_create(email="fill-owner@example.com")
    Membership.objects.get_or_create(organization_id=1, user=user, defaults={"role": "owner"})
    Membership.objects.filter(user=user).exclude(organization_id=1).delete()
    return user


def _client(user: User) -> Client:
    client = Client(raise_request_exception=False, HTTP_HOST="localhost")
    client.force_login(user, backend=BACKEND)
    return client


def _measure(client: Client, site: Any, prefix: str, model: Any, list_admin: Any) -> bool:
    url = reverse(f"{site.name}:{model._meta.app_label}_{model._meta.model_name}_changelist")
    pages: dict[str, dict[str, str]] = {"first": {}, "page 50": {"p": "50"}}
    for term in _terms(list_admin):
        pages[f"search {term}"] = {"q": term}
    request = client.get(url).wsgi_request
    for each in list_admin.get_list_filter(request):
        pages |= _choices(each, request, model, list_admin)
    what = f"{prefix}{model._meta.verbose_name_plural}"
    return _told(what, [_page(client, url, name, query) for name, query in pages.items()])


def _terms(list_admin: Any) -> list[str]:
    typed = {"@": "user777777@example.com", "": "user777777"}
    number = "777777".rjust(24, "0")
    return [typed.get(mark, f"{mark}{number}") for mark in getattr(list_admin, "search_by", {})]


def _choices(each: Any, request: Any, model: Any, list_admin: Any) -> dict[str, dict[str, str]]:
    """Return a page for each choice of a filter; for a few of very many."""
    if isinstance(each, type) and issubclass(each, SimpleListFilter):
        name = each.parameter_name or ""
        choices = each(request, {}, model, list_admin).lookup_choices
        return {f"{name}={value}": {name: str(value)} for value, _ in choices[:: max(1, len(choices) // MOST_CHOICES)]}
    if isinstance(each, str):
        if "__" in each:
            return {}
        values = [value for value, _ in model._meta.get_field(each).choices or ()] or ["1", "0"]
        return {f"{each}={value}": {f"{each}__exact": str(value)} for value in values}
    name, kind = each
    part = "_0" if issubclass(kind, MomentRangeFilter) else ""
    today = time.strftime("%Y-%m-%d")
    ends = {"before 2020": {"to": "2020-01-01"}, "today": {"from": today}, "one day": {"from": today, "to": today}}
    return {
        f"{name} {words}": {f"{name}_{end}{part}": day for end, day in days.items()} for words, days in ends.items()
    }


def _tabs(client: Client) -> list[Page]:
    pages = []
    for name in ("people", "projects", "keys", "invites", "groups", "roles", "audit"):
        url = reverse("admin:organizations_organization_panel", args=[1, name])
        pages += [_page(client, url, name, {}), _page(client, url, f"{name}, page 50", {"p": "50"})]
    return [*pages, _page(client, reverse("admin:organizations_organization_usage", args=[1]), "usage", {})]


def _page(client: Client, url: str, name: str, query: dict[str, str]) -> Page:
    """Ask for a page until it was quick, three times at most."""
    tries = []
    for _ in range(3):
        began = time.process_time()
        with CaptureQueriesContext(connection) as captured:
            status = client.get(url, query).status_code
        database = sum(float(each["time"]) for each in captured.captured_queries) * 1000
        # Not the clock's: what else this machine does at the moment says nothing of the list.
        took = (time.process_time() - began) * 1000 + database
        tries.append(Page(name, status, len(captured), took, database))
        if took < LIMIT_MS / 3 or took > 10 * LIMIT_MS:
            break
    return min(tries, key=lambda page: page.ms)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["fill", "measure"])
    parser.add_argument("--rows", type=int, default=1_000_000)
    arguments = parser.parse_args()
    if arguments.what == "fill":
        fill(arguments.rows)
    else:
        plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}  # nothing was collected
        with override_settings(STORAGES={**settings.STORAGES, "staticfiles": plain}):
            sys.exit(0 if measure() else 1)

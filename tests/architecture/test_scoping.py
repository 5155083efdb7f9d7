"""Who reads a tenant's rows says whose: what must be there to say it, and that whoever serves requests does."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.db import models

from apps.organizations.models import Organization
from apps.projects.models import Project
from tests.architecture.test_guards import ROOT, sources

# Models with an organization whose querysets ask otherwise, and why.
OTHERWISE = {
    "catalog.Provider": "`visible_in`: the platform's rows are everybody's",
    "catalog.Model": "`visible_in`: the platform's rows are everybody's",
    "catalog.ModelAlias": "`visible_in`: the platform's rows are everybody's",
    "sso.IdentityProvider": "operators set it up; people sign in with it before they are anywhere",
    "sso.SSODomain": "operators set it up; it is asked by address, before anybody is anywhere",
}
SCOPED = {"in_organization", "in_project", "of_organization", "visible_to", "visible_in", "active_in", "of"}
SERVING = ("views.py", "_views.py", "consumers.py", "pages.py", "_pages.py")
# Reads of a tenant's rows without a word of whose, and why.
UNSCOPED = {
    "apps/projects/organization_views.py _seen_by: Membership": "of the user: all organizations somebody belongs to",
    "apps/projects/organization_views.py _seen_by: Organization": "those of the memberships, or the key's own",
    "apps/sso/pages.py _provider: IdentityProvider": "whoever signs in is nowhere yet",
}


def of_tenants() -> list[type[models.Model]]:
    return [
        model
        for model in apps.get_models()
        if model.__module__.startswith("apps.")
        and any(
            isinstance(field, models.ForeignKey)
            and field.name in ("organization", "project")
            and field.remote_field.model in (Organization, Project)
            for field in model._meta.concrete_fields
        )
    ]


@pytest.mark.parametrize("model", of_tenants(), ids=lambda model: model._meta.label)
def test_rows_of_a_tenant_are_asked_for_by_organization(model: type[models.Model]):
    rows = model._default_manager.get_queryset()
    assert hasattr(rows, "in_organization") is (model._meta.label not in OTHERWISE)
    if hasattr(rows, "in_organization"):
        assert f'{model._meta.db_table}"."organization_id" = 7' in str(rows.in_organization(7).query)


def test_the_exceptions_exist():
    assert set(OTHERWISE) <= {model._meta.label for model in of_tenants()}


def reads(source: str, names: set[str]) -> Iterator[tuple[str, set[str]]]:
    """Each `Model.objects…` of a module: the function and the model, and the names in the chain of calls on it."""
    tree = ast.parse(source)
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        is_read = isinstance(node, ast.Attribute) and node.attr in ("objects", "_base_manager", "_default_manager")
        if is_read and isinstance(node.value, ast.Name) and node.value.id in names:
            chain: set[str] = set()
            above: ast.AST = node
            while isinstance(parents[above], ast.Attribute) or (
                isinstance(parents[above], ast.Call) and parents[above].func is above  # type: ignore[attr-defined]
            ):
                above = parents[above]
                if isinstance(above, ast.Attribute):
                    chain.add(above.attr)
            yield f"{_function_of(above, parents)}: {node.value.id}", chain


def _function_of(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> str:
    while node in parents and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        node = parents[node]
    return getattr(node, "name", "module")


def serving() -> list[Path]:
    return [file for file in sources() if file.name.endswith(SERVING)]


def test_who_serves_requests_says_whose_rows_it_reads():
    names = {model.__name__ for model in of_tenants()} | {"Organization"}
    unscoped = {
        f"{file.relative_to(ROOT)} {where}"
        for file in serving()
        for where, chain in reads(file.read_text(), names)
        if not chain & SCOPED
    }
    assert len(serving()) > 20
    assert unscoped == set(UNSCOPED)


def test_the_guard_finds_a_read_that_does_not_say_whose():
    planted = (
        "def bad():\n    return Project.objects.filter(name='x').first()\n"
        "def fine():\n    return [row.pk for row in Project.objects.in_organization(1).all()]\n"
    )
    found = {where: bool(chain & SCOPED) for where, chain in reads(planted, {"Project"})}
    assert found == {"bad: Project": False, "fine: Project": True}

"""fsck finds every row that points at another organization's, by whatever column."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.apps import apps
from django.db import models

from apps.catalog.models import ModelAlias
from apps.core.wall import widened
from apps.usage.crossings import ELSEWHERE, Link, is_tenants, links
from apps.usage.integrity import TENANT_CHECKS, inspect, rows_across_tenants
from tests.isolation.matrix import Matrix, rolled_back

pytestmark = pytest.mark.django_db
LINKS = list(links())


def test_every_column_between_tenants_is_looked_at():
    assert rows_across_tenants in TENANT_CHECKS
    assert {str(link) for link in LINKS} >= {
        "ApiKey.project", "ApiKey.service_account", "ApiKey.parent", "ModelAlias.model", "SSODomain.provider",
        "ProjectMembership.membership", "ProjectMembership.project", "InvitedProject.invite", "ServiceAccount.project",
        "GroupMembership.group", "OrganizationRoleAssignment.role", "ProjectRoleAssignment.group",
    }  # fmt: skip
    without = {
        model._meta.label
        for model in apps.get_models()
        if model not in ELSEWHERE and not is_tenants(model)
        for field in model._meta.concrete_fields
        if isinstance(field, models.ForeignKey) and is_tenants(field.remote_field.model)
    }
    # An attempt to sign in points at its provider and is nobody's yet.
    assert without == {"sso.SignInAttempt"}


def test_two_whole_tenants_are_in_order(matrix: Matrix, tmp_path: Path):
    assert rows_across_tenants() == []
    boundaries = {"tenant_boundary", "usage_project", "usage_provider", "route_provider"}
    assert not boundaries & {found["check"] for found in inspect(tmp_path)["violations"]}


@pytest.mark.parametrize("link", LINKS, ids=str)
def test_a_planted_crossing_is_found(matrix: Matrix, link: Link):
    """A row of A's is made to point at B's, past everything that would refuse it."""
    ours, target = row_of(matrix, link), target_of(matrix, link)
    with rolled_back(), widened("a crossing is planted"):
        models.QuerySet(link.model).filter(pk=ours.pk).update(**{f"{link.field}_id": target.pk})
        found = rows_across_tenants()
    name = str(getattr(ours, "public_id", ours.pk))
    assert found == [
        {
            "check": "tenant_boundary",
            "detail": f"{name} ({link}) points at a row of another organization",
            "id": name,
        }
    ]


def test_a_platforms_row_that_points_at_a_tenants_crosses(matrix: Matrix):
    with rolled_back():
        alias = ModelAlias.objects.create(alias="everybodys", model=matrix.world.b.row("model"))
        assert [found["id"] for found in rows_across_tenants()] == [str(alias.pk)]


def row_of(matrix: Matrix, link: Link) -> models.Model:
    """The newest row of A's that has the column filled, or of any. The newest have names of their own."""
    rows = link.model._base_manager.filter(organization=matrix.world.a.organization).order_by("-pk")
    return rows.filter(**{f"{link.field}__isnull": False}).first() or rows.first()  # type: ignore[return-value]


def target_of(matrix: Matrix, link: Link) -> models.Model:
    """The newest row of B's that the column could point at."""
    target = link.model._meta.get_field(link.field).remote_field.model
    return target._base_manager.filter(organization=matrix.world.b.organization).order_by("-pk").first()

"""What the database does where the application's scoping is left out on purpose."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, transaction
from django.http import HttpResponse
from django.test import RequestFactory
from rest_framework.request import Request
from rest_framework.response import Response

from apps.api_keys.authentication import Credentials, resolve
from apps.api_keys.models import ApiKey
from apps.catalog.models import Provider
from apps.core.http.wall import WallMiddleware
from apps.core.policies import tenant_tables
from apps.core.wall import narrowed
from apps.organizations.models import Invite, Membership
from apps.organizations.permissions import ANY_CREDENTIAL
from apps.organizations.roles import Scope
from apps.organizations.scoping import OrganizationView
from apps.projects.models import Project
from tests.isolation.matrix import Matrix, rolled_back

pytestmark = pytest.mark.django_db

TABLES = tenant_tables()


class Careless(OrganizationView):
    """A view that forgot to say whose rows it wants."""

    required_scope: Scope | str = Scope.PROJECTS_READ

    def get(self, request: Request) -> Response:
        return Response(
            {model.__name__: model._base_manager.count() for model in (Project, Invite, ApiKey, Membership)}
        )


def asked(matrix: Matrix, view: type[Careless]) -> dict[str, int]:
    secret = matrix.world.principals["admin key"].secret
    request = RequestFactory().get("/", headers={"Authorization": f"Bearer {secret}"})
    made: HttpResponse = WallMiddleware(view.as_view())(request)
    assert made.status_code == 200
    return dict(made.data)


def test_a_view_that_forgets_to_scope_sees_its_callers_organization_only(matrix: Matrix):
    ours = {
        model.__name__: model._base_manager.filter(organization=matrix.world.a.organization).count()
        for model in (Project, Invite, ApiKey, Membership)
    }
    everybodys = {model.__name__: model._base_manager.count() for model in (Project, Invite, ApiKey, Membership)}
    assert all(everybodys[name] > count > 0 for name, count in ours.items())
    assert asked(matrix, Careless) == ours


def test_a_view_for_any_credential_sees_on(matrix: Matrix):
    class Anybodys(Careless):
        required_scope = ANY_CREDENTIAL

    assert asked(matrix, Anybodys)["Project"] == Project.objects.count()


def test_what_a_view_saw_ends_with_its_request(matrix: Matrix):
    before = Project.objects.count()
    asked(matrix, Careless)
    assert Project.objects.count() == before


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.model.__name__)
def test_a_raw_query_between_the_walls_finds_nothing_of_another_tenant(matrix: Matrix, table):
    a, b = matrix.world.a.organization, matrix.world.b.organization
    theirs = b.public_id if table.is_public_id else b.pk
    rows = table.model._base_manager
    assert rows.filter(**{table.column: theirs}).exists() or table.name.startswith("audit_audit")
    with narrowed(a.pk, a.public_id):
        assert not rows.filter(**{table.column: theirs}).exists()
        seen = set(rows.values_list(table.column, flat=True).distinct())
    assert seen <= {a.public_id if table.is_public_id else a.pk, None}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.model.__name__)
def test_a_raw_write_between_the_walls_changes_nothing_of_another_tenant(matrix: Matrix, table):
    a, b = matrix.world.a.organization, matrix.world.b.organization
    theirs = table.model._base_manager.filter(**{table.column: b.public_id if table.is_public_id else b.pk})
    pks = list(theirs.values_list("pk", flat=True))
    with rolled_back(), narrowed(a.pk, a.public_id):
        assert not table.model._base_manager.filter(pk__in=pks)._raw_delete("default")
    assert list(theirs.values_list("pk", flat=True)) == pks


def test_a_row_cannot_be_given_to_another_tenant(matrix: Matrix):
    a, b = matrix.world.a.organization, matrix.world.b.organization
    refused = pytest.raises(DatabaseError, match="row-level security")
    with rolled_back(), narrowed(a.pk, a.public_id), refused, transaction.atomic():
        Provider.objects.filter(pk=matrix.world.a.row("provider").pk).update(organization=b)


def test_a_principal_of_the_other_tenant_is_found_before_anything_is_narrowed(matrix: Matrix):
    """Authentication looks everywhere: a key says itself where it belongs."""
    for principal in matrix.world.principals.values():
        if (
            principal.is_admitted
            and not principal.is_stranger
            and principal.secret
            and principal.secret.startswith("jan_")
        ):
            found = resolve(Credentials(bearer=principal.secret))
            assert found is not None
            assert found.organization_id == matrix.world.a.organization.pk

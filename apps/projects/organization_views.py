"""Organizations of the caller."""

from __future__ import annotations

from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.core.errors import Forbidden
from apps.core.http.deletion import deleted
from apps.core.http.pagination import paginate
from apps.organizations import members, services
from apps.organizations import openapi as shapes
from apps.organizations.actors import actor_of_caller, user_behind
from apps.organizations.members import EVERYTHING, member_of
from apps.organizations.models import Membership, Organization
from apps.organizations.permissions import ANY_CREDENTIAL, principal_of
from apps.organizations.principal import Principal
from apps.organizations.roles import Role, Scope
from apps.organizations.scoping import OrganizationView
from apps.organizations.serializers import ChangedOrganization, NewOrganization, Transfer, organization_document
from apps.projects.giving import giver_at_organization
from apps.projects.services import create_organization

_TAGS = ["Organizations"]
_EXAMPLE = shapes.answer("An organization", {**shapes.ORGANIZATION, "members_count": 3})


class OrganizationsView(APIView):
    required_scope = ANY_CREDENTIAL

    @extend_schema(
        operation_id="listOrganizations",
        summary="List your organizations",
        description="All you belong to, with your role in each. A key sees its own only.",
        tags=_TAGS,
        parameters=shapes.CURSORS,
        responses={200: shapes.OrganizationPage},
        examples=[shapes.page_of("organizations", shapes.ORGANIZATION)],
    )
    def get(self, request: Request) -> Response:
        principal = principal_of(request)
        is_told = principal.key_id is None or Scope.ORGANIZATION_READ in principal.organization_scopes

        def render(organization: Any) -> dict[str, Any]:
            return organization_document(request, organization, organization.role, with_settings=is_told)

        page = paginate(request, _seen_by(principal), render, named="organizations", always_named=True)
        return Response(page)

    @extend_schema(
        operation_id="createOrganization",
        summary="Create an organization",
        description=(
            "You become its owner, and it comes with a default project. Takes a person's access token: keys are "
            "refused, and guests until they are upgraded."
        ),
        tags=_TAGS,
        request=NewOrganization,
        responses={200: shapes.OrganizationShape},
        examples=[
            shapes.body(
                "An organization",
                {"name": "Acme Corp", "domain": "acme.com", "settings": {"retention_days": 90}},
            ),
            _EXAMPLE,
        ],
    )
    def post(self, request: Request) -> Response:
        principal = principal_of(request)
        _require_a_person(principal, "make organizations")
        if principal.is_guest:
            raise Forbidden(
                "A guest cannot make organizations. Upgrade to an account first (POST /v1/auth/upgrade) and confirm "
                "its address.",
                code="guest_not_allowed",
            )
        wanted = NewOrganization(data=request.data)
        wanted.is_valid(raise_exception=True)
        made = create_organization(owner=user_behind(principal), **wanted.validated_data)
        return Response({**organization_document(request, made, Role.OWNER), "members_count": 1})


class OrganizationDetailView(OrganizationView):
    required_scope = {
        "GET": Scope.ORGANIZATION_READ,
        "POST": Scope.ORGANIZATION_WRITE,
        "PATCH": Scope.ORGANIZATION_WRITE,
        "DELETE": Scope.ORGANIZATION_DELETE,
    }

    @extend_schema(
        operation_id="retrieveOrganization",
        summary="Retrieve an organization",
        tags=_TAGS,
        responses={200: shapes.OrganizationShape},
        examples=[_EXAMPLE],
    )
    def get(self, request: Request, **_: Any) -> Response:
        return Response(self._document(self.organization))

    @extend_schema(
        operation_id="updateOrganization",
        summary="Update an organization",
        description="What is left out stays. `settings` are merged; a null takes one away.",
        tags=_TAGS,
        request=ChangedOrganization,
        responses={200: shapes.OrganizationShape},
        examples=[shapes.body("Other settings", {"settings": {"retention_days": 30, "storage": None}}), _EXAMPLE],
    )
    def post(self, request: Request, **_: Any) -> Response:
        wanted = ChangedOrganization(data=request.data)
        wanted.is_valid(raise_exception=True)
        changed = services.update_organization(
            organization=self.organization, actor=actor_of_caller(self.principal), **wanted.validated_data
        )
        return Response(self._document(changed))

    @extend_schema(
        operation_id="patchOrganization",
        summary="Update an organization (PATCH)",
        tags=_TAGS,
        request=ChangedOrganization,
        responses={200: shapes.OrganizationShape},
        examples=[shapes.body("Another name", {"name": "Acme"}), _EXAMPLE],
    )
    def patch(self, request: Request, **_: Any) -> Response:
        return self.post(request)

    @extend_schema(
        operation_id="deleteOrganization",
        summary="Delete an organization",
        description=(
            "It admits nobody and none of its keys within two seconds, and is purged after a grace period in which an "
            "operator can bring it back. A personal one goes with its owner's account instead."
        ),
        tags=_TAGS,
        responses={200: shapes.Gone},
        examples=[shapes.gone(str(shapes.ORGANIZATION["id"]), "organization")],
    )
    def delete(self, request: Request, **_: Any) -> Response:
        organization = self.organization
        services.delete_organization(organization=organization, actor=actor_of_caller(self.principal))
        return deleted(request, organization.public_id, "organization")

    def _document(self, organization: Organization) -> dict[str, Any]:
        all_members = Membership.objects.in_organization(organization.pk)
        mine = all_members.filter(user_id=self.principal.user_id).first()
        document = organization_document(self.request, organization, mine.role if mine else None)
        return {**document, "members_count": all_members.count()}


class TransferView(OrganizationView):
    required_scope = Scope.ORGANIZATION_DELETE

    @extend_schema(
        operation_id="transferOrganization",
        summary="Hand an organization on",
        description="The member named becomes the owner, and you an admin.",
        tags=_TAGS,
        request=Transfer,
        responses={200: shapes.OrganizationShape},
        examples=[
            shapes.body("To Ada", {"user_id": shapes.USER["id"]}),
            shapes.answer("Handed on", {**shapes.ORGANIZATION, "role": "admin"}),
        ],
    )
    def post(self, request: Request, **_: Any) -> Response:
        wanted = Transfer(data=request.data)
        wanted.is_valid(raise_exception=True)
        members.transfer_ownership(
            owner=member_of(self.organization_id, self.principal.user_id),
            to=member_of(self.organization_id, wanted.validated_data["user_id"]),
            giver=giver_at_organization(self.principal),
            actor=actor_of_caller(self.principal),
        )
        return Response(organization_document(request, self.organization, Role.ADMIN))


class LeaveView(OrganizationView):
    required_scope = Scope.ORGANIZATION_READ

    @extend_schema(
        operation_id="leaveOrganization",
        summary="Leave an organization",
        description="Ends your places in its projects and groups, and your keys in it. Its last owner cannot leave.",
        tags=_TAGS,
        request=None,
        responses={200: shapes.Gone},
        examples=[shapes.gone(str(shapes.USER["id"]), "organization.user")],
    )
    def post(self, request: Request, **_: Any) -> Response:
        _require_a_person(self.principal, "leave organizations")
        members.remove_member(
            membership=member_of(self.organization_id, self.principal.user_id),
            giver=EVERYTHING,
            actor=actor_of_caller(self.principal),
        )
        return deleted(request, self.principal.user_id, "organization.user")


def _require_a_person(principal: Principal, what: str) -> None:
    if principal.key_id is not None:
        raise Forbidden(f"Keys cannot {what}. Use a person's access token.", code="access_token_required")


def _seen_by(principal: Principal) -> QuerySet[Organization]:
    """Return the organizations a caller belongs to, each with the caller's `role`."""
    mine = Membership.objects.filter(user_id=principal.user_id)
    organizations = Organization.objects.present()
    if principal.key_id is None:
        organizations = organizations.filter(pk__in=mine.values("organization"))
    else:
        organizations = organizations.filter(pk=principal.organization_id)
    return organizations.annotate(role=Subquery(mine.filter(organization=OuterRef("pk")).values("role")[:1]))

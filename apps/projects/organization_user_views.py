"""Members of an organization."""

from __future__ import annotations

from typing import Any

from django.db.models import Prefetch, QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.errors import BadRequest
from apps.core.http.deletion import deleted
from apps.core.http.pagination import paginate
from apps.organizations import members
from apps.organizations import openapi as shapes
from apps.organizations.actors import actor_of_caller
from apps.organizations.members import EVERYTHING, member_of
from apps.organizations.models import Membership, ResourceType
from apps.organizations.principal import Principal
from apps.organizations.role_catalog import role_in
from apps.organizations.roles import Role, Scope
from apps.organizations.scoping import OrganizationView
from apps.organizations.serializers import ChangedUser, RoleField, user_document
from apps.projects.giving import giver_at_organization
from apps.projects.models import Project, ProjectMembership

_TAGS = ["Members"]
_EXAMPLE = shapes.answer("A member", shapes.USER_WITH_PROJECTS)
_MAX_EMAILS = 100


class OrganizationUsersView(OrganizationView):
    required_scope = Scope.MEMBERS_READ

    @extend_schema(
        operation_id="listOrganizationUsers",
        summary="List members",
        tags=_TAGS,
        parameters=[
            OpenApiParameter("emails[]", OpenApiTypes.STR, many=True, description="Only of these addresses."),
            OpenApiParameter("role", OpenApiTypes.STR, enum=["owner", "admin", "member", "viewer"]),
            *shapes.CURSORS,
        ],
        responses={200: shapes.UserPage},
        examples=[shapes.page_of("users", shapes.USER_WITH_PROJECTS)],
    )
    def get(self, request: Request, **_: Any) -> Response:
        found = _filtered(request, Membership.objects.in_organization(self.organization_id))
        page = paginate(
            request,
            with_projects(found, self.principal),
            lambda membership: document_with_projects(request, membership),
            named="users",
            key="user_id",
            always_named=True,
        )
        return Response(page)


class OrganizationUserView(OrganizationView):
    required_scope = {
        "GET": Scope.MEMBERS_READ,
        "POST": Scope.MEMBERS_WRITE,
        "PATCH": Scope.MEMBERS_WRITE,
        "DELETE": Scope.MEMBERS_WRITE,
    }

    def require(self, principal: Principal, scope: Scope) -> None:
        """Ask for the scope, except of a person who removes itself: that is leaving."""
        if not self._leaves(principal):
            super().require(principal, scope)

    @extend_schema(
        operation_id="retrieveOrganizationUser",
        summary="Retrieve a member",
        tags=_TAGS,
        responses={200: shapes.UserShape},
        examples=[_EXAMPLE],
    )
    def get(self, request: Request, user_id: str, **_: Any) -> Response:
        return Response(self._document(user_id))

    @extend_schema(
        operation_id="updateOrganizationUser",
        summary="Change a member's role",
        description=(
            "To a role with no more rights than yours, of a member who has no more either. The last owner stays one."
        ),
        tags=_TAGS,
        request=ChangedUser,
        responses={200: shapes.UserShape},
        examples=[shapes.body("Now an admin", {"role": "admin"}), _EXAMPLE],
    )
    def post(self, request: Request, user_id: str, **_: Any) -> Response:
        wanted = ChangedUser(data=request.data)
        wanted.is_valid(raise_exception=True)
        membership = member_of(self.organization_id, user_id)
        role = self._role(wanted.validated_data)
        if role is not None:
            members.change_role(
                membership=membership,
                role=role,
                giver=giver_at_organization(self.principal),
                actor=actor_of_caller(self.principal),
            )
        return Response(self._document(user_id))

    @extend_schema(
        operation_id="patchOrganizationUser",
        summary="Change a member's role (PATCH)",
        tags=_TAGS,
        request=ChangedUser,
        responses={200: shapes.UserShape},
        examples=[shapes.body("Now a viewer", {"role": "viewer"}), _EXAMPLE],
    )
    def patch(self, request: Request, user_id: str, **_: Any) -> Response:
        return self.post(request, user_id)

    @extend_schema(
        operation_id="deleteOrganizationUser",
        summary="Remove a member",
        description=(
            "Ends its places in projects and groups, its roles, and its keys in this organization within two seconds. "
            "Anybody may remove itself, but not the last owner."
        ),
        tags=_TAGS,
        responses={200: shapes.Gone},
        examples=[shapes.gone(str(shapes.USER["id"]), "organization.user")],
    )
    def delete(self, request: Request, user_id: str, **_: Any) -> Response:
        membership = member_of(self.organization_id, user_id)
        giver = EVERYTHING if self._leaves(self.principal) else giver_at_organization(self.principal)
        members.remove_member(membership=membership, giver=giver, actor=actor_of_caller(self.principal))
        return deleted(request, user_id, "organization.user")

    def _leaves(self, principal: Principal) -> bool:
        is_itself = self.kwargs["user_id"] == principal.user_id and principal.key_id is None
        return is_itself and self.request.method == "DELETE"

    def _role(self, wanted: dict[str, Any]) -> Role | None:
        if "role_id" not in wanted:
            return wanted.get("role")
        entry = role_in(self.organization_id, wanted["role_id"], ResourceType.ORGANIZATION)
        if entry.custom is not None:
            raise BadRequest("A custom role is given beside the member's own: use users/{id}/roles.", param="role_id")
        return Role(entry.predefined)

    def _document(self, user_id: str) -> dict[str, Any]:
        membership = member_of(self.organization_id, user_id)
        rows = Membership.objects.in_organization(self.organization_id).filter(pk=membership.pk)
        return document_with_projects(self.request, with_projects(rows, self.principal).get())


def with_projects(found: QuerySet[Any], principal: Principal) -> QuerySet[Any]:
    """Read members with their places in those projects that the caller may know of. Two queries a page."""
    seen = Project.objects.visible_to(principal)
    places = ProjectMembership.objects.in_organization(principal.organization_id).filter(project__in=seen)
    prefetch = Prefetch("projects", places.select_related("project").order_by("id"), to_attr="seen_places")
    return found.select_related("user").prefetch_related(prefetch)


def document_with_projects(request: Request, membership: Any) -> dict[str, Any]:
    """Return a member that `with_projects` read."""
    places = [
        {"id": place.project.public_id, "name": place.project.name, "role": place.role}
        for place in membership.seen_places
    ]
    return {**user_document(request, membership), "projects": {"object": "list", "data": places}}


def _filtered(request: Request, found: QuerySet[Any]) -> QuerySet[Any]:
    params = request.query_params
    if "role" in params:
        role = RoleField()
        if params["role"] not in role.choices:
            raise BadRequest("'role' must be 'owner', 'admin', 'member' or 'viewer'.", param="role")
        found = found.filter(role=role.to_internal_value(params["role"]))
    emails = [*params.getlist("emails[]"), *params.getlist("emails")]
    if len(emails) > _MAX_EMAILS:
        raise BadRequest(f"At most {_MAX_EMAILS} addresses can be asked for at once.", param="emails")
    if emails:
        # An address has no NUL, and PostgreSQL takes none.
        found = found.filter(user__email__in=[email.strip().lower() for email in emails if "\x00" not in email])
    return found

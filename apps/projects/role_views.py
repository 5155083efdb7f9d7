"""Roles that can be given: an organization's, and those for projects."""

from __future__ import annotations

from functools import partial
from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.errors import BadRequest, Conflict
from apps.core.http.deletion import deleted
from apps.core.http.pagination import paginate_items
from apps.organizations import openapi as shapes
from apps.organizations.actors import actor_of_caller
from apps.organizations.models import CustomRole, ResourceType
from apps.organizations.role_catalog import entry_of, role_in, roles_in
from apps.organizations.roles import Scope
from apps.organizations.scoping import OrganizationView
from apps.organizations.serializers import ChangedRole, NewRole, role_document
from apps.projects import role_services
from apps.projects.models import Project
from apps.projects.rights import grants_of
from apps.projects.scoping import ProjectView

_TAGS = ["Roles"]
_EXAMPLE = shapes.answer("A role", shapes.ROLE)
_NEW = shapes.body("A role for auditors", {"role_name": "Auditor", "permissions": ["audit_logs.read", "usage.read"]})
_CHANGE = shapes.body("More rights", {"permissions": ["audit_logs.read", "usage.read", "projects.read"]})
_READ_WRITE = {
    "GET": Scope.ROLES_READ,
    "POST": Scope.ROLES_WRITE,
    "PATCH": Scope.ROLES_WRITE,
    "DELETE": Scope.ROLES_WRITE,
}


class RolesView(OrganizationView):
    required_scope = _READ_WRITE
    kinds: tuple[ResourceType, ...] = (ResourceType.ORGANIZATION, ResourceType.PROJECT)
    project: Project | None = None  # a view of a project has one

    @extend_schema(
        operation_id="listRoles",
        summary="List roles",
        description="The predefined ones, which cannot be changed, and your own.",
        tags=_TAGS,
        parameters=shapes.CURSORS,
        responses={200: shapes.RolePage},
        examples=[shapes.page_of("roles", shapes.ROLE)],
    )
    def get(self, request: Request, **_: Any) -> Response:
        page = paginate_items(
            request,
            roles_in(self.organization_id, *self.kinds),
            lambda role: role_document(request, role),
            named="roles",
            key=lambda role: role.id,
        )
        return Response(page)

    @extend_schema(
        operation_id="createRole",
        summary="Create a role",
        description="Of rights you have yourself. It gives nothing until it is given to a user or a group.",
        tags=_TAGS,
        request=NewRole,
        responses={200: shapes.RoleShape},
        examples=[_NEW, _EXAMPLE],
    )
    def post(self, request: Request, **_: Any) -> Response:
        wanted = NewRole(data=request.data)
        wanted.is_valid(raise_exception=True)
        fields = wanted.validated_data
        kind = ResourceType(fields.pop("resource_type", self.kinds[0]))
        if kind not in self.kinds:
            raise BadRequest("A role made in a project is one for projects.", param="resource_type")
        role = role_services.create_role(
            organization=self.organization,
            resource_type=kind,
            place=self.project,
            grants=partial(grants_of, self.principal),
            actor=actor_of_caller(self.principal),
            **fields,
        )
        return Response(role_document(request, entry_of(role)))


class RoleView(OrganizationView):
    required_scope = _READ_WRITE
    kinds: tuple[ResourceType, ...] = (ResourceType.ORGANIZATION, ResourceType.PROJECT)
    project: Project | None = None  # a view of a project has one

    @extend_schema(
        operation_id="retrieveRole",
        summary="Retrieve a role",
        tags=_TAGS,
        responses={200: shapes.RoleShape},
        examples=[_EXAMPLE],
    )
    def get(self, request: Request, role_id: str, **_: Any) -> Response:
        return Response(role_document(request, role_in(self.organization_id, role_id, *self.kinds)))

    @extend_schema(
        operation_id="updateRole",
        summary="Update a role",
        description=(
            "For everybody who has it. You need all its rights, the old and the new, and wherever it is given."
        ),
        tags=_TAGS,
        request=ChangedRole,
        responses={200: shapes.RoleShape},
        examples=[_CHANGE, _EXAMPLE],
    )
    def post(self, request: Request, role_id: str, **_: Any) -> Response:
        wanted = ChangedRole(data=request.data)
        wanted.is_valid(raise_exception=True)
        role = role_services.update_role(
            role=self._custom(role_id),
            place=self.project,
            grants=partial(grants_of, self.principal),
            actor=actor_of_caller(self.principal),
            **wanted.validated_data,
        )
        return Response(role_document(request, entry_of(role)))

    @extend_schema(
        operation_id="patchRole",
        summary="Update a role (PATCH)",
        tags=_TAGS,
        request=ChangedRole,
        responses={200: shapes.RoleShape},
        examples=[_CHANGE, _EXAMPLE],
    )
    def patch(self, request: Request, role_id: str, **_: Any) -> Response:
        return self.post(request, role_id)

    @extend_schema(
        operation_id="deleteRole",
        summary="Delete a role",
        description="It is taken from everybody who has it. You need all its rights, wherever it is given.",
        tags=_TAGS,
        responses={200: shapes.Gone},
        examples=[shapes.gone(str(shapes.ROLE["id"]), "role")],
    )
    def delete(self, request: Request, role_id: str, **_: Any) -> Response:
        role_services.delete_role(
            role=self._custom(role_id),
            place=self.project,
            grants=partial(grants_of, self.principal),
            actor=actor_of_caller(self.principal),
        )
        return deleted(request, role_id, "role")

    def _custom(self, role_id: str) -> CustomRole:
        entry = role_in(self.organization_id, role_id, *self.kinds)
        if entry.custom is None:
            raise Conflict("A predefined role cannot be changed.", code="predefined_role")
        return entry.custom


@extend_schema_view(
    get=extend_schema(operation_id="listProjectRoles", summary="List roles for projects"),
    post=extend_schema(
        operation_id="createProjectRole",
        summary="Create a role for projects",
        description="Of rights you have in this project. All projects of the organization can give it.",
        examples=[
            shapes.body("A role for helpers", {"role_name": "Helper", "permissions": ["usage.read"]}),
            shapes.answer("A role", {**shapes.ROLE, "name": "Helper", "resource_type": "project"}),
        ],
    ),
)
class ProjectRolesView(ProjectView, RolesView):  # type: ignore[misc]  # this one has a project
    kinds = (ResourceType.PROJECT,)


@extend_schema_view(
    get=extend_schema(operation_id="retrieveProjectRole", summary="Retrieve a role for projects"),
    post=extend_schema(operation_id="updateProjectRole", summary="Update a role for projects"),
    patch=extend_schema(operation_id="patchProjectRole", summary="Update a role for projects (PATCH)"),
    delete=extend_schema(operation_id="deleteProjectRole", summary="Delete a role for projects"),
)
class ProjectRoleView(ProjectView, RoleView):  # type: ignore[misc]  # this one has a project
    kinds = (ResourceType.PROJECT,)

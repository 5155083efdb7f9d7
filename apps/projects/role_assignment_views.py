"""Roles that users and groups were given, at an organization and in its projects."""

from __future__ import annotations

from functools import partial
from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.errors import NotFound
from apps.core.http.deletion import deleted
from apps.core.http.pagination import paginate_items
from apps.organizations import openapi as shapes
from apps.organizations.actors import actor_of_caller
from apps.organizations.groups import group_of
from apps.organizations.members import member_of
from apps.organizations.models import Membership, ResourceType
from apps.organizations.role_catalog import RoleEntry, role_in
from apps.organizations.roles import Scope
from apps.organizations.scoping import OrganizationView
from apps.organizations.serializers import NewAssignment, group_document, role_document, user_document
from apps.projects import role_assignments
from apps.projects.rights import grants_of
from apps.projects.role_assignments import GivenRole, Holder, Place, given_roles
from apps.projects.scoping import ProjectView

_TAGS = ["Roles"]
_GIVE = shapes.body("A role", {"role_id": shapes.ROLE["id"]})
_GIVEN_TO_USER = shapes.answer("Given", {"object": "user.role", "user": shapes.USER, "role": shapes.ROLE})
_GIVEN_TO_GROUP = shapes.answer("Given", {"object": "group.role", "group": shapes.GROUP, "role": shapes.ROLE})


class _Holding(OrganizationView):
    """A view of what the user or the group that the path names was given, at a place."""

    required_scope = {"GET": Scope.ROLES_READ, "POST": Scope.ROLES_WRITE, "DELETE": Scope.ROLES_WRITE}

    @property
    def place(self) -> Place:
        return self.project if isinstance(self, ProjectView) else self.organization

    @property
    def holder(self) -> Holder:
        if "group_id" in self.kwargs:
            return group_of(self.organization_id, self.kwargs["group_id"])
        return member_of(self.organization_id, self.kwargs["user_id"])

    def role(self, role_id: str) -> RoleEntry:
        is_project = isinstance(self, ProjectView)
        return role_in(self.organization_id, role_id, ResourceType.PROJECT if is_project else ResourceType.ORGANIZATION)

    def document(self, given: GivenRole) -> dict[str, Any]:
        return {
            **role_document(self.request, given.entry),
            "assignment_sources": [_source(one) for one in given.sources],
        }


class UserRolesView(_Holding):
    @extend_schema(
        operation_id="listUserRoles",
        summary="List the roles a member was given",
        description="Beside its own: to itself, or to groups it is in (`assignment_sources`).",
        tags=_TAGS,
        parameters=shapes.CURSORS,
        responses={200: shapes.GivenRolePage},
        examples=[shapes.page_of("roles", shapes.GIVEN_ROLE)],
    )
    def get(self, request: Request, **_: Any) -> Response:
        given = given_roles(self.place, self.holder)
        return Response(paginate_items(request, given, self.document, named="roles", key=lambda one: one.entry.id))

    @extend_schema(
        operation_id="createUserRole",
        summary="Give a member a role",
        description="With no more rights than yours, to somebody who has no more either.",
        tags=_TAGS,
        request=NewAssignment,
        responses={200: shapes.UserRoleShape},
        examples=[_GIVE, _GIVEN_TO_USER],
    )
    def post(self, request: Request, **_: Any) -> Response:
        wanted = NewAssignment(data=request.data)
        wanted.is_valid(raise_exception=True)
        holder = self.holder
        entry = role_assignments.give_role(
            place=self.place,
            to=holder,
            entry=self.role(wanted.validated_data["role_id"]),
            grants=partial(grants_of, self.principal),
            actor=actor_of_caller(self.principal),
        )
        role = role_document(request, entry)
        if isinstance(holder, Membership):
            return Response({"object": "user.role", "user": user_document(request, holder), "role": role})
        return Response({"object": "group.role", "group": group_document(request, holder), "role": role})


class UserRoleView(_Holding):
    @extend_schema(
        operation_id="retrieveUserRole",
        summary="Retrieve a role a member was given",
        tags=_TAGS,
        responses={200: shapes.GivenRoleShape},
        examples=[shapes.answer("A role", shapes.GIVEN_ROLE)],
    )
    def get(self, request: Request, role_id: str, **_: Any) -> Response:
        for given in given_roles(self.place, self.holder):
            if given.entry.id == role_id:
                return Response(self.document(given))
        raise NotFound("This role was not given here.", code="role_not_found")

    @extend_schema(
        operation_id="deleteUserRole",
        summary="Take a role from a member",
        description="What it has through a group stays.",
        tags=_TAGS,
        responses={200: shapes.Gone},
        examples=[shapes.gone(str(shapes.ROLE["id"]), "user.role")],
    )
    def delete(self, request: Request, role_id: str, **_: Any) -> Response:
        holder = self.holder
        role_assignments.take_role(
            place=self.place,
            of=holder,
            entry=self.role(role_id),
            grants=partial(grants_of, self.principal),
            actor=actor_of_caller(self.principal),
        )
        return deleted(request, role_id, "user.role" if isinstance(holder, Membership) else "group.role")


def _source(holder: Holder) -> dict[str, str]:
    if isinstance(holder, Membership):
        return {"principal_type": "user", "principal_id": holder.user_id}
    return {"principal_type": "group", "principal_id": holder.public_id}


def _list_of(name: str, whose: str) -> Any:
    return extend_schema_view(
        get=extend_schema(operation_id=f"list{name}Roles", summary=f"List the roles {whose} was given"),
        post=extend_schema(
            operation_id=f"create{name}Role",
            summary=f"Give {whose} a role",
            responses={200: shapes.GroupRoleShape if name.endswith("Group") else shapes.UserRoleShape},
            examples=[_GIVE, _GIVEN_TO_GROUP if name.endswith("Group") else _GIVEN_TO_USER],
        ),
    )


def _one_of(name: str, whose: str) -> Any:
    return extend_schema_view(
        get=extend_schema(operation_id=f"retrieve{name}Role", summary=f"Retrieve a role {whose} was given"),
        delete=extend_schema(operation_id=f"delete{name}Role", summary=f"Take a role from {whose}"),
    )


@_list_of("Group", "a group")
class GroupRolesView(UserRolesView):
    pass


@_one_of("Group", "a group")
class GroupRoleView(UserRoleView):
    pass


@_list_of("ProjectUser", "a member in a project")
class ProjectUserRolesView(ProjectView, UserRolesView):
    pass


@_one_of("ProjectUser", "a member in a project")
class ProjectUserRoleView(ProjectView, UserRoleView):
    pass


@_list_of("ProjectGroup", "a group in a project")
class ProjectGroupRolesView(ProjectView, UserRolesView):
    pass


@_one_of("ProjectGroup", "a group in a project")
class ProjectGroupRoleView(ProjectView, UserRoleView):
    pass

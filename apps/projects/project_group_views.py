"""Groups that have a place in a project: a role there."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db.models import Min, Q, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.errors import NotFound
from apps.core.http.deletion import deleted
from apps.core.http.moments import moment
from apps.core.http.pagination import paginate
from apps.core.http.serializers import StrictSerializer
from apps.organizations import openapi as shapes
from apps.organizations.actors import actor_of_caller
from apps.organizations.groups import group_of
from apps.organizations.models import Group, ResourceType
from apps.organizations.role_catalog import PREDEFINED, role_in
from apps.organizations.roles import Scope
from apps.projects import role_assignments
from apps.projects.rights import grants_of
from apps.projects.scoping import ProjectView

_TAGS = ["Groups"]
_EXAMPLE = shapes.answer("A group with a place here", shapes.PROJECT_GROUP)


class NewProjectGroup(StrictSerializer):
    group_id = serializers.CharField(max_length=64)
    role = serializers.CharField(
        max_length=64, help_text="The id of a role for projects, or `owner`, `member` or `viewer`."
    )


class _ProjectGroups(ProjectView):
    def groups(self) -> QuerySet[Any]:
        """Return the groups with a role in this project, each with the time it got its first one."""
        here = Q(projectroleassignments__project=self.project)
        found = Group.objects.in_organization(self.organization_id).filter(here)
        timed: QuerySet[Any] = found.annotate(granted_at=Min("projectroleassignments__created_at", filter=here))
        return timed

    def document(self, group: Any) -> dict[str, Any]:
        return {
            "object": "project.group",
            "project_id": self.project.public_id,
            "group_id": group.public_id,
            "group_name": group.name,
            "group_type": "group",
            "created_at": moment(self.request, group.granted_at),
        }

    def found(self, group_id: str) -> Any:
        group = self.groups().filter(pk=group_of(self.organization_id, group_id).pk).first()
        if group is None:
            raise NotFound("There is no such group.", code="group_not_found")
        return group


class ProjectGroupsView(_ProjectGroups):
    required_scope = {"GET": Scope.GROUPS_READ, "POST": Scope.MEMBERS_WRITE}

    @extend_schema(
        operation_id="listProjectGroups",
        summary="List groups in a project",
        tags=_TAGS,
        parameters=shapes.CURSORS,
        responses={200: shapes.ProjectGroupPage},
        examples=[shapes.page_of("groups", shapes.PROJECT_GROUP)],
    )
    def get(self, request: Request, **_: Any) -> Response:
        page = paginate(
            request, self.groups(), self.document, named="groups", ordered_by="granted_at", always_named=True
        )
        return Response(page)

    @extend_schema(
        operation_id="createProjectGroup",
        summary="Give a group a place in a project",
        description="Its people get the role, which has no more rights than yours here.",
        tags=_TAGS,
        request=NewProjectGroup,
        responses={200: shapes.ProjectGroupShape},
        examples=[shapes.body("As members", {"group_id": shapes.GROUP["id"], "role": "member"}), _EXAMPLE],
    )
    def post(self, request: Request, **_: Any) -> Response:
        wanted = NewProjectGroup(data=request.data)
        wanted.is_valid(raise_exception=True)
        group = group_of(self.organization_id, wanted.validated_data["group_id"])
        named = wanted.validated_data["role"]
        words = {entry.predefined: entry.id for entry in PREDEFINED[ResourceType.PROJECT]}
        role_assignments.give_role(
            place=self.project,
            to=group,
            entry=role_in(self.organization_id, words.get(named, named), ResourceType.PROJECT),
            grants=partial(grants_of, self.principal),
            actor=actor_of_caller(self.principal),
        )
        return Response(self.document(self.found(group.public_id)))


class ProjectGroupView(_ProjectGroups):
    required_scope = {"GET": Scope.GROUPS_READ, "DELETE": Scope.MEMBERS_WRITE}

    @extend_schema(
        operation_id="retrieveProjectGroup",
        summary="Retrieve a group in a project",
        tags=_TAGS,
        responses={200: shapes.ProjectGroupShape},
        examples=[_EXAMPLE],
    )
    def get(self, request: Request, group_id: str, **_: Any) -> Response:
        return Response(self.document(self.found(group_id)))

    @extend_schema(
        operation_id="deleteProjectGroup",
        summary="Take a group out of a project",
        description="With every role it has there.",
        tags=_TAGS,
        responses={200: shapes.Gone},
        examples=[shapes.gone(str(shapes.GROUP["id"]), "project.group")],
    )
    def delete(self, request: Request, group_id: str, **_: Any) -> Response:
        role_assignments.take_all_roles(
            place=self.project,
            of=self.found(group_id),
            grants=partial(grants_of, self.principal),
            actor=actor_of_caller(self.principal),
        )
        return deleted(request, group_id, "project.group")

"""Projects of an organization."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.errors import BadRequest
from apps.core.http.deletion import deleted
from apps.core.http.pagination import paginate
from apps.organizations.actors import actor_of_caller, user_behind
from apps.organizations.principal import Principal
from apps.organizations.roles import Scope
from apps.organizations.scoping import OrganizationView
from apps.projects import project_services as services
from apps.projects.models import Project, ProjectQuerySet
from apps.projects.openapi import (
    ARCHIVED_EXAMPLE,
    CURSORS,
    DELETED_PROJECT_EXAMPLE,
    NEW_PROJECT_EXAMPLE,
    PROJECT_EXAMPLE,
    PROJECTS_EXAMPLE,
    TAGS,
    UPDATE_EXAMPLE,
    DeletedSerializer,
    ProjectList,
    ProjectSerializer,
)
from apps.projects.rights import grants_of
from apps.projects.scoping import ProjectView
from apps.projects.serializers import ChangedProject, NewProject, project_document


class ProjectsView(OrganizationView):
    required_scope = {"GET": Scope.PROJECTS_READ, "POST": Scope.PROJECTS_WRITE}

    def require(self, principal: Principal, scope: Scope) -> None:
        """Whoever may read a project may list those it may know of; making one is asked at the organization."""
        if scope is Scope.PROJECTS_READ:
            principal.require(scope)
        else:
            super().require(principal, scope)

    @extend_schema(
        operation_id="listProjects",
        summary="List projects",
        description="All of the organization for its owners and admins, for others those they have a place in.",
        tags=TAGS,
        parameters=[
            OpenApiParameter("status", OpenApiTypes.STR, enum=["active", "archived"], description="Active by default."),
            OpenApiParameter("include_archived", OpenApiTypes.BOOL, description="Both. `status` wins."),
            *CURSORS,
        ],
        responses={200: ProjectList},
        examples=[PROJECTS_EXAMPLE],
    )
    def get(self, request: Request, **_: Any) -> Response:
        projects = _with_status(request, Project.objects.visible_to(self.principal))
        page = paginate(
            request,
            projects.select_related("created_by"),
            lambda project: project_document(request, project),
            named="projects",
            always_named=True,
        )
        return Response(page)

    @extend_schema(
        operation_id="createProject",
        summary="Create a project",
        description="You become its owner, as far as your rights at the organization reach.",
        tags=TAGS,
        request=NewProject,
        responses={200: ProjectSerializer},
        examples=[NEW_PROJECT_EXAMPLE, PROJECT_EXAMPLE],
    )
    def post(self, request: Request, **_: Any) -> Response:
        wanted = NewProject(data=request.data)
        wanted.is_valid(raise_exception=True)
        project = services.create_project(
            organization=self.organization,
            creator=user_behind(self.principal),
            giver=grants_of(self.principal, None),
            actor=actor_of_caller(self.principal),
            **wanted.validated_data,
        )
        return Response(project_document(request, project))


class ProjectDetailView(ProjectView):
    required_scope = {
        "GET": Scope.PROJECTS_READ,
        "POST": Scope.PROJECTS_WRITE,
        "PATCH": Scope.PROJECTS_WRITE,
        "DELETE": Scope.PROJECTS_WRITE,
    }

    @extend_schema(
        operation_id="retrieveProject",
        summary="Retrieve a project",
        tags=TAGS,
        responses={200: ProjectSerializer},
        examples=[PROJECT_EXAMPLE],
    )
    def get(self, request: Request, **_: Any) -> Response:
        return Response(project_document(request, self.project))

    @extend_schema(
        operation_id="updateProject",
        summary="Update a project",
        description="What is given is changed. `settings` replace all there are.",
        tags=TAGS,
        request=ChangedProject,
        responses={200: ProjectSerializer},
        examples=[UPDATE_EXAMPLE, PROJECT_EXAMPLE],
    )
    def post(self, request: Request, **_: Any) -> Response:
        return self._update(request, replace=True)

    @extend_schema(
        operation_id="patchProject",
        summary="Update a project, merging its settings",
        description="What is given is changed. Of `settings` too: null takes one away.",
        tags=TAGS,
        request=ChangedProject,
        responses={200: ProjectSerializer},
        examples=[UPDATE_EXAMPLE, PROJECT_EXAMPLE],
    )
    def patch(self, request: Request, **_: Any) -> Response:
        return self._update(request, replace=False)

    @extend_schema(
        operation_id="deleteProject",
        summary="Delete a project",
        description=(
            "It is gone for everybody within two seconds, with its keys and service accounts. Usage and the audit log "
            "stay. The default project cannot be deleted."
        ),
        tags=TAGS,
        responses={200: DeletedSerializer, 204: None},
        examples=[DELETED_PROJECT_EXAMPLE],
    )
    def delete(self, request: Request, **_: Any) -> Response:
        services.delete_project(project=self.project, actor=actor_of_caller(self.principal))
        return deleted(request, self.project.public_id, "organization.project")

    def _update(self, request: Request, *, replace: bool) -> Response:
        wanted = ChangedProject(data=request.data)
        wanted.is_valid(raise_exception=True)
        project = services.update_project(
            project=self.project, actor=actor_of_caller(self.principal), replace=replace, **wanted.validated_data
        )
        return Response(project_document(request, project))


class ArchiveView(ProjectView):
    required_scope = Scope.PROJECTS_WRITE

    @extend_schema(
        operation_id="archiveProject",
        summary="Archive a project",
        description=(
            "From then on it can only be read: calls to models, and changes of its keys, members, settings and service "
            "accounts are refused with `project_archived`. The default project cannot be archived."
        ),
        tags=TAGS,
        request=None,
        responses={200: ProjectSerializer},
        examples=[ARCHIVED_EXAMPLE],
    )
    def post(self, request: Request, **_: Any) -> Response:
        project = services.archive_project(project=self.project, actor=actor_of_caller(self.principal))
        return Response(project_document(request, project))


class UnarchiveView(ProjectView):
    required_scope = Scope.PROJECTS_WRITE

    @extend_schema(
        operation_id="unarchiveProject",
        summary="Open an archived project again",
        tags=TAGS,
        request=None,
        responses={200: ProjectSerializer},
        examples=[PROJECT_EXAMPLE],
    )
    def post(self, request: Request, **_: Any) -> Response:
        project = services.unarchive_project(project=self.project, actor=actor_of_caller(self.principal))
        return Response(project_document(request, project))


def _with_status(request: Request, projects: ProjectQuerySet) -> ProjectQuerySet:
    include = request.query_params.get("include_archived", "false").lower()
    if include not in ("true", "false"):
        raise BadRequest("'include_archived' must be 'true' or 'false'.", param="include_archived")
    status = request.query_params.get("status")
    if status not in (None, "active", "archived"):
        raise BadRequest("'status' must be 'active' or 'archived'.", param="status")
    if status is None and include == "true":
        return projects
    return projects.filter(archived_at__isnull=status != "archived")

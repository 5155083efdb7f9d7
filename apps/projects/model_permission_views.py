"""OpenAI's name for the models a project may call: the settings `allowed_models` and `denied_models`."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.http.deletion import prefers_minimal
from apps.core.http.serializers import StrictSerializer
from apps.organizations.actors import actor_of_caller
from apps.organizations.roles import Scope
from apps.projects.models import Project
from apps.projects.openapi import (
    DELETED_PERMISSIONS_EXAMPLE,
    NEW_PERMISSIONS_EXAMPLE,
    PERMISSIONS_EXAMPLE,
    TAGS,
    DeletedModelPermissions,
    ModelPermissionsSerializer,
)
from apps.projects.project_services import update_project
from apps.projects.project_settings import MAX_MODELS
from apps.projects.scoping import ProjectView

_LISTS = {"allow_list": "allowed_models", "deny_list": "denied_models"}


class NewModelPermissions(StrictSerializer):
    mode = serializers.ChoiceField(choices=list(_LISTS))
    model_ids = serializers.ListField(child=serializers.CharField(max_length=255), max_length=MAX_MODELS)


class ModelPermissionsView(ProjectView):
    required_scope = {
        "GET": Scope.PROJECTS_READ,
        "POST": Scope.PROJECTS_WRITE,
        "PATCH": Scope.PROJECTS_WRITE,
        "DELETE": Scope.PROJECTS_WRITE,
    }

    @extend_schema(
        operation_id="retrieveModelPermissions",
        summary="Retrieve the models a project may call",
        description="Without a list every model may be called, which is a `deny_list` of none.",
        tags=TAGS,
        responses={200: ModelPermissionsSerializer},
        examples=[PERMISSIONS_EXAMPLE],
    )
    def get(self, request: Request, **_: Any) -> Response:
        return Response(_document(self.project))

    @extend_schema(
        operation_id="updateModelPermissions",
        summary="Set the models a project may call",
        description="The same as its setting `allowed_models` or `denied_models`; one takes the other's place.",
        tags=TAGS,
        request=NewModelPermissions,
        responses={200: ModelPermissionsSerializer},
        examples=[NEW_PERMISSIONS_EXAMPLE, PERMISSIONS_EXAMPLE],
    )
    def post(self, request: Request, **_: Any) -> Response:
        return self._update(request)

    @extend_schema(
        operation_id="patchModelPermissions",
        summary="Set the models a project may call (other verb)",
        tags=TAGS,
        request=NewModelPermissions,
        responses={200: ModelPermissionsSerializer},
        examples=[NEW_PERMISSIONS_EXAMPLE, PERMISSIONS_EXAMPLE],
    )
    def patch(self, request: Request, **_: Any) -> Response:
        return self._update(request)

    @extend_schema(
        operation_id="deleteModelPermissions",
        summary="Let a project call every model",
        tags=TAGS,
        responses={200: DeletedModelPermissions, 204: None},
        examples=[DELETED_PERMISSIONS_EXAMPLE],
    )
    def delete(self, request: Request, **_: Any) -> Response:
        self._set(dict.fromkeys(_LISTS.values()))
        if prefers_minimal(request):
            return Response(status=204)
        return Response({"object": "project.model_permissions.deleted", "deleted": True})

    def _update(self, request: Request) -> Response:
        wanted = NewModelPermissions(data=request.data)
        wanted.is_valid(raise_exception=True)
        fields = wanted.validated_data
        lists = dict.fromkeys(_LISTS.values()) | {_LISTS[fields["mode"]]: fields["model_ids"]}
        return Response(_document(self._set(lists)))

    def _set(self, settings: dict[str, Any]) -> Project:
        return update_project(project=self.project, actor=actor_of_caller(self.principal), settings=settings)


def _document(project: Project) -> dict[str, Any]:
    mode = "allow_list" if "allowed_models" in project.settings else "deny_list"
    ids = project.settings.get(_LISTS[mode], [])
    return {"object": "project.model_permissions", "mode": mode, "model_ids": ids}

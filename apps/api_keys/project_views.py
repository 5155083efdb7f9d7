"""A project's keys, its service accounts' among them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.api_keys.documents import project_key
from apps.api_keys.managing import ManagedKeysView
from apps.api_keys.models import ApiKey, ApiKeyQuerySet
from apps.api_keys.owners import with_access, with_owners
from apps.api_keys.serializers import ChangedKey, NewProjectKey, Rotation
from apps.api_keys.services import Giver, giver_behind
from apps.api_keys.shapes import (
    CHANGE_EXAMPLE,
    CURSORS,
    NARROW_EXAMPLE,
    NEW_PROJECT_KEY_EXAMPLE,
    OVERLAP_EXAMPLE,
    OWNER_ACCESS,
    PROJECT_KEY_EXAMPLES,
    TAGS,
    CreatedProjectKey,
    DeletedKey,
    ProjectKeyList,
    ProjectKeySerializer,
)
from apps.api_keys.tokens import KeyKind
from apps.core.errors import BadRequest
from apps.organizations.roles import Scope
from apps.projects.models import Project
from apps.projects.rights import usable_in
from apps.projects.scoping import ProjectView

_ACCESS = {"active": True, "inactive": False, "any": None}
_UPDATE = (
    "What is given is changed, within your own rights in the project. An empty list of `scopes` gives all of yours. "
    "A service account's key also takes `service_accounts.write`."
)


class _ProjectKeysView(ManagedKeysView, ProjectView):
    """
    Changing a service account's key takes the right to change service accounts: its secret outlives
    the place of whoever reads it.
    """

    kind, form = KeyKind.PROJECT, NewProjectKey

    @property
    def place(self) -> Project:
        return self.project

    @property
    def giver(self) -> Giver:
        return giver_behind(self.principal, self.project)

    def keys(self) -> ApiKeyQuerySet:
        keys = ApiKey.objects.in_organization(self.organization_id).in_project(self.project.pk)
        return with_access(with_owners(keys.of_project().unrevoked()), self.project)

    def document(self, key: ApiKey) -> dict[str, Any]:
        return project_key(self.request, key, self.project)

    def changeable(self, key_id: str) -> ApiKey:
        key = self.found(key_id)
        needed = Scope.SERVICE_ACCOUNTS_WRITE
        if key.service_account_id is not None and needed not in usable_in(self.principal, self.project):
            raise self.principal.refusal(needed, is_archived=self.project.is_archived)
        return key


class ProjectKeysView(_ProjectKeysView):
    required_scope = {"GET": Scope.API_KEYS_READ, "POST": Scope.API_KEYS_WRITE}

    @extend_schema(
        operation_id="listProjectApiKeys",
        summary="List a project's API keys",
        description="Its own and its service accounts'. Personal keys are their owners' business.",
        tags=TAGS,
        parameters=[OWNER_ACCESS, *CURSORS],
        responses={200: ProjectKeyList},
        examples=[PROJECT_KEY_EXAMPLES["list"]],
    )
    def get(self, request: Request, project_id: str, **_: Any) -> Response:
        wanted = request.query_params.get("owner_project_access", "any")
        if wanted not in _ACCESS:
            raise BadRequest("'owner_project_access' must be active, inactive or any.", param="owner_project_access")
        has_access = _ACCESS[wanted]
        return self.list_keys(request, self.keys() if has_access is None else self.keys().filter(has_access=has_access))

    @extend_schema(
        operation_id="createProjectApiKey",
        summary="Create a project API key",
        description=(
            "A machine's key, which calls models in this project and no other. The secret is in this answer and "
            "nowhere else."
        ),
        tags=TAGS,
        request=NewProjectKey,
        responses={200: CreatedProjectKey},
        examples=[NEW_PROJECT_KEY_EXAMPLE, PROJECT_KEY_EXAMPLES["made"]],
    )
    def post(self, request: Request, project_id: str, **_: Any) -> Response:
        return self.create_key(request)


class ProjectKeyView(_ProjectKeysView):
    required_scope = {
        "GET": Scope.API_KEYS_READ,
        "POST": Scope.API_KEYS_WRITE,
        "PATCH": Scope.API_KEYS_WRITE,
        "DELETE": Scope.API_KEYS_WRITE,
    }

    @extend_schema(
        operation_id="retrieveProjectApiKey",
        summary="Retrieve a project API key",
        tags=TAGS,
        responses={200: ProjectKeySerializer},
        examples=[PROJECT_KEY_EXAMPLES["one"]],
    )
    def get(self, request: Request, project_id: str, key_id: str, **_: Any) -> Response:
        return Response(self.document(self.found(key_id)))

    @extend_schema(
        operation_id="updateProjectApiKey",
        summary="Update a project API key",
        description=_UPDATE,
        tags=TAGS,
        request=ChangedKey,
        responses={200: ProjectKeySerializer},
        examples=[NARROW_EXAMPLE, CHANGE_EXAMPLE, PROJECT_KEY_EXAMPLES["one"]],
    )
    def post(self, request: Request, project_id: str, key_id: str, **_: Any) -> Response:
        return self.update_key(request, key_id)

    @extend_schema(
        operation_id="patchProjectApiKey",
        summary="Update a project API key (other verb)",
        description=_UPDATE,
        tags=TAGS,
        request=ChangedKey,
        responses={200: ProjectKeySerializer},
        examples=[CHANGE_EXAMPLE, PROJECT_KEY_EXAMPLES["one"]],
    )
    def patch(self, request: Request, project_id: str, key_id: str, **_: Any) -> Response:
        return self.update_key(request, key_id)

    @extend_schema(
        operation_id="deleteProjectApiKey",
        summary="Delete a project API key",
        description="It stops working everywhere within two seconds.",
        tags=TAGS,
        responses={200: DeletedKey, 204: None},
        examples=[PROJECT_KEY_EXAMPLES["deleted"]],
    )
    def delete(self, request: Request, project_id: str, key_id: str, **_: Any) -> Response:
        return self.delete_key(request, key_id)


class ProjectKeyRotationView(_ProjectKeysView):
    required_scope = Scope.API_KEYS_WRITE

    @extend_schema(
        operation_id="rotateProjectApiKey",
        summary="Rotate a project API key",
        tags=TAGS,
        request=Rotation,
        responses={200: CreatedProjectKey},
        examples=[OVERLAP_EXAMPLE, PROJECT_KEY_EXAMPLES["made"]],
    )
    def post(self, request: Request, project_id: str, key_id: str, **_: Any) -> Response:
        return self.rotate_key(request, key_id)

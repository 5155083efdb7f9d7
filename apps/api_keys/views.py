"""API keys of the caller, under both names they have."""

from __future__ import annotations

import datetime
from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.api_keys import services
from apps.api_keys.models import ApiKey
from apps.api_keys.serializers import ChangedKey, NewKey, Rotation
from apps.api_keys.shapes import (
    CHANGE_EXAMPLE,
    CURSORS,
    EPHEMERAL_EXAMPLE,
    KEY_EXAMPLE,
    KEYS_EXAMPLE,
    MADE_EXAMPLE,
    NEW_KEY_EXAMPLE,
    OVERLAP_EXAMPLE,
    ROTATED_EXAMPLE,
    TAGS,
    ApiKeyList,
    ApiKeySerializer,
    CreatedApiKeySerializer,
)
from apps.api_keys.tokens import KeyKind
from apps.core.errors import Forbidden, NotFound
from apps.core.http.pagination import paginate
from apps.organizations.actors import actor_of_caller
from apps.organizations.permissions import principal_of
from apps.organizations.roles import Scope


def _render(key: ApiKey) -> dict[str, Any]:
    return dict(ApiKeySerializer(key).data)


def _found(request: Request, key_id: str) -> ApiKey:
    key: ApiKey | None = ApiKey.objects.visible_to(principal_of(request)).with_public_id(key_id)
    if key is None:
        raise NotFound("There is no such API key.", code="api_key_not_found")
    return key


class ApiKeysView(APIView):
    required_scope = {"GET": Scope.API_KEYS_READ, "POST": Scope.API_KEYS_WRITE}

    @extend_schema(
        operation_id="listApiKeys",
        summary="List your API keys",
        description="Your personal keys in this organization, and the keys of this project. A key sees its project's.",
        tags=TAGS,
        parameters=CURSORS,
        responses={200: ApiKeyList},
        examples=[KEYS_EXAMPLE],
    )
    def get(self, request: Request) -> Response:
        keys = ApiKey.objects.visible_to(principal_of(request))
        return Response(paginate(request, keys, _render, named="items", always_named=True))

    @extend_schema(
        operation_id="createApiKey",
        summary="Create an API key",
        description=(
            "The secret is in this answer and nowhere else. A key never has more rights than you, and a key that "
            "makes one does not let it live longer than itself, be used from more addresses or call more models. An "
            "ephemeral key calls models for a short while, at most as long as the key that made it."
        ),
        tags=TAGS,
        request=NewKey,
        responses={201: CreatedApiKeySerializer},
        examples=[NEW_KEY_EXAMPLE, EPHEMERAL_EXAMPLE, MADE_EXAMPLE],
    )
    def post(self, request: Request) -> Response:
        wanted = NewKey(data=request.data)
        wanted.is_valid(raise_exception=True)
        principal, fields = principal_of(request), wanted.validated_data
        kind = KeyKind(fields["kind"])
        if kind is KeyKind.USER and principal.key_kind not in (None, KeyKind.USER):
            raise Forbidden(f"A key of kind '{principal.key_kind}' cannot make a personal one.", param="kind")
        project, holder = services.project_behind(principal), services.holder_behind(principal)
        if kind is KeyKind.EPHEMERAL and principal.key_id is not None:
            holder = holder._replace(parent=services.key_behind(principal))
        giver = services.giver_behind(principal, project)
        key, token = services.create_key(
            kind=kind,
            name=fields["name"],
            place=project,
            holder=holder,
            scopes=wanted.scopes_within(giver),
            giver=giver,
            actor=actor_of_caller(principal),
            expires_at=fields.get("expires_at"),
            allowed_addresses=fields.get("allowed_addresses"),
            allowed_models=fields.get("allowed_models"),
            description=fields.get("description", ""),
            conversation=fields.get("conversation_id", ""),
        )
        return Response({**_render(key), "key": token}, status=201)


class ApiKeyView(APIView):
    required_scope = {
        "GET": Scope.API_KEYS_READ,
        "POST": Scope.API_KEYS_WRITE,
        "PATCH": Scope.API_KEYS_WRITE,
        "DELETE": Scope.API_KEYS_WRITE,
    }

    @extend_schema(
        operation_id="retrieveApiKey",
        summary="Retrieve an API key",
        tags=TAGS,
        responses={200: ApiKeySerializer},
        examples=[KEY_EXAMPLE],
    )
    def get(self, request: Request, key_id: str) -> Response:
        return Response(_render(_found(request, key_id)))

    @extend_schema(
        operation_id="updateApiKey",
        summary="Update an API key",
        description="What is given is changed, within your own rights. An empty list of `scopes` gives all of yours.",
        tags=TAGS,
        request=ChangedKey,
        responses={200: ApiKeySerializer},
        examples=[CHANGE_EXAMPLE, KEY_EXAMPLE],
    )
    def post(self, request: Request, key_id: str) -> Response:
        return self._update(request, key_id)

    @extend_schema(
        operation_id="patchApiKey",
        summary="Update an API key (other verb)",
        description="What is given is changed, within your own rights. An empty list of `scopes` gives all of yours.",
        tags=TAGS,
        request=ChangedKey,
        responses={200: ApiKeySerializer},
        examples=[CHANGE_EXAMPLE, KEY_EXAMPLE],
    )
    def patch(self, request: Request, key_id: str) -> Response:
        return self._update(request, key_id)

    @extend_schema(
        operation_id="revokeApiKey",
        summary="Revoke an API key",
        description="It stops working everywhere within two seconds. It stays in the list, as revoked.",
        tags=TAGS,
        responses={204: None},
    )
    def delete(self, request: Request, key_id: str) -> Response:
        actor = actor_of_caller(principal_of(request))
        services.revoke_key(key=_found(request, key_id), actor=actor)
        return Response(status=204)

    def _update(self, request: Request, key_id: str) -> Response:
        principal, key = principal_of(request), _found(request, key_id)
        wanted = ChangedKey(data=request.data, context={"kind": key.kind})
        wanted.is_valid(raise_exception=True)
        giver = services.giver_behind(principal, key.project)
        changes = wanted.changes_within(giver)
        return Response(_render(services.update_key(key=key, giver=giver, actor=actor_of_caller(principal), **changes)))


class RotationView(APIView):
    required_scope = Scope.API_KEYS_WRITE

    @extend_schema(
        operation_id="rotateApiKey",
        summary="Rotate an API key",
        description=(
            "Gives the key a new secret, which is in this answer and nowhere else. The secret before works on for "
            "`overlap_seconds` (a day by default, seven at most; 0 ends it at once) and any older one no longer. "
            "It stays one key: its id, its limits and its usage."
        ),
        tags=TAGS,
        request=Rotation,
        responses={200: CreatedApiKeySerializer},
        examples=[OVERLAP_EXAMPLE, ROTATED_EXAMPLE],
    )
    def post(self, request: Request, key_id: str) -> Response:
        wanted = Rotation(data=request.data)
        wanted.is_valid(raise_exception=True)
        principal = principal_of(request)
        key = _found(request, key_id)
        key, token = services.rotate_key(
            key=key,
            actor=actor_of_caller(principal),
            giver=services.giver_behind(principal, key.project),
            overlap=datetime.timedelta(seconds=wanted.validated_data["overlap_seconds"]),
        )
        return Response({**_render(key), "key": token})


@extend_schema_view(
    get=extend_schema(operation_id="listUserApiKeys", summary="List your API keys (other name)"),
    post=extend_schema(operation_id="createUserApiKey", summary="Create an API key (other name)"),
)
class UserApiKeysView(ApiKeysView):
    """The same under the name older clients use."""


@extend_schema_view(
    get=extend_schema(operation_id="retrieveUserApiKey", summary="Retrieve an API key (other name)"),
    post=extend_schema(operation_id="updateUserApiKey", summary="Update an API key (other name)"),
    patch=extend_schema(operation_id="patchUserApiKey", summary="Update an API key (other name and verb)"),
    delete=extend_schema(operation_id="revokeUserApiKey", summary="Revoke an API key (other name)"),
)
class UserApiKeyView(ApiKeyView):
    """The same under the name older clients use."""


@extend_schema_view(post=extend_schema(operation_id="rotateUserApiKey", summary="Rotate an API key (other name)"))
class UserRotationView(RotationView):
    """The same under the name older clients use."""

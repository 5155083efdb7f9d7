"""API keys of the caller, under both names they have."""

from __future__ import annotations

import datetime
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.api_keys import services
from apps.api_keys.models import ApiKey
from apps.api_keys.serializers import ApiKeyList, ApiKeySerializer, CreatedApiKeySerializer, NewKey, Rotation
from apps.api_keys.tokens import KeyKind
from apps.core.errors import Forbidden, NotFound
from apps.core.http.pagination import paginate
from apps.organizations.actors import actor_of_caller
from apps.organizations.permissions import principal_of
from apps.organizations.roles import Scope

_KEY = {
    "id": "key_7Qm2b1Jq8sT2vW5yZ7aC9dE3",
    "object": "api_key",
    "name": "laptop",
    "kind": "user",
    "prefix": "sk_",
    "suffix": "x9Kd",
    "permissions": ["read", "write"],
    "scopes": ["api_keys.read", "api_keys.write", "inference", "models.read"],
    "status": "active",
    "created_at": "2026-11-21T09:30:00Z",
    "expires_at": "2026-12-21T09:30:00Z",
    "last_used_at": None,
    "previous_expires_at": None,
}
_WITH_SECRET = {**_KEY, "key": "sk_4fT0pLq8sT2vW5yZ7aC9dE3b1Jq8sT2vW5x9Kd"}
_LIST = {
    "object": "list",
    "data": [_KEY],
    "first_id": _KEY["id"],
    "last_id": _KEY["id"],
    "has_more": False,
    "next_after": None,
    "total": 1,
    "items": [_KEY],
}
_CURSORS = [
    OpenApiParameter("limit", OpenApiTypes.INT, description="1 to 100, 20 by default."),
    OpenApiParameter("after", OpenApiTypes.STR, description="The last id of the page before."),
    OpenApiParameter("before", OpenApiTypes.STR, description="The first id of the page after."),
    OpenApiParameter("order", OpenApiTypes.STR, enum=["asc", "desc"]),
    OpenApiParameter("offset", OpenApiTypes.INT, description="Instead of a cursor."),
]
_TAGS = ["API keys"]


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
        tags=_TAGS,
        parameters=_CURSORS,
        responses={200: ApiKeyList},
        examples=[OpenApiExample("Keys", value=_LIST, response_only=True)],
    )
    def get(self, request: Request) -> Response:
        keys = ApiKey.objects.visible_to(principal_of(request))
        return Response(paginate(request, keys, _render, named="items", always_named=True))

    @extend_schema(
        operation_id="createApiKey",
        summary="Create an API key",
        description=(
            "The secret is in this answer and nowhere else. A key never has more rights than you, and a key that "
            "makes one does not let it live longer than itself."
        ),
        tags=_TAGS,
        request=NewKey,
        responses={201: CreatedApiKeySerializer},
        examples=[
            OpenApiExample(
                "A key for 30 days",
                value={"name": "laptop", "permissions": ["read", "write"], "expires_in_days": 30},
                request_only=True,
            ),
            OpenApiExample("The new key", value=_WITH_SECRET, response_only=True, status_codes=["201"]),
        ],
    )
    def post(self, request: Request) -> Response:
        wanted = NewKey(data=request.data)
        wanted.is_valid(raise_exception=True)
        principal, fields = principal_of(request), wanted.validated_data
        kind = KeyKind(fields["kind"])
        if kind is KeyKind.USER and principal.key_kind not in (None, KeyKind.USER):
            raise Forbidden(f"A key of kind '{principal.key_kind}' cannot make a personal one.", param="kind")
        project = services.project_behind(principal)
        key, token = services.create_key(
            kind=kind,
            name=fields["name"],
            place=project,
            holder=services.holder_behind(principal),
            scopes=wanted.scopes_for(principal),
            giver=services.giver_behind(principal, project),
            actor=actor_of_caller(principal),
            expires_at=fields.get("expires_at"),
        )
        return Response({**_render(key), "key": token}, status=201)


class ApiKeyView(APIView):
    required_scope = {"GET": Scope.API_KEYS_READ, "DELETE": Scope.API_KEYS_WRITE}

    @extend_schema(
        operation_id="retrieveApiKey",
        summary="Retrieve an API key",
        tags=_TAGS,
        responses={200: ApiKeySerializer},
        examples=[OpenApiExample("A key", value=_KEY, response_only=True)],
    )
    def get(self, request: Request, key_id: str) -> Response:
        return Response(_render(_found(request, key_id)))

    @extend_schema(
        operation_id="revokeApiKey",
        summary="Revoke an API key",
        description="It stops working everywhere within two seconds. It stays in the list, as revoked.",
        tags=_TAGS,
        responses={204: None},
    )
    def delete(self, request: Request, key_id: str) -> Response:
        actor = actor_of_caller(principal_of(request))
        services.revoke_key(key=_found(request, key_id), actor=actor)
        return Response(status=204)


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
        tags=_TAGS,
        request=Rotation,
        responses={200: CreatedApiKeySerializer},
        examples=[
            OpenApiExample("An hour to change over", value={"overlap_seconds": 3600}, request_only=True),
            OpenApiExample(
                "The new secret",
                value={**_WITH_SECRET, "previous_expires_at": "2026-11-21T10:30:00Z"},
                response_only=True,
            ),
        ],
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
    delete=extend_schema(operation_id="revokeUserApiKey", summary="Revoke an API key (other name)"),
)
class UserApiKeyView(ApiKeyView):
    """The same under the name older clients use."""


@extend_schema_view(post=extend_schema(operation_id="rotateUserApiKey", summary="Rotate an API key (other name)"))
class UserRotationView(RotationView):
    """The same under the name older clients use."""

"""API keys of the caller, and who the caller is."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.models import User
from apps.api_keys import services
from apps.api_keys.models import ApiKey
from apps.api_keys.serializers import (
    ApiKeyList,
    ApiKeySerializer,
    CreatedApiKeySerializer,
    Me,
    NewKey,
)
from apps.api_keys.tokens import KeyKind
from apps.core.errors import NotFound
from apps.core.http.pagination import paginate
from apps.organizations.models import Membership
from apps.organizations.roles import Scope
from apps.projects.models import Project
from apps.projects.permissions import ANY_CREDENTIAL, principal_of
from apps.projects.principal import Principal

_KEY = {
    "id": "key_7Qm2b1Jq8sT2vW5yZ7aC9dE3",
    "object": "api_key",
    "name": "laptop",
    "kind": "user",
    "prefix": "sk_",
    "suffix": "x9Kd",
    "scopes": ["inference", "models.read"],
    "status": "active",
    "created_at": "2026-11-21T09:30:00Z",
    "expires_at": None,
    "last_used_at": None,
}
_CURSORS = [
    OpenApiParameter("limit", OpenApiTypes.INT, description="1 to 100, 20 by default."),
    OpenApiParameter("after", OpenApiTypes.STR, description="The last id of the page before."),
    OpenApiParameter("before", OpenApiTypes.STR, description="The first id of the page after."),
    OpenApiParameter("order", OpenApiTypes.STR, enum=["asc", "desc"]),
    OpenApiParameter("offset", OpenApiTypes.INT, description="Instead of a cursor."),
]


def keys_of(principal: Principal) -> Any:
    """The keys a caller may see: its own, and its project's."""
    own = ApiKey.objects.in_organization(principal.organization_id)
    return own.personal(principal.user_id) | own.in_project(principal.project_id).filter(kind=KeyKind.PROJECT)


class ApiKeysView(APIView):
    required_scope = {"GET": Scope.API_KEYS_READ, "POST": Scope.API_KEYS_WRITE}

    @extend_schema(
        operation_id="listApiKeys",
        summary="List your API keys",
        tags=["API keys"],
        parameters=_CURSORS,
        responses={200: ApiKeyList},
        examples=[OpenApiExample("Keys", value={"object": "list", "data": [_KEY], "has_more": False, "total": 1})],
    )
    def get(self, request: Request) -> Response:
        page = paginate(request, keys_of(principal_of(request)), _render, named="items", always_named=True)
        return Response(page)

    @extend_schema(
        operation_id="createApiKey",
        summary="Create an API key",
        description="The secret is in this answer and nowhere else. A key never has more rights than you.",
        tags=["API keys"],
        request=NewKey,
        responses={201: CreatedApiKeySerializer},
        examples=[
            OpenApiExample("A key for 30 days", value={"name": "laptop", "expires_in_days": 30}, request_only=True),
            OpenApiExample(
                "The new key",
                value={**_KEY, "key": "sk_4fT0…"},
                response_only=True,
                status_codes=["201"],
            ),
        ],
    )
    def post(self, request: Request) -> Response:
        wanted = NewKey(data=request.data)
        wanted.is_valid(raise_exception=True)
        principal = principal_of(request)
        fields = wanted.validated_data
        key, token = services.create_key(
            kind=KeyKind(fields["kind"]),
            name=fields["name"],
            project=Project.objects.get(pk=principal.project_id),
            user=User.objects.get(pk=principal.user_id),
            scopes=[Scope(scope) for scope in fields["scopes"]] if "scopes" in fields else None,
            allowed=principal.scopes,
            expires_at=fields.get("expires_at"),
        )
        return Response({**_render(key), "key": token}, status=201)


class ApiKeyView(APIView):
    required_scope = {"DELETE": Scope.API_KEYS_WRITE}

    @extend_schema(
        operation_id="revokeApiKey",
        summary="Revoke an API key",
        description="It stops working everywhere within two seconds.",
        tags=["API keys"],
        responses={204: None},
    )
    def delete(self, request: Request, key_id: str) -> Response:
        key = keys_of(principal_of(request)).filter(public_id=key_id).first()
        if key is None:
            raise NotFound("There is no such API key.", code="api_key_not_found")
        services.revoke_key(key=key)
        return Response(status=204)


def _render(key: ApiKey) -> dict[str, Any]:
    return dict(ApiKeySerializer(key).data)


class MeView(APIView):
    required_scope = ANY_CREDENTIAL

    @extend_schema(
        operation_id="me",
        summary="Who is calling",
        description="Answers for every kind of credential; for a key it is the key's user.",
        tags=["Authentication"],
        responses={200: Me},
        examples=[
            OpenApiExample(
                "A person",
                value={
                    "id": "user_4Xn0b1Jq8sT2vW5yZ7aC9dE3",
                    "object": "user",
                    "email": "ada@example.com",
                    "name": "Ada",
                    "username": "ada",
                    "picture": None,
                    "is_guest": False,
                    "created_at": "2026-11-21T09:30:00Z",
                    "updated_at": "2026-11-21T09:30:00Z",
                    "organizations": [
                        {"id": "org_5Yp1…", "name": "Ada's organization", "role": "owner", "is_personal": True}
                    ],
                },
            )
        ],
    )
    def get(self, request: Request) -> Response:
        user = User.objects.get(pk=principal_of(request).user_id)
        memberships = Membership.objects.of(user.pk)
        return Response(
            {
                "id": user.pk,
                "object": "user",
                "email": user.email,
                "name": user.name,
                "username": user.username,
                "picture": user.picture or None,
                "is_guest": user.is_guest,
                "created_at": user.created_at,
                "updated_at": user.updated_at,
                "organizations": [
                    {
                        "id": membership.organization.public_id,
                        "name": membership.organization.name,
                        "role": membership.role,
                        "is_personal": membership.organization.is_personal,
                    }
                    for membership in memberships
                ],
            }
        )

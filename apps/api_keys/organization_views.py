"""An organization's own keys: admin keys manage it, organization keys call models in all of its projects."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response

from apps.api_keys.managing import ManagedKeysView
from apps.api_keys.serializers import ChangedKey, NewAdminKey, NewKeyFields, NewOrganizationKey, Rotation
from apps.api_keys.shapes import (
    ADMIN_KEY_EXAMPLES,
    CHANGE_EXAMPLE,
    CURSORS,
    NEW_ADMIN_KEY_EXAMPLE,
    NEW_PROJECT_KEY_EXAMPLE,
    ORGANIZATION_KEY_EXAMPLES,
    OVERLAP_EXAMPLE,
    TAGS,
    CreatedManagedKey,
    DeletedKey,
    ManagedKeyList,
    ManagedKeySerializer,
)
from apps.api_keys.tokens import KeyKind
from apps.organizations.roles import Scope

_READ_OR_MAKE = {"GET": Scope.ADMIN_KEYS_READ, "POST": Scope.ADMIN_KEYS_WRITE}
_READ_OR_CHANGE = {
    "GET": Scope.ADMIN_KEYS_READ,
    "POST": Scope.ADMIN_KEYS_WRITE,
    "PATCH": Scope.ADMIN_KEYS_WRITE,
    "DELETE": Scope.ADMIN_KEYS_WRITE,
}
_UPDATE = "What is given is changed, within your own rights. An empty list of `scopes` gives all of yours."
_ENDED = "It stops working everywhere within two seconds."


class _AdminKeys(ManagedKeysView):
    kind: ClassVar[KeyKind] = KeyKind.ADMIN
    form: ClassVar[type[NewKeyFields]] = NewAdminKey


class _OrganizationKeys(ManagedKeysView):
    kind: ClassVar[KeyKind] = KeyKind.ORGANIZATION
    form: ClassVar[type[NewKeyFields]] = NewOrganizationKey


class AdminKeysView(_AdminKeys):
    required_scope = _READ_OR_MAKE

    @extend_schema(
        operation_id="listAdminApiKeys",
        summary="List admin API keys",
        tags=TAGS,
        parameters=CURSORS,
        responses={200: ManagedKeyList},
        examples=[ADMIN_KEY_EXAMPLES["list"]],
    )
    def get(self, request: Request, **_: Any) -> Response:
        return self.list_keys(request)

    @extend_schema(
        operation_id="createAdminApiKey",
        summary="Create an admin API key",
        description=(
            "It manages the organization as far as you may, and calls no models. The secret is in this answer and "
            "nowhere else."
        ),
        tags=TAGS,
        request=NewAdminKey,
        responses={200: CreatedManagedKey},
        examples=[NEW_ADMIN_KEY_EXAMPLE, ADMIN_KEY_EXAMPLES["made"]],
    )
    def post(self, request: Request, **_: Any) -> Response:
        return self.create_key(request)


class AdminKeyView(_AdminKeys):
    required_scope = _READ_OR_CHANGE

    @extend_schema(
        operation_id="retrieveAdminApiKey",
        summary="Retrieve an admin API key",
        tags=TAGS,
        responses={200: ManagedKeySerializer},
        examples=[ADMIN_KEY_EXAMPLES["one"]],
    )
    def get(self, request: Request, key_id: str, **_: Any) -> Response:
        return Response(self.document(self.found(key_id)))

    @extend_schema(
        operation_id="updateAdminApiKey",
        summary="Update an admin API key",
        description=_UPDATE,
        tags=TAGS,
        request=ChangedKey,
        responses={200: ManagedKeySerializer},
        examples=[CHANGE_EXAMPLE, ADMIN_KEY_EXAMPLES["one"]],
    )
    def post(self, request: Request, key_id: str, **_: Any) -> Response:
        return self.update_key(request, key_id)

    @extend_schema(
        operation_id="patchAdminApiKey",
        summary="Update an admin API key (other verb)",
        description=_UPDATE,
        tags=TAGS,
        request=ChangedKey,
        responses={200: ManagedKeySerializer},
        examples=[CHANGE_EXAMPLE, ADMIN_KEY_EXAMPLES["one"]],
    )
    def patch(self, request: Request, key_id: str, **_: Any) -> Response:
        return self.update_key(request, key_id)

    @extend_schema(
        operation_id="deleteAdminApiKey",
        summary="Delete an admin API key",
        description=_ENDED,
        tags=TAGS,
        responses={200: DeletedKey, 204: None},
        examples=[ADMIN_KEY_EXAMPLES["deleted"]],
    )
    def delete(self, request: Request, key_id: str, **_: Any) -> Response:
        return self.delete_key(request, key_id)


class AdminKeyRotationView(_AdminKeys):
    required_scope = Scope.ADMIN_KEYS_WRITE

    @extend_schema(
        operation_id="rotateAdminApiKey",
        summary="Rotate an admin API key",
        tags=TAGS,
        request=Rotation,
        responses={200: CreatedManagedKey},
        examples=[OVERLAP_EXAMPLE, ADMIN_KEY_EXAMPLES["made"]],
    )
    def post(self, request: Request, key_id: str, **_: Any) -> Response:
        return self.rotate_key(request, key_id)


_SHOWN = ORGANIZATION_KEY_EXAMPLES


@extend_schema_view(
    get=extend_schema(
        operation_id="listOrganizationApiKeys", summary="List organization API keys", examples=[_SHOWN["list"]]
    ),
    post=extend_schema(
        operation_id="createOrganizationApiKey",
        summary="Create an organization API key",
        description=(
            "It calls models in every project of the organization that you have a place in: in the default one, or the "
            "one that `OpenAI-Project` names. The secret is in this answer and nowhere else."
        ),
        request=NewOrganizationKey,
        examples=[NEW_PROJECT_KEY_EXAMPLE, _SHOWN["made"]],
    ),
)
class OrganizationKeysView(_OrganizationKeys, AdminKeysView):
    """The same for keys of another kind."""


@extend_schema_view(
    get=extend_schema(
        operation_id="retrieveOrganizationApiKey", summary="Retrieve an organization API key", examples=[_SHOWN["one"]]
    ),
    post=extend_schema(
        operation_id="updateOrganizationApiKey",
        summary="Update an organization API key",
        examples=[CHANGE_EXAMPLE, _SHOWN["one"]],
    ),
    patch=extend_schema(
        operation_id="patchOrganizationApiKey",
        summary="Update an organization API key (other verb)",
        examples=[CHANGE_EXAMPLE, _SHOWN["one"]],
    ),
    delete=extend_schema(
        operation_id="deleteOrganizationApiKey", summary="Delete an organization API key", examples=[_SHOWN["deleted"]]
    ),
)
class OrganizationKeyView(_OrganizationKeys, AdminKeyView):
    """The same for keys of another kind."""


@extend_schema_view(
    post=extend_schema(
        operation_id="rotateOrganizationApiKey",
        summary="Rotate an organization API key",
        examples=[OVERLAP_EXAMPLE, _SHOWN["made"]],
    )
)
class OrganizationKeyRotationView(_OrganizationKeys, AdminKeyRotationView):
    """The same for keys of another kind."""

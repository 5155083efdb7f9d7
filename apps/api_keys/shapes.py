"""Shapes and examples of keys in the API's description."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter
from rest_framework import serializers

from apps.api_keys.models import ApiKey

TAGS = ["API keys"]
CURSORS = [
    OpenApiParameter("limit", OpenApiTypes.INT, description="1 to 100, 20 by default."),
    OpenApiParameter("after", OpenApiTypes.STR, description="The last id of the page before."),
    OpenApiParameter("before", OpenApiTypes.STR, description="The first id of the page after."),
    OpenApiParameter("order", OpenApiTypes.STR, enum=["asc", "desc"]),
    OpenApiParameter("offset", OpenApiTypes.INT, description="Instead of a cursor."),
]
OWNER_ACCESS = OpenApiParameter(
    "owner_project_access",
    OpenApiTypes.STR,
    enum=["active", "inactive", "any"],
    description="Only keys whose owner has a place in the project, or has none. `any` by default.",
)


class ApiKeySerializer(serializers.Serializer[ApiKey]):
    """A key as its owner sees it. `key` is there once, in the answer that made it."""

    id = serializers.CharField(source="public_id")
    object = serializers.CharField(default="api_key")
    name = serializers.CharField()
    description = serializers.CharField()
    kind = serializers.CharField()
    prefix = serializers.CharField()
    suffix = serializers.CharField(source="last_four")
    permissions = serializers.ListField(child=serializers.CharField())
    scopes = serializers.ListField(child=serializers.CharField())
    status = serializers.ChoiceField(choices=["active", "expired", "revoked"])
    allowed_addresses = serializers.ListField(child=serializers.CharField())
    allowed_models = serializers.ListField(child=serializers.CharField(), allow_null=True)
    conversation_id = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)
    last_used_at = serializers.DateTimeField(allow_null=True)
    previous_expires_at = serializers.DateTimeField(
        allow_null=True, help_text="When the secret before the last rotation stops working, or stopped."
    )

    def get_conversation_id(self, key: ApiKey) -> str | None:
        return key.conversation or None


class CreatedApiKeySerializer(ApiKeySerializer):
    key = serializers.CharField(help_text="The secret. It is shown this once.")


class _Page(serializers.Serializer[Any]):
    object = serializers.CharField(default="list")
    first_id = serializers.CharField(allow_null=True)
    last_id = serializers.CharField(allow_null=True)
    has_more = serializers.BooleanField()
    next_after = serializers.CharField(allow_null=True)
    total = serializers.IntegerField()
    limit = serializers.IntegerField()
    offset = serializers.IntegerField()


class ApiKeyList(_Page):
    data = ApiKeySerializer(many=True)  # type: ignore[assignment]  # the contract's key shadows DRF's attribute
    items = ApiKeySerializer(many=True)


class ManagedKeySerializer(serializers.Serializer[Any]):
    """A key as those see it who manage it. `value` and `key` are there once, in the answer that made them."""

    id = serializers.CharField()
    object = serializers.CharField()
    kind = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField()
    redacted_value = serializers.CharField()
    permissions = serializers.ListField(child=serializers.CharField())
    scopes = serializers.ListField(child=serializers.CharField())
    is_active = serializers.BooleanField(help_text="Not expired.")
    status = serializers.ChoiceField(choices=["active", "expired"])
    allowed_addresses = serializers.ListField(child=serializers.CharField())
    allowed_models = serializers.ListField(child=serializers.CharField(), allow_null=True)
    created_at = serializers.IntegerField()
    expires_at = serializers.IntegerField(allow_null=True)
    last_used_at = serializers.IntegerField(allow_null=True)
    last_used = serializers.DateTimeField(allow_null=True)
    previous_expires_at = serializers.IntegerField(allow_null=True)
    owner = serializers.DictField()


class CreatedManagedKey(ManagedKeySerializer):
    value = serializers.CharField(help_text="The secret. It is shown this once.")
    key = serializers.CharField(help_text="The same.")


class ManagedKeyList(_Page):
    data = ManagedKeySerializer(many=True)  # type: ignore[assignment]  # the contract's key shadows DRF's attribute
    api_keys = ManagedKeySerializer(many=True)


class ProjectKeySerializer(ManagedKeySerializer):
    project_id = serializers.CharField()
    owner_project_access = serializers.ChoiceField(choices=["active", "inactive"])


class CreatedProjectKey(ProjectKeySerializer):
    value = serializers.CharField(help_text="The secret. It is shown this once.")
    key = serializers.CharField(help_text="The same.")


class ProjectKeyList(_Page):
    data = ProjectKeySerializer(many=True)  # type: ignore[assignment]  # the contract's key shadows DRF's attribute
    api_keys = ProjectKeySerializer(many=True)


class DeletedKey(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = serializers.CharField()
    deleted = serializers.BooleanField()


_ID = "key_7Qm2b1Jq8sT2vW5yZ7aC9dE3"
_SECRET_END = "4fT0pLq8sT2vW5yZ7aC9dE3b1Jq8sT2vW5x9Kd"  # noqa: S105  an example
_KEY = {
    "id": _ID,
    "object": "api_key",
    "name": "laptop",
    "description": "",
    "kind": "user",
    "prefix": "sk_",
    "suffix": "x9Kd",
    "permissions": ["read", "write"],
    "scopes": [
        "api_keys.read",
        "api_keys.write",
        "conversations.read",
        "conversations.write",
        "inference",
        "models.read",
    ],
    "status": "active",
    "allowed_addresses": [],
    "allowed_models": None,
    "conversation_id": None,
    "created_at": "2026-11-21T09:30:00Z",
    "expires_at": "2026-12-21T09:30:00Z",
    "last_used_at": None,
    "previous_expires_at": None,
}
_ADMIN_KEY = {
    "id": _ID,
    "object": "organization.admin_api_key",
    "kind": "admin",
    "name": "Production Admin Key",
    "description": "",
    "redacted_value": "jan_ak_…x9Kd",
    "permissions": ["read"],
    "scopes": ["members.read", "projects.read", "usage.read"],
    "is_active": True,
    "status": "active",
    "allowed_addresses": ["192.0.2.0/24"],
    "allowed_models": None,
    "created_at": 1763700000,
    "expires_at": 1767225599,
    "last_used_at": 1763712600,
    "last_used": "2025-11-21T08:10:00Z",
    "previous_expires_at": None,
    "owner": {
        "type": "user",
        "object": "organization.user",
        "id": "user_4Xn0b1Jq8sT2vW5yZ7aC9dE3",
        "name": "Ada Lovelace",
        "role": "owner",
        "created_at": 1763600000,
    },
}
_ORGANIZATION_KEY = {
    **_ADMIN_KEY,
    "object": "organization.api_key",
    "kind": "organization",
    "redacted_value": "jan_ok_…x9Kd",
    "permissions": ["read", "write"],
    "scopes": _KEY["scopes"],
}
_PROJECT_KEY = {
    **_ORGANIZATION_KEY,
    "object": "organization.project.api_key",
    "kind": "project",
    "redacted_value": "jan_pk_…x9Kd",
    "project_id": "proj_6Zq2b1Jq8sT2vW5yZ7aC9dE3",
    "owner": {
        "type": "user",
        "user": {
            "id": "user_4Xn0b1Jq8sT2vW5yZ7aC9dE3",
            "name": "Ada Lovelace",
            "email": "ada@example.com",
            "role": "owner",
            "created_at": 1763600000,
        },
    },
    "owner_project_access": "active",
}


def _page(named: str, row: dict[str, Any]) -> dict[str, Any]:
    ends = {
        "first_id": _ID,
        "last_id": _ID,
        "has_more": False,
        "next_after": None,
        "total": 1,
        "limit": 20,
        "offset": 0,
    }
    return {"object": "list", "data": [row], **ends, "limit": 20, "offset": 0, named: [row]}


def _with_secret(row: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {**row, "value": prefix + _SECRET_END, "key": prefix + _SECRET_END}


def _shown(name: str, value: Any, *statuses: str) -> OpenApiExample:
    return OpenApiExample(name, value=value, response_only=True, status_codes=list(statuses) or None)


def _sent(name: str, value: Any) -> OpenApiExample:
    return OpenApiExample(name, value=value, request_only=True)


KEYS_EXAMPLE = _shown("Keys", _page("items", _KEY))
KEY_EXAMPLE = _shown("A key", _KEY)
MADE_EXAMPLE = _shown("The new key", {**_KEY, "key": f"sk_{_SECRET_END}"}, "201")
ROTATED_EXAMPLE = _shown(
    "The new secret", {**_KEY, "previous_expires_at": "2026-11-21T10:30:00Z", "key": f"sk_{_SECRET_END}"}
)
NEW_KEY_EXAMPLE = _sent(
    "A key for 30 days", {"name": "laptop", "permissions": ["read", "write"], "expires_in_days": 30}
)
EPHEMERAL_EXAMPLE = _sent(
    "An ephemeral key", {"kind": "ephemeral", "expires_in_seconds": 600, "allowed_models": ["jan-v1-4b"]}
)
CHANGE_EXAMPLE = _sent(
    "Another name, one network", {"name": "Production", "allowed_addresses": ["192.0.2.0/24", "2001:db8::/32"]}
)
NARROW_EXAMPLE = _sent("Narrower", {"scopes": ["inference"], "expires_in_seconds": 86400})
OVERLAP_EXAMPLE = _sent("An hour to change over", {"overlap_seconds": 3600})
NEW_ADMIN_KEY_EXAMPLE = _sent(
    "A reading key", {"name": "Development Admin Key", "permissions": ["read"], "expires_at": "2026-12-31T23:59:59Z"}
)
NEW_PROJECT_KEY_EXAMPLE = _sent("A key", {"name": "Development API Key", "expires_at": "2026-12-31T23:59:59Z"})
ADMIN_KEY_EXAMPLES = {
    "list": _shown("Admin keys", _page("api_keys", _ADMIN_KEY)),
    "one": _shown("An admin key", _ADMIN_KEY),
    "made": _shown("With its secret", _with_secret(_ADMIN_KEY, "jan_ak_")),
    "deleted": _shown("Deleted", {"id": _ID, "object": "organization.admin_api_key.deleted", "deleted": True}, "200"),
}
ORGANIZATION_KEY_EXAMPLES = {
    "list": _shown("Organization keys", _page("api_keys", _ORGANIZATION_KEY)),
    "one": _shown("An organization key", _ORGANIZATION_KEY),
    "made": _shown("With its secret", _with_secret(_ORGANIZATION_KEY, "jan_ok_")),
    "deleted": _shown("Deleted", {"id": _ID, "object": "organization.api_key.deleted", "deleted": True}, "200"),
}
PROJECT_KEY_EXAMPLES = {
    "list": _shown("Project keys", _page("api_keys", _PROJECT_KEY)),
    "one": _shown("A project key", _PROJECT_KEY),
    "made": _shown("With its secret", _with_secret(_PROJECT_KEY, "jan_pk_")),
    "deleted": _shown("Deleted", {"id": _ID, "object": "organization.project.api_key.deleted", "deleted": True}, "200"),
}

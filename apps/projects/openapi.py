"""Shapes and examples of projects in the API's description."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter
from rest_framework import serializers

TAGS = ["Projects"]
CURSORS = [
    OpenApiParameter("limit", OpenApiTypes.INT, description="1 to 100, 20 by default."),
    OpenApiParameter("after", OpenApiTypes.STR, description="The last id of the page before."),
    OpenApiParameter("before", OpenApiTypes.STR, description="The first id of the page after."),
    OpenApiParameter("order", OpenApiTypes.STR, enum=["asc", "desc"]),
    OpenApiParameter("offset", OpenApiTypes.INT, description="Instead of a cursor."),
]


class ProjectSerializer(serializers.Serializer[Any]):
    id = serializers.CharField()
    public_id = serializers.CharField(help_text="The same as `id`.")
    object = serializers.CharField(default="organization.project")
    name = serializers.CharField()
    description = serializers.CharField()
    status = serializers.ChoiceField(choices=["active", "archived"])
    is_default = serializers.BooleanField()
    settings = serializers.DictField()
    created_at = serializers.IntegerField()
    updated_at = serializers.IntegerField()
    archived_at = serializers.IntegerField(allow_null=True)
    created_by = serializers.EmailField(allow_null=True)


class ListSerializer(serializers.Serializer[Any]):
    object = serializers.CharField(default="list")
    first_id = serializers.CharField(allow_null=True)
    last_id = serializers.CharField(allow_null=True)
    has_more = serializers.BooleanField()
    next_after = serializers.CharField(allow_null=True)
    total = serializers.IntegerField()
    limit = serializers.IntegerField()
    offset = serializers.IntegerField()


class ProjectList(ListSerializer):
    data = ProjectSerializer(many=True)  # type: ignore[assignment]  # the contract's key shadows DRF's attribute
    projects = ProjectSerializer(many=True)


class DeletedSerializer(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = serializers.CharField()
    deleted = serializers.BooleanField()


class ProjectUserSerializer(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = serializers.CharField(default="organization.project.user")
    role = serializers.ChoiceField(choices=["owner", "member", "viewer"])
    name = serializers.CharField()
    email = serializers.EmailField(allow_null=True)
    added_at = serializers.IntegerField()


class ProjectUserList(ListSerializer):
    data = ProjectUserSerializer(many=True)  # type: ignore[assignment]  # the contract's key shadows DRF's attribute
    users = ProjectUserSerializer(many=True)


class ModelPermissionsSerializer(serializers.Serializer[Any]):
    object = serializers.CharField(default="project.model_permissions")
    mode = serializers.ChoiceField(choices=["allow_list", "deny_list"])
    model_ids = serializers.ListField(child=serializers.CharField())


class DeletedModelPermissions(serializers.Serializer[Any]):
    object = serializers.CharField(default="project.model_permissions.deleted")
    deleted = serializers.BooleanField()


def page_of(named: str, row: dict[str, Any]) -> dict[str, Any]:
    """Return a list of one row, as an example."""
    ends = {"first_id": row["id"], "last_id": row["id"], "has_more": False, "next_after": None, "total": 1}
    return {"object": "list", "data": [row], **ends, "limit": 20, "offset": 0, named: [row]}


_PROJECT = {
    "id": "proj_4Xn0b1Jq8sT2vW5yZ7aC9dE3",
    "public_id": "proj_4Xn0b1Jq8sT2vW5yZ7aC9dE3",
    "object": "organization.project",
    "name": "AI Research Project",
    "description": "Machine learning research initiative",
    "status": "active",
    "is_default": False,
    "settings": {"default_model": "jan-v1-4b", "max_conversations": 1000},
    "created_at": 1763700000,
    "updated_at": 1763700000,
    "archived_at": None,
    "created_by": "admin@example.com",
}
_USER = {
    "id": "user_4Xn0b1Jq8sT2vW5yZ7aC9dE3",
    "object": "organization.project.user",
    "role": "member",
    "name": "Ada Lovelace",
    "email": "ada@example.com",
    "added_at": 1763700000,
}
_PERMISSIONS = {"object": "project.model_permissions", "mode": "allow_list", "model_ids": ["jan-v1-4b"]}

PROJECT_EXAMPLE = OpenApiExample("A project", value=_PROJECT, response_only=True)
PROJECTS_EXAMPLE = OpenApiExample("Projects", value=page_of("projects", _PROJECT), response_only=True)
ARCHIVED_EXAMPLE = OpenApiExample(
    "Archived", value={**_PROJECT, "status": "archived", "archived_at": 1763800000}, response_only=True
)
NEW_PROJECT_EXAMPLE = OpenApiExample(
    "A new project",
    value={"name": "New AI Project", "settings": {"default_model": "jan-v1-4b", "allowed_models": ["jan-v1-4b"]}},
    request_only=True,
)
UPDATE_EXAMPLE = OpenApiExample(
    "Another name and default model",
    value={"name": "Updated Project Name", "settings": {"default_model": "jan-v1-7b"}},
    request_only=True,
)
DELETED_PROJECT_EXAMPLE = OpenApiExample(
    "Deleted",
    value={"id": _PROJECT["id"], "object": "organization.project.deleted", "deleted": True},
    response_only=True,
    status_codes=["200"],
)
USER_EXAMPLE = OpenApiExample("A member", value=_USER, response_only=True)
USERS_EXAMPLE = OpenApiExample("Members", value=page_of("users", _USER), response_only=True)
NEW_USER_EXAMPLE = OpenApiExample(
    "By e-mail address", value={"email": "ada@example.com", "role": "member"}, request_only=True
)
ROLE_EXAMPLE = OpenApiExample("Another role", value={"role": "owner"}, request_only=True)
DELETED_USER_EXAMPLE = OpenApiExample(
    "Removed",
    value={"id": _USER["id"], "object": "organization.project.user.deleted", "deleted": True},
    response_only=True,
    status_codes=["200"],
)
PERMISSIONS_EXAMPLE = OpenApiExample("An allow list", value=_PERMISSIONS, response_only=True)
NEW_PERMISSIONS_EXAMPLE = OpenApiExample(
    "Allow one", value={"mode": "allow_list", "model_ids": ["jan-v1-4b"]}, request_only=True
)
DELETED_PERMISSIONS_EXAMPLE = OpenApiExample(
    "Removed", value={"object": "project.model_permissions.deleted", "deleted": True}, response_only=True
)

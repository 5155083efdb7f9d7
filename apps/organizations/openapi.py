"""Shapes and examples of organizations, members, groups and roles in the API's description."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter
from rest_framework import serializers

CURSORS = [
    OpenApiParameter("limit", OpenApiTypes.INT, description="1 to 100, 20 by default."),
    OpenApiParameter("after", OpenApiTypes.STR, description="The last id of the page before."),
    OpenApiParameter("before", OpenApiTypes.STR, description="The first id of the page after."),
    OpenApiParameter("order", OpenApiTypes.STR, enum=["asc", "desc"]),
    OpenApiParameter("offset", OpenApiTypes.INT, description="Instead of a cursor."),
]


class Page(serializers.Serializer[Any]):
    object = serializers.CharField(default="list")
    first_id = serializers.CharField(allow_null=True)
    last_id = serializers.CharField(allow_null=True)
    has_more = serializers.BooleanField()
    next_after = serializers.CharField(allow_null=True)
    next = serializers.CharField(allow_null=True, help_text="The same.")
    total = serializers.IntegerField()
    limit = serializers.IntegerField()
    offset = serializers.IntegerField()


class Gone(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = serializers.CharField()
    deleted = serializers.BooleanField()


class OrganizationShape(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = serializers.CharField(default="organization")
    name = serializers.CharField()
    description = serializers.CharField()
    domain = serializers.CharField()
    settings = serializers.DictField(required=False)
    is_personal = serializers.BooleanField(help_text="It came with its owner's account and goes with it.")
    role = serializers.CharField(allow_null=True, help_text="The caller's; null for a service account.")
    created_at = serializers.IntegerField()
    updated_at = serializers.IntegerField()
    members_count = serializers.IntegerField(required=False, help_text="Not in lists.")


class OrganizationPage(Page):
    data = OrganizationShape(many=True)  # type: ignore[assignment]  # the contract's key shadows DRF's attribute
    organizations = OrganizationShape(many=True)


class UserShape(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = serializers.CharField(default="organization.user")
    name = serializers.CharField()
    email = serializers.CharField(allow_null=True)
    role = serializers.CharField(help_text="`owner`, `admin`, `member` or `viewer`")
    added_at = serializers.IntegerField()
    created = serializers.IntegerField()
    is_service_account = serializers.BooleanField()
    is_scim_managed = serializers.BooleanField()
    user = serializers.DictField()
    projects = serializers.DictField(required=False, help_text="The projects it has a place in, that the caller sees.")


class UserPage(Page):
    data = UserShape(many=True)  # type: ignore[assignment]  # the contract's key shadows DRF's attribute
    users = UserShape(many=True)


class GroupShape(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = serializers.CharField(default="group")
    name = serializers.CharField()
    group_type = serializers.CharField()
    is_scim_managed = serializers.BooleanField()
    scim_managed = serializers.BooleanField()
    created_at = serializers.IntegerField()


class GroupPage(Page):
    data = GroupShape(many=True)  # type: ignore[assignment]  # the contract's key shadows DRF's attribute
    groups = GroupShape(many=True)


class GroupUserShape(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = serializers.CharField(default="group.user")
    name = serializers.CharField()
    email = serializers.CharField(allow_null=True)
    picture = serializers.CharField(allow_null=True)
    user_type = serializers.CharField()
    is_service_account = serializers.BooleanField()


class GroupUserPage(Page):
    data = GroupUserShape(many=True)  # type: ignore[assignment]  # the contract's key shadows DRF's attribute
    users = GroupUserShape(many=True)


class GroupUserAdded(serializers.Serializer[Any]):
    object = serializers.CharField(default="group.user")
    group_id = serializers.CharField()
    user_id = serializers.CharField()


class RoleShape(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = serializers.CharField(default="role")
    name = serializers.CharField()
    description = serializers.CharField()
    permissions = serializers.ListField(child=serializers.CharField())
    resource_type = serializers.CharField(help_text="`organization` or `project`")
    predefined_role = serializers.BooleanField()
    created_at = serializers.IntegerField(allow_null=True)
    updated_at = serializers.IntegerField(allow_null=True)


class RolePage(Page):
    data = RoleShape(many=True)  # type: ignore[assignment]  # the contract's key shadows DRF's attribute
    roles = RoleShape(many=True)


class GivenRoleShape(RoleShape):
    assignment_sources = serializers.ListField(child=serializers.DictField(), help_text="Whom it was given to.")


class GivenRolePage(Page):
    data = GivenRoleShape(many=True)  # type: ignore[assignment]  # the contract's key shadows DRF's attribute
    roles = GivenRoleShape(many=True)


class UserRoleShape(serializers.Serializer[Any]):
    object = serializers.CharField(default="user.role")
    user = UserShape()
    role = RoleShape()


class GroupRoleShape(serializers.Serializer[Any]):
    object = serializers.CharField(default="group.role")
    group = GroupShape()
    role = RoleShape()


class ProjectGroupShape(serializers.Serializer[Any]):
    object = serializers.CharField(default="project.group")
    project_id = serializers.CharField()
    group_id = serializers.CharField()
    group_name = serializers.CharField()
    group_type = serializers.CharField()
    created_at = serializers.IntegerField()


class ProjectGroupPage(Page):
    data = ProjectGroupShape(many=True)  # type: ignore[assignment]  # the contract's key shadows DRF's attribute
    groups = ProjectGroupShape(many=True)


def answer(name: str, value: dict[str, Any]) -> OpenApiExample:
    return OpenApiExample(name, value=value, response_only=True)


def body(name: str, value: dict[str, Any]) -> OpenApiExample:
    return OpenApiExample(name, value=value, request_only=True)


def page_of(named: str, row: dict[str, Any]) -> OpenApiExample:
    first = row.get("id", row.get("group_id"))
    ends = {"first_id": first, "last_id": first, "has_more": False, "next_after": None, "next": None, "total": 1}
    return answer("A page", {"object": "list", "data": [row], **ends, "limit": 20, "offset": 0, named: [row]})


def gone(public_id: str, kind: str) -> OpenApiExample:
    return answer("Gone", {"id": public_id, "object": f"{kind}.deleted", "deleted": True})


ORGANIZATION = {
    "id": "org_5Yp1b1Jq8sT2vW5yZ7aC9dE3",
    "object": "organization",
    "name": "Acme Corp",
    "description": "Everything for coyotes",
    "domain": "acme.com",
    "settings": {"allowed_models": ["jan-v1-4b"], "retention_days": 90, "storage": "store"},
    "is_personal": False,
    "role": "owner",
    "created_at": 1795253400,
    "updated_at": 1795253400,
}
USER = {
    "id": "user_4Xn0b1Jq8sT2vW5yZ7aC9dE3",
    "object": "organization.user",
    "name": "Ada",
    "email": "ada@example.com",
    "role": "member",
    "added_at": 1795253400,
    "created": 1795253400,
    "is_service_account": False,
    "is_scim_managed": False,
    "user": {
        "id": "user_4Xn0b1Jq8sT2vW5yZ7aC9dE3",
        "object": "user",
        "name": "Ada",
        "email": "ada@example.com",
        "picture": None,
        "enabled": True,
        "banned": False,
    },
}
USER_WITH_PROJECTS = {
    **USER,
    "projects": {
        "object": "list",
        "data": [{"id": "proj_6Zq2b1Jq8sT2vW5yZ7aC9dE3", "name": "Research", "role": "member"}],
    },
}
GROUP = {
    "id": "group_8Rn2b1Jq8sT2vW5yZ7aC9dE3",
    "object": "group",
    "name": "Researchers",
    "group_type": "group",
    "is_scim_managed": False,
    "scim_managed": False,
    "created_at": 1795253400,
}
GROUP_USER = {
    "id": USER["id"],
    "object": "group.user",
    "name": "Ada",
    "email": "ada@example.com",
    "picture": None,
    "user_type": "user",
    "is_service_account": False,
}
ROLE = {
    "id": "role_9So2b1Jq8sT2vW5yZ7aC9dE3",
    "object": "role",
    "name": "Auditor",
    "description": "Reads what happened",
    "permissions": ["audit_logs.read", "usage.read"],
    "resource_type": "organization",
    "predefined_role": False,
    "created_at": 1795253400,
    "updated_at": 1795253400,
}
GIVEN_ROLE = {**ROLE, "assignment_sources": [{"principal_type": "user", "principal_id": USER["id"]}]}
PROJECT_GROUP = {
    "object": "project.group",
    "project_id": "proj_6Zq2b1Jq8sT2vW5yZ7aC9dE3",
    "group_id": GROUP["id"],
    "group_name": "Researchers",
    "group_type": "group",
    "created_at": 1795253400,
}

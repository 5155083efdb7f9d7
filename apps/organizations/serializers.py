"""What callers may say of organizations, members, groups and roles, and how they are shown."""

from __future__ import annotations

import re
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request

from apps.core.http.moments import moment
from apps.core.http.serializers import StrictSerializer
from apps.organizations.models import Group, Membership, Organization, ResourceType
from apps.organizations.organization_settings import OrganizationSettings
from apps.organizations.role_catalog import RoleEntry
from apps.organizations.roles import Role, Scope

_HOST = re.compile(r"(?=.{1,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
# OpenAI's word for somebody who reads.
_READER = "reader"


class DomainField(serializers.CharField):
    """A host name in lower case, or nothing."""

    def to_internal_value(self, data: Any) -> str:
        name = super().to_internal_value(data).lower()
        if name and not _HOST.fullmatch(name):
            raise serializers.ValidationError("This is not a domain name such as example.com.")
        return name


class RoleField(serializers.ChoiceField):
    """A member's role; `reader` is a viewer."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=[*(role.value for role in Role), _READER], **kwargs)

    def to_internal_value(self, data: Any) -> Role:
        name = super().to_internal_value(data)
        return Role.VIEWER if name == _READER else Role(name)


class NewOrganization(StrictSerializer):
    name = serializers.CharField(max_length=128)
    description = serializers.CharField(max_length=1024, required=False, allow_blank=True)
    domain = DomainField(max_length=253, required=False, allow_blank=True)
    settings = serializers.JSONField(required=False, help_text=", ".join(OrganizationSettings.__struct_fields__))


class ChangedOrganization(NewOrganization):
    name = serializers.CharField(max_length=128, required=False)


class Transfer(StrictSerializer):
    user_id = serializers.CharField(max_length=64, help_text="A member, who becomes the owner.")


class ChangedUser(StrictSerializer):
    role = RoleField(required=False, allow_null=True)
    role_id = serializers.CharField(
        max_length=64, required=False, allow_null=True, help_text="Instead of `role`: the id of a predefined role."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs = {name: value for name, value in attrs.items() if value is not None}
        if len(attrs) > 1:
            raise serializers.ValidationError({"role_id": "Use either 'role' or 'role_id'."})
        return attrs


class NamedGroup(StrictSerializer):
    name = serializers.CharField(max_length=128)


class NewGroupUser(StrictSerializer):
    user_id = serializers.CharField(max_length=64)


class NewAssignment(StrictSerializer):
    role_id = serializers.CharField(max_length=64)


class ChangedRole(StrictSerializer):
    """`name` and `role_name` are the same. OpenAI's SDK sends null for what stays."""

    role_name = serializers.CharField(max_length=128, required=False, allow_null=True)
    name = serializers.CharField(max_length=128, required=False, allow_null=True)
    description = serializers.CharField(max_length=1024, required=False, allow_blank=True, allow_null=True)
    permissions = serializers.ListField(
        child=serializers.CharField(max_length=64),
        required=False,
        allow_null=True,
        max_length=len(Scope),
        help_text="Rights, by name.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs = {name: value for name, value in attrs.items() if value is not None}
        if "role_name" in attrs and attrs.get("name", attrs["role_name"]) != attrs["role_name"]:
            raise serializers.ValidationError({"name": "'name' and 'role_name' differ. Send one of them."})
        name = attrs.pop("role_name", None)
        return attrs if name is None else {**attrs, "name": name}

    def validate_permissions(self, names: list[str] | None) -> frozenset[Scope] | None:
        if names is None:
            return None
        known = {scope.value for scope in Scope}
        if unknown := sorted(set(names) - known):
            words = ", ".join(sorted(known))
            raise serializers.ValidationError(f"Unknown permission: {unknown[0]}. There are {words}.")
        return frozenset(Scope(name) for name in names)


class NewRole(ChangedRole):
    permissions = serializers.ListField(
        child=serializers.CharField(max_length=64), max_length=len(Scope), help_text="Rights, by name."
    )
    resource_type = serializers.ChoiceField(
        choices=[kind.value for kind in ResourceType],
        required=False,
        help_text="Where it can be given: `organization` (the default) or `project`.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs = super().validate(attrs)
        if "name" not in attrs:
            raise serializers.ValidationError(
                {"role_name": [serializers.ErrorDetail("This field is required.", "required")]}
            )
        return attrs


def organization_document(
    request: Request, organization: Organization, role: str | None, *, with_settings: bool = True
) -> dict[str, Any]:
    """Return an organization as the caller, who has `role` in it, may see it."""
    settings = {"settings": organization.settings} if with_settings else {}
    return {
        "id": organization.public_id,
        "object": "organization",
        "name": organization.name,
        "description": organization.description,
        "domain": organization.domain,
        **settings,
        "is_personal": organization.is_personal,
        "role": role,
        "created_at": moment(request, organization.created_at),
        "updated_at": moment(request, organization.updated_at),
    }


def user_document(request: Request, membership: Membership) -> dict[str, Any]:
    """Return a member as OpenAI's SDK types it."""
    user = membership.user
    return {
        "id": user.pk,
        "object": "organization.user",
        "name": user.get_short_name(),
        "email": user.email,
        "role": membership.role,
        "added_at": moment(request, membership.created_at),
        "created": moment(request, user.created_at),
        "is_service_account": False,
        "is_scim_managed": False,
        "user": {
            "id": user.pk,
            "object": "user",
            "name": user.get_short_name(),
            "email": user.email,
            "picture": user.picture or None,
            "enabled": user.is_active,
            "banned": not user.is_active,
        },
    }


def group_document(request: Request, group: Group) -> dict[str, Any]:
    """Return a group as OpenAI's SDK types it: `scim_managed` where it is shown beside a role."""
    return {
        "id": group.public_id,
        "object": "group",
        "name": group.name,
        "group_type": "group",
        "is_scim_managed": False,
        "scim_managed": False,
        "created_at": moment(request, group.created_at),
    }


def group_user_document(membership: Membership) -> dict[str, Any]:
    """Return a member of a group."""
    user = membership.user
    return {
        "id": user.pk,
        "object": "group.user",
        "name": user.get_short_name(),
        "email": user.email,
        "picture": user.picture or None,
        "user_type": "user",
        "is_service_account": False,
    }


def role_document(request: Request, role: RoleEntry) -> dict[str, Any]:
    """Return a role, predefined or not."""
    return {
        "id": role.id,
        "object": "role",
        "name": role.name,
        "description": role.description,
        "permissions": sorted(role.scopes),
        "resource_type": role.resource_type,
        "predefined_role": role.custom is None,
        "created_at": moment(request, role.custom.created_at) if role.custom else None,
        "updated_at": moment(request, role.custom.updated_at) if role.custom else None,
    }

from __future__ import annotations

import datetime
from typing import Any

from django.utils import timezone
from rest_framework import serializers

from apps.api_keys.models import ApiKey
from apps.api_keys.tokens import KeyKind
from apps.core.http.serializers import StrictSerializer
from apps.organizations.roles import Scope

MAX_DAYS = 3650


class NewKey(StrictSerializer):
    """What a caller may say of a key it makes."""

    name = serializers.CharField(max_length=128)
    kind = serializers.ChoiceField(choices=[kind.value for kind in KeyKind], default=KeyKind.USER.value)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=[scope.value for scope in Scope]),
        required=False,
        allow_empty=False,
        help_text="A subset of your own; all of them by default.",
    )
    expires_at = serializers.DateTimeField(required=False, allow_null=True)
    expires_in_days = serializers.IntegerField(required=False, min_value=1, max_value=MAX_DAYS)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        days = attrs.pop("expires_in_days", None)
        if days is not None:
            if attrs.get("expires_at") is not None:
                raise serializers.ValidationError({"expires_in_days": ["Use it or 'expires_at', not both."]})
            attrs["expires_at"] = timezone.now() + datetime.timedelta(days=days)
        return attrs


class ApiKeySerializer(serializers.Serializer[ApiKey]):
    """A key as its owner sees it. `key` is there once, in the answer that made it."""

    id = serializers.CharField(source="public_id")
    object = serializers.CharField(default="api_key")
    name = serializers.CharField()
    kind = serializers.CharField()
    prefix = serializers.CharField()
    suffix = serializers.CharField(source="last_four")
    scopes = serializers.ListField(child=serializers.CharField())
    status = serializers.ChoiceField(choices=["active", "expired", "revoked"])
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)
    last_used_at = serializers.DateTimeField(allow_null=True)


class CreatedApiKeySerializer(ApiKeySerializer):
    key = serializers.CharField(help_text="The secret. It is shown this once.")


class ApiKeyList(serializers.Serializer[Any]):
    object = serializers.CharField(default="list")
    data = ApiKeySerializer(many=True)  # type: ignore[assignment]  # the contract's key shadows DRF's attribute
    items = ApiKeySerializer(many=True)
    first_id = serializers.CharField(allow_null=True)
    last_id = serializers.CharField(allow_null=True)
    has_more = serializers.BooleanField()
    next_after = serializers.CharField(allow_null=True)
    total = serializers.IntegerField()


class OrganizationOfUser(serializers.Serializer[Any]):
    id = serializers.CharField()
    name = serializers.CharField()
    role = serializers.CharField()
    is_personal = serializers.BooleanField()


class Me(serializers.Serializer[Any]):
    """Who is calling."""

    id = serializers.CharField()
    object = serializers.CharField(default="user")
    email = serializers.EmailField(allow_null=True)
    name = serializers.CharField()
    username = serializers.CharField()
    picture = serializers.CharField(allow_null=True)
    is_guest = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    organizations = OrganizationOfUser(many=True)

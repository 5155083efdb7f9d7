from __future__ import annotations

import datetime
from typing import Any

from django.utils import timezone
from rest_framework import serializers

from apps.api_keys import services
from apps.api_keys.models import ApiKey
from apps.api_keys.tokens import KeyKind
from apps.core.errors import Forbidden
from apps.core.http.serializers import StrictSerializer
from apps.organizations.principal import Principal
from apps.organizations.roles import PERMISSION_SCOPES, Permission, Scope


class NewKey(StrictSerializer):
    """What a caller may say of a key it makes."""

    name = serializers.CharField(max_length=128)
    kind = serializers.ChoiceField(choices=[KeyKind.USER.value, KeyKind.PROJECT.value], default=KeyKind.USER.value)
    permissions = serializers.ListField(
        child=serializers.ChoiceField(choices=[permission.value for permission in Permission]),
        required=False,
        allow_empty=False,
        max_length=len(Permission),
        help_text="What of your own rights the key has: `read`, or `write` for all of them. All by default.",
    )
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=[scope.value for scope in Scope]),
        required=False,
        allow_empty=False,
        max_length=len(Scope),
        help_text="Instead of `permissions`: single rights, a subset of your own.",
    )
    expires_at = serializers.DateTimeField(required=False, allow_null=True, help_text="At most ten years ahead.")
    expires_in_days = serializers.IntegerField(
        required=False, min_value=1, max_value=services.MAX_LIFE.days, help_text="Instead of `expires_at`."
    )

    def scopes_for(self, principal: Principal) -> frozenset[Scope] | None:
        """Return the rights that were asked for, None if none were named. `permissions` mean rights the caller has."""
        fields = self.validated_data
        if "permissions" in fields:
            meant = [PERMISSION_SCOPES[Permission(word)] for word in fields["permissions"]]
            allowed = principal.scopes & frozenset().union(*meant) & services.CAN_HOLD[KeyKind(fields["kind"])]
            if not allowed:
                raise Forbidden("This credential has none of these rights itself.", param="permissions")
            return allowed
        return frozenset(Scope(scope) for scope in fields["scopes"]) if "scopes" in fields else None

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "permissions" in attrs and "scopes" in attrs:
            raise serializers.ValidationError({"scopes": ["Use it or 'permissions', not both."]})
        days = attrs.pop("expires_in_days", None)
        if days is not None:
            if attrs.get("expires_at") is not None:
                raise serializers.ValidationError({"expires_in_days": ["Use it or 'expires_at', not both."]})
            attrs["expires_at"] = timezone.now() + datetime.timedelta(days=days)
        return attrs


class Rotation(StrictSerializer):
    overlap_seconds = serializers.IntegerField(
        default=int(services.OVERLAP.total_seconds()),
        min_value=0,
        max_value=int(services.MAX_OVERLAP.total_seconds()),
        help_text="How long the secret before works on.",
    )


class ApiKeySerializer(serializers.Serializer[ApiKey]):
    """A key as its owner sees it. `key` is there once, in the answer that made it."""

    id = serializers.CharField(source="public_id")
    object = serializers.CharField(default="api_key")
    name = serializers.CharField()
    kind = serializers.CharField()
    prefix = serializers.CharField()
    suffix = serializers.CharField(source="last_four")
    permissions = serializers.ListField(child=serializers.CharField())
    scopes = serializers.ListField(child=serializers.CharField())
    status = serializers.ChoiceField(choices=["active", "expired", "revoked"])
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)
    last_used_at = serializers.DateTimeField(allow_null=True)
    previous_expires_at = serializers.DateTimeField(
        allow_null=True, help_text="When the secret before the last rotation stops working, or stopped."
    )


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

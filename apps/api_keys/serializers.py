"""What callers may say of keys."""

from __future__ import annotations

import datetime
from typing import Any

from django.utils import timezone
from rest_framework import serializers

from apps.api_keys import services
from apps.api_keys.addresses import MAX_ADDRESSES, normalized
from apps.api_keys.tokens import KeyKind
from apps.core.errors import Forbidden
from apps.core.http.serializers import StrictSerializer
from apps.organizations.roles import PERMISSION_SCOPES, Permission, Scope

MAX_MODELS = 100
_SECOND, _DAY = datetime.timedelta(seconds=1), datetime.timedelta(days=1)


class ShortListField(serializers.ListField):
    """A list whose length is looked at before its members are."""

    def to_internal_value(self, data: Any) -> list[Any]:
        if isinstance(data, list) and self.max_length is not None and len(data) > self.max_length:
            raise serializers.ValidationError(f"At most {self.max_length} are read.")
        members: list[Any] = super().to_internal_value(data)
        return members


class AddressesField(ShortListField):
    """Addresses and networks, kept in their one spelling."""

    child = serializers.CharField(max_length=64)

    def to_internal_value(self, data: Any) -> list[str]:
        texts = super().to_internal_value(data)
        try:
            return normalized(texts)
        except ValueError as problem:
            raise serializers.ValidationError(f"Not an address or network: {problem}.") from None


class KeyFields(StrictSerializer):
    """What may be said of a key of any kind."""

    kind: KeyKind

    permissions = ShortListField(
        child=serializers.ChoiceField(choices=[permission.value for permission in Permission]),
        required=False,
        allow_empty=False,
        max_length=len(Permission),
        help_text=(
            "What of your own rights the key has: `read`; `write` also changes things; `admin`, for admin keys, also "
            "governs the organization. All by default."
        ),
    )
    scopes = ShortListField(
        child=serializers.ChoiceField(choices=[scope.value for scope in Scope]),
        required=False,
        max_length=len(Scope),
        help_text="Instead of `permissions`: single rights, a subset of your own.",
    )
    expires_at = serializers.DateTimeField(
        required=False, allow_null=True, help_text="At most ten years ahead; null for no end."
    )
    expires_in_days = serializers.IntegerField(
        required=False, min_value=1, max_value=services.MAX_LIFE.days, help_text="Instead of `expires_at`."
    )
    expires_in_seconds = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=int(services.MAX_LIFE.total_seconds()),
        help_text="Instead of `expires_at`. For an ephemeral key 10 to 86400, 600 by default.",
    )
    description = serializers.CharField(required=False, allow_blank=True, max_length=1024)
    allowed_addresses = AddressesField(
        required=False,
        max_length=MAX_ADDRESSES,
        help_text="Addresses and networks, IPv4 and IPv6, it may be used from. An empty list: from anywhere.",
    )
    allowed_models = ShortListField(
        child=serializers.CharField(max_length=255),
        required=False,
        allow_null=True,
        allow_empty=False,
        max_length=MAX_MODELS,
        help_text="Models it may call, of those its project may. null: all of them.",
    )

    def validate_allowed_models(self, names: list[str] | None) -> list[str] | None:
        return None if names is None else sorted(set(names))

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "permissions" in attrs and "scopes" in attrs:
            raise serializers.ValidationError({"scopes": ["Use it or 'permissions', not both."]})
        if Permission.ADMIN in attrs.get("permissions", ()) and self.kind_of(attrs) is not KeyKind.ADMIN:
            raise serializers.ValidationError({"permissions": ["Only admin keys can have 'admin'."]})
        _settle_end(attrs)
        return attrs

    def kind_of(self, attrs: dict[str, Any]) -> KeyKind:
        """Return the kind of key that is spoken of."""
        return self.kind

    def scopes_within(self, giver: services.Giver) -> frozenset[Scope] | None:
        """Return the rights that were asked for, None if none were named. `permissions` mean rights the giver has."""
        fields = self.validated_data
        if "permissions" in fields:
            meant = [PERMISSION_SCOPES[Permission(word)] for word in fields["permissions"]]
            allowed = giver.scopes & frozenset().union(*meant) & services.CAN_HOLD[self.kind_of(fields)]
            if not allowed:
                raise Forbidden("This credential has none of these rights itself.", param="permissions")
            return allowed
        return frozenset(Scope(scope) for scope in fields["scopes"]) if fields.get("scopes") else None


def _settle_end(attrs: dict[str, Any]) -> None:
    """Turn a length of life into an end."""
    lengths = {"expires_in_days": _DAY, "expires_in_seconds": _SECOND}
    named = [name for name in ("expires_at", *lengths) if attrs.get(name) is not None]
    if len(named) > 1:
        raise serializers.ValidationError({named[1]: [f"Use it or '{named[0]}', not both."]})
    for name, unit in lengths.items():
        if (number := attrs.pop(name, None)) is not None:
            attrs["expires_at"] = timezone.now() + number * unit


class NewKeyFields(KeyFields):
    """What may be said of a new key."""

    name = serializers.CharField(max_length=128)

    def validate_scopes(self, scopes: list[str]) -> list[str]:
        if not scopes:
            raise serializers.ValidationError("Name at least one, or leave it out.")
        return scopes


class NewAdminKey(NewKeyFields):
    kind = KeyKind.ADMIN


class NewOrganizationKey(NewKeyFields):
    kind = KeyKind.ORGANIZATION


class NewProjectKey(NewKeyFields):
    kind = KeyKind.PROJECT


class NewKey(NewKeyFields):
    """What a caller may say of a key it makes for itself or its project."""

    name = serializers.CharField(max_length=128, required=False, help_text="Required, but for ephemeral keys.")
    kind = serializers.ChoiceField(  # type: ignore[assignment]  # here the body says it
        choices=[KeyKind.USER.value, KeyKind.PROJECT.value, KeyKind.EPHEMERAL.value], default=KeyKind.USER.value
    )

    conversation_id = serializers.RegexField(
        r"\Aconv_[0-9A-Za-z]{24}\Z",
        required=False,
        help_text="Of an ephemeral key: the only conversation it can read, write and answer in.",
    )

    def kind_of(self, attrs: dict[str, Any]) -> KeyKind:
        return KeyKind(attrs["kind"])

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if self.kind_of(attrs) is KeyKind.EPHEMERAL:
            attrs.setdefault("name", "ephemeral")
            seconds = attrs.get("expires_in_seconds")
            if seconds is not None and seconds * _SECOND < services.MIN_EPHEMERAL_LIFE:
                raise serializers.ValidationError({"expires_in_seconds": ["At least 10, for an ephemeral key."]})
        elif "conversation_id" in attrs:
            raise serializers.ValidationError({"conversation_id": ["Only an ephemeral key is for one conversation."]})
        elif "name" not in attrs:
            raise serializers.ValidationError(
                {"name": [serializers.ErrorDetail("This field is required.", "required")]}
            )
        return super().validate(attrs)


class ChangedKey(KeyFields):
    """What may be said of a key that is there. What is left out stays; an empty list of `scopes` gives all of yours."""

    name = serializers.CharField(max_length=128, required=False)

    def kind_of(self, attrs: dict[str, Any]) -> KeyKind:
        return KeyKind(self.context["kind"])

    def changes_within(self, giver: services.Giver) -> dict[str, Any]:
        """Return the fields to change, `scopes` as None for all that the giver can give."""
        changes = {name: value for name, value in self.validated_data.items() if name != "permissions"}
        if {"scopes", "permissions"} & self.validated_data.keys():
            changes["scopes"] = self.scopes_within(giver)
        return changes


class Rotation(StrictSerializer):
    overlap_seconds = serializers.IntegerField(
        default=int(services.OVERLAP.total_seconds()),
        min_value=0,
        max_value=int(services.MAX_OVERLAP.total_seconds()),
        help_text="How long the secret before works on.",
    )

"""What callers may say of conversations and of what is in them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.conversations.models import MAX_TITLE, Rating
from apps.conversations.parsing import parse_metadata
from apps.core.http.serializers import StrictSerializer

MAX_DESCRIPTION = 4096


class MetadataField(serializers.JSONField):
    """Any JSON object of 16 KB at most; null is an empty one."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, allow_null=True, **kwargs)

    def validate_empty_values(self, data: Any) -> tuple[bool, Any]:
        # Null is read as any other value, not handed on as it is.
        return (False, data) if data is None else super().validate_empty_values(data)

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        return parse_metadata(data, self.field_name or "metadata")


class ChangedConversation(StrictSerializer):
    title = serializers.CharField(max_length=MAX_TITLE, required=False, allow_blank=True, allow_null=True)
    model = serializers.CharField(max_length=255, required=False, allow_blank=True, allow_null=True)
    metadata = MetadataField(help_text="Any JSON object of 16 KB at most.")
    description = serializers.CharField(
        max_length=MAX_DESCRIPTION, required=False, allow_blank=True, allow_null=True, help_text="Kept in `metadata`."
    )
    project_id = serializers.CharField(
        max_length=64, required=False, allow_null=True, help_text="A chat project. Null takes it out of its project."
    )
    referrer = serializers.CharField(max_length=64, required=False, allow_blank=True, allow_null=True)
    archived = serializers.BooleanField(required=False)
    is_archived = serializers.BooleanField(required=False, help_text="The same as `archived`.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        given = {attrs.pop(name) for name in ("archived", "is_archived") if name in attrs}
        if len(given) > 1:
            raise serializers.ValidationError({"archived": "'archived' and 'is_archived' differ. Send one of them."})
        if given:
            attrs["is_archived"] = given.pop()
        for name in ("title", "model", "referrer"):
            if attrs.get(name, "") is None:
                attrs[name] = ""
        return attrs


class NewConversation(ChangedConversation):
    items = serializers.JSONField(required=False, allow_null=True, help_text="Up to 20 items to begin with.")


class ChangedItem(StrictSerializer):
    rating = serializers.ChoiceField(
        choices=[rating.value for rating in Rating], required=False, allow_null=True, help_text="Null takes it back."
    )
    metadata = MetadataField(help_text="Any JSON object of 16 KB at most.")

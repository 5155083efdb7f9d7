from __future__ import annotations

from typing import Any

from rest_framework import serializers


class StrictSerializer(serializers.Serializer[Any]):
    """Input of a management route: a field it does not know is refused, naming it."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict):
            raise serializers.ValidationError({"non_field_errors": ["The body must be a JSON object."]})
        for name in data:
            if name not in self.fields:
                raise serializers.ValidationError(
                    {name: [serializers.ErrorDetail(f"Unknown parameter: {name}.", "unknown")]}
                )
        return super().to_internal_value(data)

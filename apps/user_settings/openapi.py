"""The settings in the OpenAPI file, made of what is checked."""

from __future__ import annotations

from typing import Any

import msgspec
from drf_spectacular.utils import OpenApiExample

from apps.user_settings.shape import GivenSettings, Settings


def _schema_of(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Return a struct's JSON Schema with all parts in place."""
    _, parts = msgspec.json.schema_components([kind], ref_template="{name}")

    def inlined(value: Any) -> Any:
        if isinstance(value, list):
            return [inlined(each) for each in value]
        if not isinstance(value, dict):
            return value
        plain = {name: inlined(each) for name, each in value.items() if name not in ("$ref", "title", "required")}
        return {**inlined(parts[value["$ref"]]), **plain} if "$ref" in value else plain

    schema: dict[str, Any] = inlined(parts[kind.__name__])
    return schema


GIVEN = _schema_of(GivenSettings)
GIVEN["additionalProperties"] = False
ANSWER = _schema_of(Settings)
ANSWER["properties"] = {"id": {"type": "string"}, "user_id": {"type": "string"}, **ANSWER["properties"]}
ANSWER["required"] = list(ANSWER["properties"])

_USER = "4Xn0b1Jq8sT2vW5yZ7aC9dE3"
_IDS = {"id": f"settings_{_USER}", "user_id": f"user_{_USER}"}
_DEFAULTS: dict[str, Any] = msgspec.to_builtins(Settings())

DEFAULTS_EXAMPLE = OpenApiExample(
    "Nothing was set yet", value={**_IDS, **_DEFAULTS}, response_only=True, status_codes=["200"]
)
CHANGE_EXAMPLE = OpenApiExample(
    "Some of them",
    value={
        "memory_config": {"enabled": True, "max_user_items": 5},
        "profile_settings": {"base_style": "Professional", "nick_name": "Dev"},
    },
    request_only=True,
)
CHANGED_EXAMPLE = OpenApiExample(
    "All of them",
    value={
        **_IDS,
        **_DEFAULTS,
        "memory_config": {**_DEFAULTS["memory_config"], "max_user_items": 5},
        "profile_settings": {**_DEFAULTS["profile_settings"], "base_style": "Professional", "nick_name": "Dev"},
    },
    response_only=True,
    status_codes=["200"],
)

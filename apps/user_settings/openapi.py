"""The settings in the OpenAPI file, made of what is checked."""

from __future__ import annotations

from typing import Any

import msgspec
from drf_spectacular.utils import OpenApiExample

from apps.user_settings.shape import GivenSettings, Settings

_REF = "#/components/schemas/{name}"
GIVEN = {"$ref": _REF.format(name="GivenSettings")}
ANSWER = {"$ref": _REF.format(name="UserSettings")}


def add_schemas(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Postprocessing hook of drf-spectacular."""
    _types, schemas = msgspec.json.schema_components([GivenSettings, Settings], ref_template=_REF)
    for schema in schemas.values():
        for field in schema.get("properties", {}).values():
            field.pop("default", None)  # what is not sent stays as it is, which is something else
    settings = schemas.pop("Settings")
    ids = {name: {"type": "string"} for name in ("id", "user_id")}
    answer = {**settings, "title": "UserSettings", "properties": {**ids, **settings["properties"]}}
    schemas["UserSettings"] = {**answer, "required": list(answer["properties"])}
    components = {**result["components"]["schemas"], **schemas}
    result["components"]["schemas"] = dict(sorted(components.items()))
    return result


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

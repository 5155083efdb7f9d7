"""The API's file says of settings what is checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from apps.user_settings.shape import GivenProfile, GivenSettings, Settings

DOCUMENT: dict[str, Any] = json.loads((Path(__file__).parents[2] / "docs" / "openapi.json").read_text())
SCHEMAS = DOCUMENT["components"]["schemas"]


def test_the_routes_take_and_give_settings():
    route = DOCUMENT["paths"]["/v1/users/me/settings"]
    answer = {"$ref": "#/components/schemas/UserSettings"}
    given = {"$ref": "#/components/schemas/GivenSettings"}
    assert set(route) == {"get", "patch", "post"}
    for method, operation in route.items():
        assert operation["responses"]["200"]["content"]["application/json"]["schema"] == answer
        assert operation["responses"]["200"]["content"]["application/json"]["examples"]
        if method != "get":
            assert operation["requestBody"]["content"]["application/json"]["schema"] == given


def test_the_schemas_are_what_is_checked():
    assert list(SCHEMAS["UserSettings"]["properties"]) == ["id", "user_id", *Settings.__struct_fields__]
    assert list(SCHEMAS["GivenSettings"]["properties"]) == list(GivenSettings.__struct_fields__)
    assert list(SCHEMAS["GivenProfile"]["properties"]) == list(GivenProfile.__struct_fields__)
    assert SCHEMAS["MemoryConfig"]["properties"]["max_project_items"] == {
        "description": "Facts about the project at most.",
        "type": "integer",
        "minimum": 0,
        "maximum": 50,
    }
    assert SCHEMAS["Style"]["enum"] == ["Concise", "Friendly", "Professional"]


def test_the_examples_are_answers_of_the_shape():
    examples = DOCUMENT["paths"]["/v1/users/me/settings"]["patch"]["responses"]["200"]["content"]["application/json"]
    for example in examples["examples"].values():
        value = {name: each for name, each in example["value"].items() if name not in ("id", "user_id")}
        assert msgspec.to_builtins(msgspec.convert(value, Settings)) == value

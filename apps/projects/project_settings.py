"""What can be set for a project."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from apps.core.errors import BadRequest
from apps.organizations.organization_settings import Storage

MAX_MODELS = 500


_Model = Annotated[str, Meta(min_length=1, max_length=255)]
_Models = Annotated[list[_Model], Meta(max_length=MAX_MODELS)]


class ProjectSettings(msgspec.Struct):
    """Every setting there is, and what it may be. None: not set."""

    default_model: _Model | None = None
    allowed_models: _Models | None = None
    denied_models: _Models | None = None
    max_conversations: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    retention_days: Annotated[int, Meta(ge=1, le=3650)] | None = None
    storage: Storage | None = None


def checked_settings(given: Any) -> dict[str, Any]:
    """Return settings as they came. Raises BadRequest naming the one that is unknown or wrong."""
    if not isinstance(given, dict):
        raise BadRequest("'settings' must be an object.", param="settings")
    for name in given:
        if name not in ProjectSettings.__struct_fields__:
            where = f"settings.{name}"
            raise BadRequest(f"Unknown parameter: {where}.", code="unknown_parameter", param=where)
    try:
        msgspec.convert(given, ProjectSettings, strict=True)
    except msgspec.ValidationError as problem:
        what, _, where = str(problem).partition(" - at `$")
        where = f"settings{where.rstrip('`')}"
        raise BadRequest(f"Invalid value for '{where}': {what}.", param=where) from None
    return given


def changed_settings(before: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """
    Return `before` with what was given; None takes a setting away.

    Raises BadRequest for a list of allowed models beside one of denied models.
    """
    after = {name: value for name, value in {**before, **given}.items() if value is not None}
    if "allowed_models" in after and "denied_models" in after:
        raise BadRequest(
            "Use 'allowed_models' or 'denied_models', not both. null takes one away.", param="settings.denied_models"
        )
    return after

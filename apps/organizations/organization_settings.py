"""What can be set for an organization."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from apps.core.errors import BadRequest


class Storage(StrEnum):
    """What is kept of conversations: everything, what is not their text, or nothing."""

    STORE = "store"
    METADATA = "metadata"
    NONE = "none"


def least(*given: str | None) -> Storage:
    """Return what may be kept where all of these were set; None is one that was not."""
    order = list(Storage)
    return max((Storage(each) for each in given if each is not None), key=order.index, default=Storage.STORE)


_Models = Annotated[list[Annotated[str, Meta(min_length=1, max_length=255)]], Meta(max_length=1000)]


class OrganizationSettings(msgspec.Struct):
    """Every setting there is, and what it may be. None: not set. A project's own settings narrow these."""

    allowed_models: (
        Annotated[list[Annotated[str, Meta(min_length=1, max_length=255)]], Meta(max_length=1000)] | None
    ) = None
    retention_days: Annotated[int, Meta(ge=1, le=3650)] | None = None
    storage: Storage | None = None


def changed_settings(before: dict[str, Any], given: Any) -> dict[str, Any]:
    """Return `before` with what was given; None takes a setting away. Raises BadRequest naming one that is wrong."""
    if not isinstance(given, dict):
        raise BadRequest("'settings' must be an object.", param="settings")
    for name in given:
        if name not in OrganizationSettings.__struct_fields__:
            where = f"settings.{name}"
            raise BadRequest(f"Unknown parameter: {where}.", code="unknown_parameter", param=where)
    try:
        msgspec.convert(given, OrganizationSettings, strict=True)
    except msgspec.ValidationError as problem:
        what, _, where = str(problem).partition(" - at `$")
        where = f"settings{where.rstrip('`')}"
        raise BadRequest(f"Invalid value for '{where}': {what}.", param=where) from None
    return {name: value for name, value in {**before, **given}.items() if value is not None}

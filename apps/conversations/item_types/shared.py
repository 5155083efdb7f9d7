"""What the types of several items have in common."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Role = Literal["unknown", "user", "assistant", "system", "critic", "discriminator", "developer", "tool"]
Status = Literal["in_progress", "completed", "incomplete"]
Count = Annotated[int, Meta(ge=-(2**53), le=2**53)]


class Strict(Struct, forbid_unknown_fields=True, kw_only=True):
    pass


class Tagged(Struct, forbid_unknown_fields=True, kw_only=True, tag_field="type"):
    pass


class _Direct(Tagged, tag="direct"):
    pass


class _ByProgram(Tagged, tag="program"):
    caller_id: str


Caller = _Direct | _ByProgram | None


class SafetyCheck(Strict):
    id: str
    code: str | None = None
    message: str | None = None

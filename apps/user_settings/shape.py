"""What people can set for themselves, what it may be, and what it is while nobody set it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from apps.core.errors import BadRequest

MAX_PREFERENCES = 16 * 1024
MAX_DEPTH = 8
# Beyond it not every JSON reader, nor the database's, gives a number back as it came.
MAX_NUMBER = 2**53 - 1
_MAX_REASON = 200


class Style(StrEnum):
    """How answers sound."""

    CONCISE = "Concise"
    FRIENDLY = "Friendly"
    PROFESSIONAL = "Professional"


_Name = Annotated[str, Meta(max_length=128, description="What should Jan call you?")]


class MemoryConfig(msgspec.Struct, frozen=True):
    enabled: Annotated[bool, Meta(description="Master toggle for all memory features.")] = True
    observe_enabled: Annotated[bool, Meta(description="Learn from conversations.")] = True
    inject_user_core: Annotated[bool, Meta(description="Put core facts about the user into prompts.")] = True
    inject_semantic: Annotated[bool, Meta(description="Put facts about the project into prompts.")] = True
    inject_episodic: Annotated[bool, Meta(description="Put what earlier conversations were about into prompts.")] = (
        False
    )
    max_user_items: Annotated[int, Meta(ge=0, le=20, description="Facts about the user at most.")] = 3
    max_project_items: Annotated[int, Meta(ge=0, le=50, description="Facts about the project at most.")] = 5
    max_episodic_items: Annotated[int, Meta(ge=0, le=20, description="Earlier events at most.")] = 3
    min_similarity: Annotated[float, Meta(ge=0, le=1, description="How relevant a memory has to be.")] = 0.75


class ProfileSettings(msgspec.Struct, frozen=True):
    base_style: Annotated[Style, Meta(description="How answers sound. It acts on prompts once it was chosen.")] = (
        Style.FRIENDLY
    )
    custom_instructions: Annotated[str, Meta(max_length=32_768, description="Wishes about behaviour and tone.")] = ""
    nick_name: _Name = ""
    occupation: Annotated[str, Meta(max_length=256, description="Your occupation or role.")] = ""
    more_about_you: Annotated[str, Meta(max_length=8192, description="What else is good to know about you.")] = ""


class AdvancedSettings(msgspec.Struct, frozen=True):
    web_search: Annotated[bool, Meta(description="Search the web without being asked to.")] = False
    code_enabled: Annotated[bool, Meta(description="Allow features that run code.")] = False


_Preferences = Annotated[
    dict[str, Any], Meta(description=f"Anything a client wants to keep, {MAX_PREFERENCES // 1024} KB of JSON at most.")
]


class Settings(msgspec.Struct, frozen=True):
    """Every setting there is, with its default."""

    memory_config: MemoryConfig = MemoryConfig()
    profile_settings: ProfileSettings = ProfileSettings()
    advanced_settings: AdvancedSettings = AdvancedSettings()
    enable_trace: Annotated[bool, Meta(description="Keep traces of the user's requests.")] = False
    enable_tools: Annotated[bool, Meta(description="false: models are offered no tools.")] = True
    preferences: _Preferences = msgspec.field(default_factory=dict)


class GivenProfile(ProfileSettings, frozen=True):
    """A profile as it is sent."""

    nickname: Annotated[_Name, Meta(description="Another name of `nick_name`.")] = ""


class GivenSettings(Settings, frozen=True):
    """Settings as they are sent: any of them."""

    profile_settings: GivenProfile = GivenProfile()


def checked(given: Any) -> dict[str, Any]:
    """Return what was given, each setting by its own name. Raises BadRequest naming one that is unknown or wrong."""
    if not isinstance(given, dict):
        raise BadRequest("The body must be a JSON object.")
    _check_names(given, GivenSettings)
    try:
        msgspec.convert(given, GivenSettings, strict=True)
    except msgspec.ValidationError as problem:
        what, _, where = str(problem).partition(" - at `$.")
        param = where.rstrip("`") or None
        raise BadRequest(f"Invalid value for '{param}': {what[:_MAX_REASON]}.", param=param) from None
    profile = dict(given.get("profile_settings", {}))
    if "nickname" not in profile:
        return given
    if "nick_name" in profile:
        raise BadRequest("Use 'nick_name' or 'nickname', not both.", param="profile_settings.nickname")
    profile["nick_name"] = profile.pop("nickname")
    return {**given, "profile_settings": profile}


def _check_names(given: dict[str, Any], kind: type[msgspec.Struct], path: str = "") -> None:
    fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
    for name, value in given.items():
        if name not in fields:
            raise BadRequest(f"Unknown parameter: {path}{name}.", code="unknown_parameter", param=f"{path}{name}")
        group = fields[name]
        if isinstance(value, dict) and isinstance(group, type) and issubclass(group, msgspec.Struct):
            _check_names(value, group, f"{path}{name}.")


def merged(before: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """
    Return `before` with what was given, at every depth; null takes a key away (RFC 7396).

    Raises BadRequest for preferences that have become too many.
    """
    after = _patched(before, given)
    _check_preferences(after.get("preferences", {}))
    return after


def _patched(before: Any, given: dict[str, Any]) -> dict[str, Any]:
    after = dict(before) if isinstance(before, dict) else {}
    for name, value in given.items():
        if value is None:
            after.pop(name, None)
        else:
            after[name] = _patched(after.get(name), value) if isinstance(value, dict) else value
    return after


def _check_preferences(preferences: dict[str, Any]) -> None:
    if len(msgspec.json.encode(preferences)) > MAX_PREFERENCES:
        raise BadRequest(f"'preferences' may have {MAX_PREFERENCES} bytes of JSON at most.", param="preferences")
    level: list[Any] = [preferences]
    for _ in range(MAX_DEPTH):
        if any(isinstance(value, float | int) and abs(value) > MAX_NUMBER for value in level):
            raise BadRequest(f"Numbers in 'preferences' go to {MAX_NUMBER}.", param="preferences")
        containers = [value for value in level if isinstance(value, dict | list)]
        level = [inner for each in containers for inner in (each.values() if isinstance(each, dict) else each)]
    if level:
        raise BadRequest(f"'preferences' may be nested {MAX_DEPTH} levels deep at most.", param="preferences")

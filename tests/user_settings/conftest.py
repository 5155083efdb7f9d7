from __future__ import annotations

from typing import Any

from tests.api_keys.conftest import ada, curl, eve, guest

__all__ = ["ada", "curl", "eve", "guest"]

SETTINGS = "/v1/users/me/settings"
# As seeds/000 prints them, without the ids.
DEFAULTS: dict[str, Any] = {
    "memory_config": {
        "enabled": True,
        "observe_enabled": True,
        "inject_user_core": True,
        "inject_semantic": True,
        "inject_episodic": False,
        "max_user_items": 3,
        "max_project_items": 5,
        "max_episodic_items": 3,
        "min_similarity": 0.75,
    },
    "profile_settings": {
        "base_style": "Friendly",
        "custom_instructions": "",
        "nick_name": "",
        "occupation": "",
        "more_about_you": "",
    },
    "advanced_settings": {"web_search": False, "code_enabled": False},
    "enable_trace": False,
    "enable_tools": True,
    "preferences": {},
}


def having(**groups: Any) -> dict[str, Any]:
    """The defaults with some other values."""
    return {
        **DEFAULTS,
        **{name: {**DEFAULTS[name], **value} if isinstance(value, dict) else value for name, value in groups.items()},
    }


def without_ids(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.content
    document = answer.json()
    assert isinstance(document.pop("id"), str)
    assert isinstance(document.pop("user_id"), str)
    return dict(document)

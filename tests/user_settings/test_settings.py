"""What a person sets for itself: defaults, partial updates, and what may be set."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.user_settings.models import UserSettings
from apps.user_settings.shape import MAX_NUMBER
from tests.api_keys.conftest import Caller
from tests.projects.conftest import refused
from tests.user_settings.conftest import DEFAULTS, SETTINGS, having, without_ids


def patch(caller: Caller, body: Any) -> dict[str, Any]:
    return without_ids(caller.call("PATCH", SETTINGS, body))


def current(caller: Caller) -> dict[str, Any]:
    return without_ids(caller.call("GET", SETTINGS))


def test_who_set_nothing_has_the_defaults_and_no_row(ada: Caller):
    answer = ada.call("GET", SETTINGS)
    own = ada.user.pk.removeprefix("user_")
    assert answer.json() == {"id": f"settings_{own}", "user_id": f"user_{own}", **DEFAULTS}
    assert list(answer.json()) == ["id", "user_id", *DEFAULTS]
    assert not UserSettings.objects.exists()


@pytest.mark.parametrize("method", ["PATCH", "POST"])
def test_only_what_is_given_changes(ada: Caller, method: str):
    before = ada.call("GET", SETTINGS).json()
    body = {
        "memory_config": {"enabled": True, "max_user_items": 5},
        "profile_settings": {"base_style": "Professional", "nick_name": "Dev"},
    }
    wanted = having(
        memory_config={"max_user_items": 5}, profile_settings={"base_style": "Professional", "nick_name": "Dev"}
    )
    answer = ada.call(method, SETTINGS, body).json()
    assert answer == {"id": before["id"], "user_id": before["user_id"], **wanted}
    assert ada.call("GET", SETTINGS).json() == answer


ONE_EACH = [
    (group, name, value)
    for group, fields in {
        "memory_config": {
            "enabled": False,
            "observe_enabled": False,
            "inject_user_core": False,
            "inject_semantic": False,
            "inject_episodic": True,
            "max_user_items": 20,
            "max_project_items": 50,
            "max_episodic_items": 20,
            "min_similarity": 1.0,
        },
        "profile_settings": {
            "base_style": "Concise",
            "custom_instructions": "x" * 32_768,
            "nick_name": "é" * 128,
            "occupation": "o" * 256,
            "more_about_you": "m" * 8192,
        },
        "advanced_settings": {"web_search": True, "code_enabled": True},
    }.items()
    for name, value in fields.items()
]


def test_one_after_the_other_each_setting_changes_alone(ada: Caller):
    wanted = json.loads(json.dumps(DEFAULTS))
    for group, name, value in ONE_EACH:
        wanted[group][name] = value
        assert patch(ada, {group: {name: value}}) == wanted
    for name, value in (("enable_trace", True), ("enable_tools", False)):
        wanted[name] = value
        assert patch(ada, {name: value}) == wanted
    assert current(ada) == wanted
    assert len(ONE_EACH) == 16


def test_the_least_values_are_kept_as_they_are(ada: Caller):
    least = {"max_user_items": 0, "max_project_items": 0, "max_episodic_items": 0, "min_similarity": 0}
    assert patch(ada, {"memory_config": least}) == having(memory_config=least)


def test_nothing_given_changes_nothing(ada: Caller):
    patch(ada, {"memory_config": {"max_user_items": 7}, "preferences": {"a": 1}})
    wanted = having(memory_config={"max_user_items": 7}, preferences={"a": 1})
    assert patch(ada, {}) == wanted
    assert patch(ada, {"memory_config": {}, "profile_settings": {}, "preferences": {}}) == wanted


def test_a_text_can_be_emptied_again(ada: Caller):
    patch(ada, {"profile_settings": {"nick_name": "Dev", "occupation": "engineer"}})
    assert patch(ada, {"profile_settings": {"nick_name": ""}}) == having(profile_settings={"occupation": "engineer"})


def test_nickname_is_another_name_of_nick_name(ada: Caller):
    assert patch(ada, {"profile_settings": {"nickname": "Dev"}}) == having(profile_settings={"nick_name": "Dev"})
    both = ada.call("PATCH", SETTINGS, {"profile_settings": {"nickname": "A", "nick_name": "B"}})
    assert refused(both) == (400, "invalid_value", "profile_settings.nickname")
    assert current(ada) == having(profile_settings={"nick_name": "Dev"})


def test_preferences_are_merged_key_by_key_and_null_removes_one(ada: Caller):
    kept = {"theme": {"dark": True, "font": 12}, "selected_model": "jan-v2-30b", "list": [1, None, {"a": None}]}
    assert patch(ada, {"preferences": kept}) == having(preferences=kept)
    changed = patch(ada, {"preferences": {"theme": {"font": 14, "dark": None}, "list": None, "new": 0.5}})
    left = {"theme": {"font": 14}, "selected_model": "jan-v2-30b", "new": 0.5}
    assert changed["preferences"] == left
    patch(ada, {"enable_trace": True})
    assert current(ada) == having(preferences=left, enable_trace=True)
    assert patch(ada, {"preferences": {"never": None, "theme": "plain"}})["preferences"] == {**left, "theme": "plain"}


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


REFUSED = [
    ({"memory_config": {"max_user_items": -1}}, "invalid_value", "memory_config.max_user_items"),
    ({"memory_config": {"max_user_items": 21}}, "invalid_value", "memory_config.max_user_items"),
    ({"memory_config": {"max_user_items": 2.5}}, "invalid_value", "memory_config.max_user_items"),
    ({"memory_config": {"max_user_items": "5"}}, "invalid_value", "memory_config.max_user_items"),
    ({"memory_config": {"max_user_items": True}}, "invalid_value", "memory_config.max_user_items"),
    ({"memory_config": {"max_user_items": None}}, "invalid_value", "memory_config.max_user_items"),
    ({"memory_config": {"max_project_items": -1}}, "invalid_value", "memory_config.max_project_items"),
    ({"memory_config": {"max_project_items": 51}}, "invalid_value", "memory_config.max_project_items"),
    ({"memory_config": {"max_episodic_items": -1}}, "invalid_value", "memory_config.max_episodic_items"),
    ({"memory_config": {"max_episodic_items": 21}}, "invalid_value", "memory_config.max_episodic_items"),
    ({"memory_config": {"max_episodic_items": 10**40}}, "invalid_value", "memory_config.max_episodic_items"),
    ({"memory_config": {"min_similarity": -0.01}}, "invalid_value", "memory_config.min_similarity"),
    ({"memory_config": {"min_similarity": 1.01}}, "invalid_value", "memory_config.min_similarity"),
    ({"memory_config": {"min_similarity": "0.5"}}, "invalid_value", "memory_config.min_similarity"),
    ({"memory_config": {"enabled": "true"}}, "invalid_value", "memory_config.enabled"),
    ({"memory_config": {"enabled": 1}}, "invalid_value", "memory_config.enabled"),
    ({"memory_config": {"max_items": 1}}, "unknown_parameter", "memory_config.max_items"),
    ({"memory_config": []}, "invalid_value", "memory_config"),
    ({"memory_config": None}, "invalid_value", "memory_config"),
    ({"profile_settings": {"base_style": "friendly"}}, "invalid_value", "profile_settings.base_style"),
    ({"profile_settings": {"base_style": ["Friendly"]}}, "invalid_value", "profile_settings.base_style"),
    ({"profile_settings": {"base_style": "x" * 9000}}, "invalid_value", "profile_settings.base_style"),
    ({"profile_settings": {"nick_name": "x" * 129}}, "invalid_value", "profile_settings.nick_name"),
    ({"profile_settings": {"nickname": "x" * 129}}, "invalid_value", "profile_settings.nickname"),
    ({"profile_settings": {"nickname": 5}}, "invalid_value", "profile_settings.nickname"),
    ({"profile_settings": {"occupation": "x" * 257}}, "invalid_value", "profile_settings.occupation"),
    ({"profile_settings": {"more_about_you": "x" * 8193}}, "invalid_value", "profile_settings.more_about_you"),
    ({"profile_settings": {"custom_instructions": "x" * 32_769}}, "invalid_value",
     "profile_settings.custom_instructions"),
    ({"profile_settings": {"name": "Dev"}}, "unknown_parameter", "profile_settings.name"),
    ({"advanced_settings": {"web_search": "yes"}}, "invalid_value", "advanced_settings.web_search"),
    ({"advanced_settings": {"nickname": "x"}}, "unknown_parameter", "advanced_settings.nickname"),
    ({"enable_tools": None}, "invalid_value", "enable_tools"),
    ({"enable_trace": 0}, "invalid_value", "enable_trace"),
    ({"id": "settings_1"}, "unknown_parameter", "id"),
    ({"user_id": "user_1"}, "unknown_parameter", "user_id"),
    ({"preferences": []}, "invalid_value", "preferences"),
    ({"preferences": None}, "invalid_value", "preferences"),
    ({"preferences": {"a": "x" * 16_384}}, "invalid_value", "preferences"),
    ({"preferences": {"x" * 16_384: 1}}, "invalid_value", "preferences"),
    ({"preferences": {"a": nested(8)}}, "invalid_value", "preferences"),
    ({"preferences": {"a": 1e308}}, "invalid_value", "preferences"),
    ({"preferences": {"a": {"b": [-MAX_NUMBER - 1]}}}, "invalid_value", "preferences"),
    ([], "invalid_value", None),
    ("x", "invalid_value", None),
    (1, "invalid_value", None),
]  # fmt: skip


@pytest.mark.parametrize(("body", "code", "param"), REFUSED, ids=lambda value: str(value)[:60])
def test_what_may_not_be_is_refused_by_name_and_changes_nothing(ada: Caller, body: Any, code: str, param: str | None):
    patch(ada, {"memory_config": {"max_user_items": 4}, "preferences": {"a": "kept"}})
    given = {**body, "enable_trace": True} if isinstance(body, dict) and "enable_trace" not in body else body
    answer = ada.call("PATCH", SETTINGS, given)
    assert refused(answer) == (400, code, param)
    assert len(answer.content) < 600
    assert current(ada) == having(memory_config={"max_user_items": 4}, preferences={"a": "kept"})


@pytest.mark.parametrize(
    "raw",
    [b"{", b"\xff", b'{"profile_settings": {"nick_name": "\\u0000"}}', b'{"preferences": {"\\ud800": 1}}',
     b'{"enable_tools": true, "enable_tools": false}', b'{"preferences": {"a": NaN}}'],
)  # fmt: skip
def test_what_is_no_json_is_refused(ada: Caller, raw: bytes):
    assert refused(ada.call("PATCH", SETTINGS, raw)) == (400, "invalid_json", None)
    assert not UserSettings.objects.exists()


def test_preferences_may_have_so_much_and_no_more_altogether(ada: Caller):
    full = {"a": "x" * 8000, "b": "é" * 4000, "c": [-MAX_NUMBER, MAX_NUMBER, 1e-300], "d": nested(6)}
    assert patch(ada, {"preferences": full})["preferences"] == full
    more = ada.call("PATCH", SETTINGS, {"preferences": {"e": "x" * 400}})
    assert refused(more) == (400, "invalid_value", "preferences")
    assert current(ada)["preferences"] == full
    assert patch(ada, {"preferences": {"a": None, "e": "x" * 400}})["preferences"]["e"] == "x" * 400


@pytest.mark.parametrize("prefix", ["/api", "/llm", "/api/llm"])
def test_it_answers_under_every_prefix(ada: Caller, prefix: str):
    ada.call("PATCH", f"{prefix}{SETTINGS}", {"enable_tools": False})
    assert without_ids(ada.call("GET", f"{prefix}{SETTINGS}")) == having(enable_tools=False)


def test_everybody_has_settings_of_its_own(ada: Caller, eve: Caller, guest: Caller):
    patch(ada, {"profile_settings": {"nick_name": "Ada"}})
    patch(guest, {"profile_settings": {"nick_name": "Guest"}})
    assert current(ada) == having(profile_settings={"nick_name": "Ada"})
    assert current(guest) == having(profile_settings={"nick_name": "Guest"})
    assert current(eve) == DEFAULTS
    assert sorted(UserSettings.objects.values_list("pk", flat=True)) == sorted([ada.user.pk, guest.user.pk])


def test_they_go_with_the_user(ada: Caller, eve: Caller):
    patch(ada, {"enable_tools": False})
    patch(eve, {"enable_trace": True})
    ada.user.delete()
    assert list(UserSettings.objects.values_list("pk", flat=True)) == [eve.user.pk]


def test_reading_them_is_one_query(ada: Caller):
    patch(ada, {"enable_tools": False})
    with CaptureQueriesContext(connection) as captured:
        current(ada)
    assert sum("user_settings_usersettings" in query["sql"] for query in captured) == 1

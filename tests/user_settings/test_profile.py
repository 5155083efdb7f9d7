"""What a conversation gets to know of a person's settings."""

from __future__ import annotations

from typing import Any

import pytest

from apps.core.db import in_db_thread
from apps.prompting.system import system_prompt
from apps.user_settings.services import Profile, profile_for, update_settings
from apps.user_settings.shape import Style
from tests.api_keys.conftest import Caller, sign_up


@pytest.mark.parametrize(
    ("given", "profile"),
    [
        ({}, Profile()),
        ({"memory_config": {"max_user_items": 5}, "profile_settings": {"nick_name": ""}}, Profile()),
        ({"profile_settings": {"base_style": "Friendly"}}, Profile(style=Style.FRIENDLY)),
        ({"enable_tools": False}, Profile(enable_tools=False)),
        (
            {"profile_settings": {"base_style": "Concise", "nickname": "Dev", "occupation": "Engineer",
                                  "more_about_you": "Likes Go.", "custom_instructions": "Answer in French."}},
            Profile(style=Style.CONCISE, name="Dev", occupation="Engineer", more_about_you="Likes Go.",
                    custom_instructions="Answer in French."),
        ),
    ],
)  # fmt: skip
def test_a_profile_is_what_was_set(ada: Caller, given: dict[str, Any], profile: Profile):
    update_settings(user_id=ada.user.pk, given=given)
    assert profile_for(ada.user.pk) == profile


@pytest.mark.parametrize("user_id", ["user_nobody", "sa_4Xn0b1Jq8sT2vW5yZ7aC9dE3", ""])
def test_who_has_no_settings_has_an_empty_profile(db: None, django_assert_num_queries: Any, user_id: str):
    with django_assert_num_queries(1):
        profile = profile_for(user_id)
    assert profile == Profile()
    assert system_prompt(profile=profile) is None


@pytest.mark.django_db(transaction=True)
async def test_it_can_be_asked_from_a_database_thread():
    ada = await in_db_thread(sign_up, "ada@example.com")
    await in_db_thread(update_settings, user_id=ada.user.pk, given={"profile_settings": {"nick_name": "Dev"}})
    assert await in_db_thread(profile_for, ada.user.pk) == Profile(name="Dev")

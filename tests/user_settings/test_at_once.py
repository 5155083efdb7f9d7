"""Many changes at once: PostgreSQL's locks put them in a row, and none is lost."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from django.db import transaction

from apps.accounts.models import User
from apps.user_settings.models import UserSettings
from apps.user_settings.services import settings_of, update_settings
from tests.api_keys.conftest import Caller, sign_up
from tests.projects.test_at_once import together

AT_ONCE = 8


@pytest.fixture
def ada(transactional_db: None) -> Caller:
    return sign_up("ada@example.com")


def test_no_change_of_many_is_lost_and_there_is_one_row(ada: Caller):
    def change(number: int) -> None:
        for turn in range(3):
            update_settings(user_id=ada.user.pk, given={"preferences": {f"key{number}": turn}})

    changes: list[Callable[[], None]] = [partial(change, number) for number in range(AT_ONCE - 2)]
    groups = ({"memory_config": {"max_user_items": 9}}, {"memory_config": {"max_project_items": 8}})
    changes += [partial(update_settings, user_id=ada.user.pk, given=given) for given in groups]
    assert together(*changes) == ["done"] * AT_ONCE
    settings = settings_of(ada.user.pk)
    assert settings.preferences == {f"key{number}": 2 for number in range(AT_ONCE - 2)}
    assert (settings.memory_config.max_user_items, settings.memory_config.max_project_items) == (9, 8)
    assert UserSettings.objects.count() == 1


def test_settings_of_somebody_being_deleted_are_refused_or_go_too(ada: Caller):
    def delete() -> None:
        with transaction.atomic():
            User.objects.get_queryset().select_for_update().get(pk=ada.user.pk).delete()

    changed, deleted = together(partial(update_settings, user_id=ada.user.pk, given={"enable_trace": True}), delete)
    assert (changed in ("done", "invalid_api_key"), deleted) == (True, "done")
    assert not UserSettings.objects.exists()

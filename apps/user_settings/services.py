"""Reading and writing a person's settings."""

from __future__ import annotations

from typing import Any

import msgspec
from django.db import transaction

from apps.accounts.models import User
from apps.core.errors import Unauthenticated
from apps.user_settings.models import UserSettings
from apps.user_settings.shape import Settings, Style, checked, merged


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What of a person's settings acts on its conversations. `style` is None until one is chosen."""

    style: Style | None = None
    name: str = ""
    occupation: str = ""
    more_about_you: str = ""
    custom_instructions: str = ""
    enable_tools: bool = True


def settings_of(user_id: str) -> Settings:
    """Return all settings, with defaults for those that were not set. One query."""
    return msgspec.convert(UserSettings.objects.saved_by(user_id), Settings)


def profile_for(user_id: str) -> Profile:
    """Return what a conversation of this user has to know of its settings. One query, in the thread that asks."""
    saved = UserSettings.objects.saved_by(user_id)
    settings = msgspec.convert(saved, Settings)
    profile = settings.profile_settings
    return Profile(
        style=profile.base_style if "base_style" in saved.get("profile_settings", {}) else None,
        name=profile.nick_name,
        occupation=profile.occupation,
        more_about_you=profile.more_about_you,
        custom_instructions=profile.custom_instructions,
        enable_tools=settings.enable_tools,
    )


@transaction.atomic
def update_settings(*, user_id: str, given: Any) -> Settings:
    """
    Change what was given and nothing else, and return all settings.

    Raises BadRequest naming the parameter at fault, Unauthenticated if the user was deleted a moment
    ago. The log does not tell of it: it is nobody else's business, and clients save at every click.
    """
    changes = checked(given)
    # The user's row and not the settings': they may not be there yet.
    if not User.objects.get_queryset().select_for_update(no_key=True).filter(pk=user_id):
        raise Unauthenticated("The account behind this credential is gone.")
    row = UserSettings.objects.filter(pk=user_id).first() or UserSettings(user_id=user_id)
    row.saved = merged(row.saved, changes)
    row.save()
    return row.settings

"""What people set for themselves."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
from django.db import models

from apps.accounts.models import User
from apps.user_settings.shape import Settings


class UserSettingsQuerySet(models.QuerySet["UserSettings"]):
    def saved_by(self, user_id: str) -> dict[str, Any]:
        """Return what somebody set, which may be nothing. One query."""
        return self.filter(pk=user_id).values_list("saved", flat=True).first() or {}


class UserSettings(models.Model):
    """
    The settings of a person, in whichever organization it acts. There is a row once something was set.

    `saved` holds what was set and nothing else, so a default can still become another one, and
    whether something was chosen shows.
    """

    user = models.OneToOneField(User, models.CASCADE, primary_key=True, related_name="+")
    saved = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects: ClassVar[UserSettingsQuerySet] = UserSettingsQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = verbose_name_plural = "user settings"
        indexes = [models.Index(fields=["-updated_at"], name="user_settings_updated_idx")]

    def __str__(self) -> str:
        return f"settings of {self.user_id}"

    @property
    def settings(self) -> Settings:
        """All settings, with defaults for those that were not set."""
        return msgspec.convert(self.saved, Settings)

"""What refuses a start."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import Error, register

from apps.accounts.invitations import SignUp


@register()
def check_choices(app_configs: Any, **options: Any) -> list[Error]:
    """Refuse words in the settings that mean nothing: the reading of a typo would be a guess."""
    choices = {
        "JAN_SIGNUP": (settings.SIGNUP, tuple(SignUp)),
        "SMTP_SECURITY": (settings.SMTP_SECURITY, ("starttls", "tls", "none")),
    }
    return [
        Error(f"{name} is {value!r}: set it to one of {', '.join(words)}.", id="accounts.E001")
        for name, (value, words) in choices.items()
        if value not in words
    ]

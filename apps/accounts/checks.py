"""What refuses a start."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import Error, register

from apps.accounts.invitations import SignUp


@register()
def check_invite_page(app_configs: Any, **options: Any) -> list[Error]:
    """Refuse a page for invited people that a secret cannot be sent to."""
    if not settings.INVITE_REDIRECT_URL:
        return []
    try:
        own = urlsplit(settings.INVITE_REDIRECT_URL)
        is_whole = own.scheme in ("http", "https") and bool(own.hostname)
    except ValueError:
        is_whole = False
    if is_whole and "#" not in settings.INVITE_REDIRECT_URL:
        return []
    return [Error("INVITE_REDIRECT_URL: set it to a whole http or https address without a #.", id="accounts.E002")]


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

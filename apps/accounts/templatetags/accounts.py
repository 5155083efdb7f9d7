from __future__ import annotations

from typing import Any

from django import template
from django.conf import settings

from apps.accounts import invitations
from apps.accounts.invitations import SignUp

register = template.Library()

# What a User-Agent header holds, and what people call it. The first that fits: browsers name each other.
_PROGRAMS = {
    "Edg/": "Edge",
    "OPR/": "Opera",
    "Firefox/": "Firefox",
    "Chrome/": "Chrome",
    "Safari/": "Safari",
    "OpenAI/": "OpenAI SDK",
}
_SYSTEMS = {
    "Windows": "Windows",
    "Android": "Android",
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Mac OS X": "Mac",
    "Linux": "Linux",
}


@register.simple_tag(takes_context=True)
def may_sign_up(context: dict[str, Any]) -> bool:
    """Say whether this browser may make an account."""
    return invitations.may_sign_up(context["request"])


@register.simple_tag
def is_by_invitation() -> bool:
    """Say whether accounts are made by those who were mailed a link."""
    return bool(settings.SIGNUP == SignUp.INVITATION)


@register.filter
def device(user_agent: str) -> str:
    """Return what people call the program behind a User-Agent header, such as `Firefox on Linux`."""
    program = next((name for mark, name in _PROGRAMS.items() if mark in user_agent), "")
    system = next((name for mark, name in _SYSTEMS.items() if mark in user_agent), "")
    if program and system:
        return f"{program} on {system}"
    return program or user_agent[:60] or "An unnamed program"

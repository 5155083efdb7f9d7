from __future__ import annotations

from typing import Any

from django import template
from django.conf import settings

from apps.accounts import invitations
from apps.accounts.invitations import SignUp

register = template.Library()


@register.simple_tag(takes_context=True)
def may_sign_up(context: dict[str, Any]) -> bool:
    """Say whether this browser may make an account."""
    return invitations.may_sign_up(context["request"])


@register.simple_tag
def is_by_invitation() -> bool:
    """Say whether accounts are made by those who were mailed a link."""
    return bool(settings.SIGNUP == SignUp.INVITATION)

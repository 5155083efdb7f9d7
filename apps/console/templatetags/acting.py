from __future__ import annotations

import datetime
from typing import Any

from django import template

from apps.accounts.acting import acting_of

register = template.Library()


@register.simple_tag(takes_context=True)
def acting_until(context: dict[str, Any]) -> datetime.datetime | None:
    """Return when acting as this user ends, or None if nobody does."""
    acting = acting_of(context["request"])
    return acting.ends_at if acting else None

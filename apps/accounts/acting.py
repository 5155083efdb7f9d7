"""Operators acting as a user: what the session knows of it."""

from __future__ import annotations

from django.http import HttpRequest

# django-hijack's: the operators behind this session, the last one first to come back.
_HISTORY = "hijack_history"


def is_acting(request: HttpRequest) -> bool:
    """Say whether this session's user is really an operator acting as that user."""
    return bool(request.session.get(_HISTORY))

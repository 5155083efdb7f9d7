"""Who looks at a page."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from apps.accounts.models import User


def person_of(request: HttpRequest) -> User:
    """Return who is signed in, on a page that asks for it. Raises PermissionDenied for nobody."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user

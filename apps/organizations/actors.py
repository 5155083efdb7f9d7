"""How the audit log names a caller of the API."""

from __future__ import annotations

from apps.accounts.models import User
from apps.accounts.sessions import actor_of
from apps.audit.services import Actor
from apps.core.errors import Unauthenticated
from apps.organizations.principal import Principal


def user_behind(principal: Principal) -> User:
    """Return the caller's account. Raises Unauthenticated if it has none, or was deleted a moment ago."""
    user = User.objects.get_queryset().filter(pk=principal.user_id).first()
    if user is None:
        raise Unauthenticated("The account behind this credential is gone.")
    return user


def actor_of_caller(principal: Principal) -> Actor:
    """Return who did it: the key that was sent, or the person whose token it was."""
    if principal.key_id is None:
        return actor_of(user_behind(principal))
    return Actor("api_key", principal.key_public_id or "", principal.key_label)

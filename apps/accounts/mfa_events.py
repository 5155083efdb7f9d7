"""What follows when allauth adds, removes or refuses a second factor."""

from __future__ import annotations

from typing import Any

from allauth.account.internal.flows.login import record_authentication
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authentication_failed, authenticator_added, authenticator_removed, authenticator_reset
from django.dispatch import receiver
from django.http import HttpRequest

from apps.accounts.models import User
from apps.accounts.sessions import actor_of
from apps.audit.services import Action, record


def _note(action: Action, user: User, authenticator: Authenticator) -> None:
    record(action, actor=actor_of(user), target_kind="user", target_id=user.pk, factor=authenticator.type)


@receiver(authenticator_added)
def added(request: HttpRequest, user: User, authenticator: Authenticator, **_: Any) -> None:
    if authenticator.type != Authenticator.Type.RECOVERY_CODES:
        # Setting it up proved that it is at hand: nobody is asked for it again in this session.
        record_authentication(request, user, "mfa", id=authenticator.pk, type=authenticator.type)
    _note(Action.MFA_ADDED, user, authenticator)


@receiver(authenticator_reset)
def reset(user: User, authenticator: Authenticator, **_: Any) -> None:
    _note(Action.MFA_ADDED, user, authenticator)


@receiver(authenticator_removed)
def removed(user: User, authenticator: Authenticator, **_: Any) -> None:
    _note(Action.MFA_REMOVED, user, authenticator)


@receiver(authentication_failed)
def failed(user: User, authenticator: Authenticator, **_: Any) -> None:
    _note(Action.LOGIN_FAILED, user, authenticator)

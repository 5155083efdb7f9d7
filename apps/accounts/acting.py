"""Operators acting as a user, to see what it sees. django-hijack swaps the session's user; the rules are here."""

from __future__ import annotations

import datetime
import time
from typing import Any, NamedTuple

from allauth.account.internal.flows.login import (
    _AUTHENTICATION_METHODS_USER_SESSION_KEY,
    AUTHENTICATION_METHODS_SESSION_KEY,
)
from allauth.usersessions.models import UserSession
from django.db import transaction
from django.http import HttpRequest

from apps.accounts.models import User
from apps.accounts.sessions import actor_of
from apps.audit.services import Action, impersonator, record

LIMIT = datetime.timedelta(minutes=60)
_SESSION_KEY = "acting"
# How the operator had proved who it is: it need not be proved anew afterwards.
_CARRIED = (AUTHENTICATION_METHODS_SESSION_KEY, _AUTHENTICATION_METHODS_USER_SESSION_KEY)


class Acting(NamedTuple):
    """What a session whose user is somebody else remembers of the operator behind it."""

    operator_id: str
    user_id: str
    operator_hash: str  # as a session has it: another one once the operator was signed out everywhere
    carried: dict[str, Any]
    since: float

    @property
    def ends_at(self) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(self.since, datetime.UTC) + LIMIT


def may_act_as(*, hijacker: User, hijacked: User) -> bool:
    """
    Say whether an operator may act as a user: never as another operator, nor as one who is disabled.

    It takes the permission to change users; what a page shows of a tenant's secrets is nobody else's.
    """
    is_operator = hijacker.is_active and hijacker.is_staff and hijacker.has_perm("accounts.change_user")
    return is_operator and hijacked.is_active and not (hijacked.is_staff or hijacked.is_superuser)


def acting_of(request: HttpRequest) -> Acting | None:
    """Return who is behind this session, or None if its user is."""
    if request.session.session_key is None:
        return None  # looking into a session makes an answer depend on cookies
    found = request.session.get(_SESSION_KEY)
    return Acting(*found) if found else None


def start_of(request: HttpRequest, *, operator: User, user: User) -> Acting:
    """Return what the session has to remember of the operator who is about to act as `user`."""
    carried = {key: request.session[key] for key in _CARRIED if key in request.session}
    return Acting(operator.pk, user.pk, operator.get_session_auth_hash(), carried, time.time())


@transaction.atomic
def began(request: HttpRequest, acting: Acting, *, reason: str, left: str | None) -> None:
    """Remember and audit that the session's user is another now. `left`: the key of the session it was."""
    request.session[_SESSION_KEY] = list(acting)
    UserSession.objects.filter(session_key=left).delete()
    _note(Action.IMPERSONATION_STARTED, acting, reason=reason)


@transaction.atomic
def came_back(request: HttpRequest, acting: Acting) -> None:
    """Remember and audit that the session's user is the operator again."""
    request.session.update(acting.carried)
    UserSession.objects.create_from_request(request)
    note_end(acting, "stopped")


def why_over(request: HttpRequest, acting: Acting) -> str:
    """Return why acting cannot go on, or nothing."""
    operator = User.objects.filter(pk=acting.operator_id).first()
    if time.time() >= acting.ends_at.timestamp():
        return "expired"
    if operator is None or operator.get_session_auth_hash() != acting.operator_hash:
        return "operator_signed_out"
    if not isinstance(request.user, User):
        return "user_signed_out"
    return "" if may_act_as(hijacker=operator, hijacked=request.user) else "not_allowed"


def note_end(acting: Acting, why: str) -> None:
    """Audit that acting is over, and why."""
    impersonator.set("")
    _note(Action.IMPERSONATION_ENDED, acting, why=why)


def _note(action: Action, acting: Acting, **details: Any) -> None:
    operator = User.objects.filter(pk=acting.operator_id).first() or User(pk=acting.operator_id)
    record(action, actor=actor_of(operator), target_kind="user", target_id=acting.user_id, **details)

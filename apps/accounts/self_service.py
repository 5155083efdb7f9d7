"""What people do with their own accounts."""

from __future__ import annotations

from allauth.account.models import EmailAddress
from allauth.usersessions.models import UserSession
from django.contrib.sessions.backends.base import SessionBase
from django.db import transaction

from apps.accounts.models import User
from apps.accounts.services import give_way
from apps.accounts.sessions import actor_of, end_sessions_by_key, sign_out_everywhere
from apps.audit.services import Action, record


@transaction.atomic
def sign_up(*, email: str, password: str, is_proven: bool) -> User:
    """
    Make an account that signs in with this address and password.

    Unless it is proven, the address only is claimed: it becomes the account's `email` once the
    link mailed to it is followed, and until then others may claim it too.
    """
    user = User.objects.create_user(password=password)
    address = EmailAddress(user=user, email=email)
    if is_proven:
        give_way(address=address)
        address.verified = address.primary = True
        user.email = email
        user.save(update_fields=["email"])
    address.save()
    record(Action.USER_ADDED, actor=actor_of(user), target_kind="user", target_id=user.pk, email=email)
    return user


@transaction.atomic
def change_password(*, user: User, password: str, keep: SessionBase | None) -> None:
    """Give oneself another password. Every session and token ends, but for `keep`."""
    user.set_password(password)
    user.must_change_password = False
    user.save(update_fields=["password", "must_change_password"])
    actor = actor_of(user)
    sign_out_everywhere(user=user, actor=actor, keep=keep)
    record(Action.PASSWORD_CHANGED, actor=actor, target_kind="user", target_id=user.pk)


@transaction.atomic
def start_afresh(*, user: User) -> None:
    """
    Leave nothing of who only claimed an account's address to sign in with: no password, session or token.

    Whoever proved the address chooses a password. There is no API key: those need a proven address.
    """
    user.set_unusable_password()
    user.save(update_fields=["password"])
    sign_out_everywhere(user=user, actor=actor_of(user))


@transaction.atomic
def end_own_session(*, user: User, pk: int) -> bool:
    """End one of one's own sessions, with its tokens. Returns whether there was such a session."""
    key = UserSession.objects.filter(user=user, pk=pk).values_list("session_key", flat=True).first()
    if key is None:
        return False
    end_sessions_by_key([key])
    record(Action.SESSIONS_ENDED, actor=actor_of(user), target_kind="user", target_id=user.pk)
    return True

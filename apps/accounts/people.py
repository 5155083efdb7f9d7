"""What operators do with people. Each change is audited with the operator who made it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.models import EmailAddress
from allauth.mfa.base.internal.flows import delete_dangling_recovery_codes
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import Group
from django.contrib.sessions.backends.base import SessionBase
from django.db import transaction

from apps.accounts.models import User
from apps.accounts.services import give_way, make_only_address
from apps.accounts.sessions import end_sessions_by_key, sign_out_everywhere
from apps.audit.services import Action, Actor, record
from apps.core.errors import Conflict


@transaction.atomic
def add_user(*, user: User, actor: Actor) -> None:
    """Save a new account. The operator vouches for its address, so that counts as verified."""
    user.save()
    make_only_address(user=user)
    record(Action.USER_ADDED, actor=actor, target_kind="user", target_id=user.pk, email=user.email)


@transaction.atomic
def change_user(*, user: User, fields: Iterable[str], actor: Actor) -> None:
    """
    Save what was changed on an account, and no other column.

    Operators may do what their staff roles say; superusers, who are operators, everything. Raises
    Conflict as `disable` does, for the last superuser, or oneself, who would be one no longer.
    """
    changed = sorted(fields)
    if not changed:
        return
    was = User.objects.get(pk=user.pk)
    user.is_superuser = user.is_superuser and user.is_staff
    if was.is_superuser and not user.is_superuser:
        _keep_a_superuser(user, actor)
        changed = sorted({*changed, "is_superuser"})
    user.save(update_fields=[*changed, "updated_at"])
    if "email" in changed:
        make_only_address(user=user)
    details: dict[str, Any] = {name: [getattr(was, name), getattr(user, name)] for name in changed}
    record(Action.USER_UPDATED, actor=actor, target_kind="user", target_id=user.pk, **details)


@transaction.atomic
def set_staff_roles(*, user: User, roles: Iterable[Group], actor: Actor) -> None:
    """Let an operator do what these roles say, and nothing else that a role says."""
    given = list(roles)
    before, after = sorted(user.groups.values_list("name", flat=True)), sorted(role.name for role in given)
    if before == after:
        return
    user.groups.set(given)
    record(Action.USER_UPDATED, actor=actor, target_kind="user", target_id=user.pk, staff_roles=[before, after])


@transaction.atomic
def set_password(*, user: User, password: str, actor: Actor, keep: SessionBase | None = None) -> None:
    """Give an account another password and end its sessions; `keep` goes on."""
    user.set_password(password)
    user.save(update_fields=["password"])
    sign_out_everywhere(user=user, actor=actor, keep=keep)
    record(Action.PASSWORD_CHANGED, actor=actor, target_kind="user", target_id=user.pk)


@transaction.atomic
def enable(*, user: User, actor: Actor) -> bool:
    """Let a user sign in again. Returns whether anything changed."""
    return _switch(user, actor, is_active=True)


@transaction.atomic
def disable(*, user: User, actor: Actor) -> bool:
    """
    Refuse a user and its keys everywhere, and end its sessions. Returns whether anything changed.

    Raises Conflict (`own_account`, `last_operator`): somebody has to be left who can undo it.
    """
    _keep_a_superuser(user, actor)
    if not _switch(user, actor, is_active=False):
        return False
    sign_out_everywhere(user=user, actor=actor)
    return True


@transaction.atomic
def require_password_change(*, user: User, actor: Actor) -> bool:
    """
    Let a user see nothing but the page that changes the password, until it is changed.

    Returns whether anything changed: who has no password has none to change.
    """
    return user.has_usable_password() and _switch(user, actor, must_change_password=True)


def _switch(user: User, actor: Actor, **field: bool) -> bool:
    """The row decides who is first: of two operators at once, one changes it and is recorded."""
    name, value = next(iter(field.items()))
    if not User.objects.get_queryset().filter(pk=user.pk, **{name: not value}).update(**field):
        return False
    details: dict[str, Any] = {name: [not value, value]}
    record(Action.USER_UPDATED, actor=actor, target_kind="user", target_id=user.pk, **details)
    return True


def _keep_a_superuser(user: User, actor: Actor) -> None:
    if user.pk == actor.id:
        raise Conflict("Nobody shuts themselves out. Another operator can do this.", code="own_account")
    check_is_not_last_superuser(user)


def check_is_not_last_superuser(user: User) -> None:
    """Raise Conflict (`last_operator`) for the last superuser who can sign in."""
    # Locked, so that two operators who shut out each other do not both succeed.
    everybody = User.objects.get_queryset().filter(is_superuser=True, is_staff=True, is_active=True)
    left = {operator.pk for operator in everybody.select_for_update().order_by("pk")}
    if left == {user.pk}:
        raise Conflict("This is the last superuser who can sign in.", code="last_operator")


@transaction.atomic
def reset_second_factors(*, user: User, actor: Actor) -> bool:
    """
    Forget a user's authenticator app, passkeys and recovery codes, and tell the user by mail.

    Returns whether there were any. Raises Conflict (`own_account`): one's own are removed on
    one's own page, which asks for one of them first.
    """
    if user.pk == actor.id:
        raise Conflict("Remove your own second factors on your account's page.", code="own_account")
    factors = Authenticator.objects.filter(user=user)
    return _forget(user, factors, actor)


@transaction.atomic
def reset_second_factor(*, factor: Authenticator, actor: Actor) -> bool:
    """As `reset_second_factors`, for one of them. Recovery codes alone are no factor, so they go with the last."""
    if factor.user_id == actor.id:
        raise Conflict("Remove your own second factors on your account's page.", code="own_account")
    return _forget(factor.user, Authenticator.objects.filter(pk=factor.pk), actor)


def _forget(user: User, factors: Iterable[Authenticator], actor: Actor) -> bool:
    kinds = sorted(factor.type for factor in factors)
    if not kinds:
        return False
    Authenticator.objects.filter(pk__in=[factor.pk for factor in factors]).delete()
    delete_dangling_recovery_codes(user)
    record(Action.MFA_RESET, actor=actor, target_kind="user", target_id=user.pk, types=kinds)
    address = EmailAddress.objects.filter(user=user, verified=True).order_by("-primary").first()
    if address is not None:
        prefix, email = "account/email/second_factor_reset", address.email
        transaction.on_commit(lambda: get_adapter().send_mail(prefix, email, {"user": user}))
    return True


@transaction.atomic
def end_session(*, session: UserSession, actor: Actor) -> None:
    """End one session of somebody, with every token of it."""
    end_sessions_by_key([session.session_key])
    record(Action.SESSIONS_ENDED, actor=actor, target_kind="user", target_id=session.user_id, address=session.ip)


@transaction.atomic
def verify_address(*, address: EmailAddress, actor: Actor) -> bool:
    """
    Count an address as its user's own, as if the mailed link had been followed. Returns whether anything changed.

    Raises Conflict if somebody else has proven it theirs.
    """
    if address.verified:
        return False
    if not address.can_set_verified():
        raise Conflict("Somebody else has verified this address.", code="email_taken")
    give_way(address=address)
    address.set_verified()
    address.set_as_primary(conditional=True)
    record(Action.EMAIL_VERIFIED, actor=actor, target_kind="user", target_id=address.user_id, email=address.email)
    return True


@transaction.atomic
def disconnect(*, account: SocialAccount, actor: Actor) -> None:
    """Let somebody no longer sign in with an account elsewhere."""
    account.delete()
    record(
        Action.IDENTITY_DISCONNECTED,
        actor=actor,
        target_kind="user",
        target_id=account.user_id,
        provider=account.provider,
        uid=account.uid,
    )

"""What can be done with accounts."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.models import EmailAddress
from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.contrib.sessions.backends.base import SessionBase
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone

from apps.accounts.addresses import normalised
from apps.accounts.invitations import SignUp
from apps.accounts.models import Invitation, User
from apps.accounts.sessions import actor_of, issue_tokens, renew_session
from apps.audit.services import Action, record
from apps.core.errors import BadRequest, Conflict, Forbidden
from apps.core.ids import random_base62
from apps.ratelimit.accounts import refused

UNCONFIRMED_LIFE = datetime.timedelta(days=7)
SEEN_EVERY = datetime.timedelta(minutes=5)


@transaction.atomic
def log_in_guest(request: HttpRequest) -> tuple[User, dict[str, Any]]:
    """
    Make a guest and sign it in. Returns the guest and what `issue_tokens` returns.

    `request` is the plain Django request.
    """
    guest = User(is_guest=True, username=f"guest-{random_base62(12).lower()}", last_seen_at=timezone.now())
    guest.set_unusable_password()
    guest.save()
    return guest, issue_tokens(request, guest)


@transaction.atomic
def upgrade_guest(
    *,
    guest: User,
    session: SessionBase,
    email: str,
    username: str = "",
    full_name: str = "",
    password: str | None = None,
) -> str:
    """
    Make an account of a guest; what it owns stays. Returns the address as it is spelled here.

    Session and tokens stay until the link is followed (`start_afresh`).

    The address belongs to the account only once the link mailed to it is followed: until then
    nobody signs in with it, the account's `email` is empty, and another call names another
    address. Whether it is taken shows in what is mailed and nowhere else. Raises Forbidden
    (`signup_closed`) where not everybody may sign up, BadRequest for an address or password that
    is not accepted, Conflict if the user is no guest (any more).
    """
    if settings.SIGNUP != SignUp.OPEN:
        raise Forbidden("Nobody may sign up here without an invitation.", code="signup_closed")
    email = str(_accept("email", lambda: get_adapter().clean_email(email)))
    User.objects.get_queryset().select_for_update().get(pk=guest.pk)
    guest.refresh_from_db()
    if not guest.has_guest_rights:
        raise Conflict("Only a guest can be upgraded.", code="not_a_guest")
    guest.is_guest, guest.username, guest.name = False, username or guest.username, full_name or guest.name
    guest.save(update_fields=["is_guest", "username", "name"])
    EmailAddress.objects.filter(user=guest).delete()
    if password is not None:
        _accept("password", lambda: validate_password(password, guest))
        guest.set_password(password)
        guest.save(update_fields=["password"])
        renew_session(session, guest)
    address = EmailAddress.objects.create(user=guest, email=email)
    record(Action.USER_UPGRADED, actor=actor_of(guest), target_kind="user", target_id=guest.pk)
    # What is changed stays changed, whatever becomes of the mail: another call sends another one.
    transaction.on_commit(lambda: _ask_to_confirm(address), robust=True)
    return email


def _accept(param: str, check: Callable[[], object]) -> object:
    try:
        return check()
    except ValidationError as problem:
        raise BadRequest(" ".join(problem.messages), param=param) from None


def _ask_to_confirm(address: EmailAddress) -> None:
    if refused("confirmation_mail", address.email):
        return  # nobody fills the mailbox of somebody else
    if EmailAddress.objects.filter(email=address.email, verified=True).exists():
        get_adapter().send_account_already_exists_mail(address.email)
    else:
        address.send_confirmation()


@transaction.atomic
def give_way(*, address: EmailAddress) -> None:
    """
    Take an address that its owner is about to confirm from whoever only claimed it.

    Anybody may type any address at sign-up; following the mailed link is the proof. Nothing else ends
    a claim early: there is no limit that strangers could use up to end somebody's.
    """
    others = EmailAddress.objects.filter(email=address.email).exclude(user=address.user_id)
    if not others.filter(verified=True).exists():
        User.objects.get_queryset().filter(email=address.email).exclude(pk=address.user_id).update(email=None)
        _drop_claims(list(others))
        Invitation.objects.settle(address.email)


@transaction.atomic
def forget_unconfirmed() -> int:
    """Drop the claims of accounts that were neither confirmed nor used for a week. Returns how many."""
    since = timezone.now() - UNCONFIRMED_LIFE
    is_silent = Q(user__last_seen_at__lt=since) | Q(user__last_seen_at=None, user__created_at__lt=since)
    claims = EmailAddress.objects.filter(is_silent, verified=False, user__email=None, user__socialaccount=None)
    dropped = list(claims)
    _drop_claims(dropped)
    return len(dropped)


def _drop_claims(claims: list[EmailAddress]) -> None:
    """Who is left with nothing is a guest (again), with a guest's rights and a guest's life."""
    EmailAddress.objects.filter(pk__in=[claim.pk for claim in claims]).delete()
    losers = User.objects.get_queryset().filter(pk__in=[claim.user_id for claim in claims])
    losers.filter(email=None, emailaddress=None, socialaccount=None).update(is_guest=True)


def note_seen(user_ids: Iterable[str]) -> None:
    """Write that these users made a request just now, at most every five minutes each."""
    now = timezone.now()
    stale = Q(last_seen_at=None) | Q(last_seen_at__lt=now - SEEN_EVERY)
    User.objects.get_queryset().filter(stale, pk__in=list(user_ids)).update(last_seen_at=now)


@transaction.atomic
def ensure_operator(*, email: str, password: str) -> bool:
    """
    Make sure an operator with this e-mail exists. Returns whether it was made now.

    One that exists keeps its password.
    """
    email = normalised(email)
    user = User.objects.get_queryset().signed_in_by(email)
    if user is not None:
        if not (user.is_staff and user.is_superuser):
            user.is_staff = user.is_superuser = True
            user.save()
        return False
    user = User.objects.create_superuser(email, password, name="Operator")
    EmailAddress.objects.create(user=user, email=user.email or "", verified=True, primary=True)
    return True


@transaction.atomic
def make_only_address(*, user: User) -> None:
    """Let a user sign in with the account's e-mail address and no longer with an earlier one."""
    addresses = EmailAddress.objects.filter(user=user)
    addresses.exclude(email=user.email or "").delete()
    if user.email:
        EmailAddress.objects.update_or_create(user=user, email=user.email, defaults={"verified": True, "primary": True})
        Invitation.objects.settle(user.email)

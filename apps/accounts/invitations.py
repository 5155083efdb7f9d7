"""Who may make an account, and the mailed links that let somebody do so."""

from __future__ import annotations

import datetime
from enum import StrEnum

from allauth.account.adapter import get_adapter
from django.conf import settings
from django.core import signing
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.http import HttpRequest
from django.urls import reverse

from apps.accounts.models import User
from apps.audit.services import Action, Actor, record
from apps.core.errors import BadRequest, Conflict

LIFE = datetime.timedelta(days=7)
_SALT = "apps.accounts.invitations"
# Where allauth looks for an address that is proven before its account is made.
_SESSION_KEY = "account_verified_email"


class SignUp(StrEnum):
    """`JAN_SIGNUP`: who may make an account."""

    OPEN = "open"
    INVITATION = "invitation"
    CLOSED = "closed"


@transaction.atomic
def send_invitation(*, email: str, actor: Actor) -> None:
    """
    Mail somebody a link to make an account with this address; following it proves the address.

    The link is good for a week and until the account is made. Raises BadRequest for what is no
    address, Conflict if it has an account (`email_taken`) or nobody may sign up (`signup_closed`).
    """
    email = email.strip().lower()
    try:
        validate_email(email)
        email = get_adapter().clean_email(email)
    except ValidationError as problem:
        raise BadRequest(" ".join(problem.messages), param="email") from None
    if settings.SIGNUP == SignUp.CLOSED:
        raise Conflict("Nobody may sign up here: JAN_SIGNUP is closed.", code="signup_closed")
    if User.objects.get_queryset().proven_by(email).exists():
        raise Conflict("This address has an account.", code="email_taken")
    record(Action.INVITE_SENT, actor=actor, target_kind="address", email=email)
    path = reverse("account_invitation", args=[signing.dumps(email, salt=_SALT)])
    context = {"invitation_url": f"{settings.PUBLIC_URL}{path}", "days": LIFE.days}
    transaction.on_commit(lambda: get_adapter().send_mail("account/email/invitation", email, context), robust=True)


def address_of(token: str) -> str | None:
    """Return the address that an invitation's link proves; None if it is forged or too old."""
    try:
        return str(signing.loads(token, salt=_SALT, max_age=LIFE))
    except signing.BadSignature:
        return None


def accept(request: HttpRequest, email: str) -> None:
    """Remember that this browser followed an invitation's link to this address."""
    request.session[_SESSION_KEY] = email


def forget(request: HttpRequest) -> None:
    """The invitation has done its work."""
    request.session.pop(_SESSION_KEY, None)


def invited_address(request: HttpRequest) -> str | None:
    """Return the address proven by the invitation that this browser followed, if it did."""
    return request.session.get(_SESSION_KEY)


def may_sign_up(request: HttpRequest) -> bool:
    """Say whether this browser may make an account."""
    return settings.SIGNUP == SignUp.OPEN or (
        settings.SIGNUP == SignUp.INVITATION and invited_address(request) is not None
    )

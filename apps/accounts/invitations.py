"""Who may make an account, and the mailed links that let somebody do so."""

from __future__ import annotations

import datetime
from enum import StrEnum
from typing import Any

from allauth.account.adapter import get_adapter
from django.apps import apps
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from apps.accounts.links import Found, digest_of, find, new_secret
from apps.accounts.models import Invitation, User
from apps.audit.services import Action, Actor, record
from apps.core.errors import BadRequest, Conflict
from apps.ratelimit.accounts import admit

LIFE = datetime.timedelta(days=7)
_SESSION_KEY = "invitation"


class SignUp(StrEnum):
    """`JAN_SIGNUP`: who may make an account."""

    OPEN = "open"
    INVITATION = "invitation"
    CLOSED = "closed"


@transaction.atomic
def send_invitation(*, email: str, actor: Actor) -> None:
    """
    Mail somebody a link to make an account with this address; following it proves the address.

    The link is good once, for a week; one sent to this address before dies. Raises BadRequest for what
    is no address, Conflict if it has an account (`email_taken`) or nobody may sign up (`signup_closed`),
    RateLimited for an address that is mailed too often.
    """
    email = _address(email)
    if settings.SIGNUP == SignUp.CLOSED:
        raise Conflict("Nobody may sign up here: JAN_SIGNUP is closed.", code="signup_closed")
    if User.objects.get_queryset().proven_by(email).exists():
        raise Conflict("This address has an account.", code="email_taken")
    admit("invite_mail", email)
    secret, now = new_secret(), timezone.now()
    fresh = {
        "token_digest": digest_of(secret),
        "invited_by_id": actor.id if actor.kind == "user" else None,
        "sent_at": now,
        "expires_at": now + LIFE,
    }
    invitation, _ = Invitation.objects.unended().update_or_create(email=email, defaults=fresh)
    _record(Action.INVITE_SENT, invitation, actor)
    path = reverse("account_invitation", args=[secret])
    context = {"invitation_url": f"{settings.PUBLIC_URL}{path}", "days": LIFE.days}
    transaction.on_commit(lambda: get_adapter().send_mail("account/email/invitation", email, context), robust=True)


def _address(email: str) -> str:
    try:
        return str(get_adapter().clean_email(email.strip()))
    except ValidationError as problem:
        raise BadRequest(" ".join(problem.messages), param="email") from None


@transaction.atomic
def revoke_invitation(*, invitation: Invitation, actor: Actor) -> bool:
    """Make an invitation's link good for nothing. Returns whether this call did it."""
    if not Invitation.objects.unended().filter(pk=invitation.pk).update(revoked_at=timezone.now()):
        return False
    _record(Action.INVITE_DELETED, invitation, actor)
    return True


@transaction.atomic
def resend_invitation(*, invitation: Invitation, actor: Actor) -> None:
    """Mail another link in place of the one before. Raises Conflict for what has ended, and as `send_invitation`."""
    if not Invitation.objects.unended().filter(pk=invitation.pk).exists():
        raise Conflict("This invitation was used or revoked. Send a new one.", code="invite_not_pending")
    send_invitation(email=invitation.email, actor=actor)


def _record(action: Action, invitation: Invitation, actor: Actor) -> None:
    record(action, actor=actor, target_kind="invitation", target_id=invitation.public_id, email=invitation.email)


def invitation_of(secret: str) -> Invitation | None:
    """Return the open invitation that a mailed link belongs to, or None."""
    found = find(Invitation.objects.open(), secret)
    return found.row if found is not None and found.is_mailed else None


# --- What a browser remembers of the link it followed ---


def remember(request: HttpRequest, invitation: Any, *, is_mailed: bool) -> None:
    """
    Remember that this browser followed the link of an invitation, or of an organization's invite.

    Any model will do whose rows have `email` and `token_digest`, and whose queryset knows the `open` ones.
    """
    link = {"of": invitation._meta.label, "digest": invitation.token_digest, "is_mailed": is_mailed}
    request.session[_SESSION_KEY] = link


def recalled(request: HttpRequest, model: Any = None, *, is_over: bool = False) -> Found | None:
    """Return what the link that this browser followed belongs to (a row of `model`), if it is still good, or over."""
    link = request.session.get(_SESSION_KEY)
    if link is None or (model is not None and link["of"] != model._meta.label):
        return None
    rows = apps.get_model(link["of"])._default_manager.get_queryset()
    row = (rows if is_over else rows.open()).filter(token_digest=link["digest"]).first()
    return Found(row, link["is_mailed"]) if row is not None else None


def forget(request: HttpRequest) -> None:
    """An account was made. An operator's invitation has done its work; an organization's waits for its answer."""
    link = request.session.get(_SESSION_KEY)
    if link is not None and link["of"] == Invitation._meta.label:
        Invitation.objects.unended().filter(token_digest=link["digest"]).update(accepted_at=timezone.now())
        del request.session[_SESSION_KEY]


def invited_address(request: HttpRequest) -> str | None:
    """Return the address that this browser is invited to make an account with, if it followed such a link."""
    found = recalled(request)
    return str(found.row.email) if found is not None else None


def proven_address(request: HttpRequest) -> str | None:
    """As `invited_address`, if the link was one that only the address's mailbox holds."""
    found = recalled(request)
    return str(found.row.email) if found is not None and found.is_mailed else None


def may_sign_up(request: HttpRequest) -> bool:
    """Say whether this browser may make an account."""
    return settings.SIGNUP == SignUp.OPEN or (
        settings.SIGNUP == SignUp.INVITATION and invited_address(request) is not None
    )

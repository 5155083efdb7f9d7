"""How an invite reaches whom it is for."""

from __future__ import annotations

from urllib.parse import urlencode

from allauth.account.adapter import get_adapter
from django.conf import settings
from django.db import transaction
from django.urls import reverse

from apps.accounts.mail import quoted
from apps.organizations.models import Invite


def invite_url(invite: Invite, secret: str) -> str:
    """Return where a secret leads: to the operator's own page, if there is one, or to ours."""
    own: str = settings.INVITE_REDIRECT_URL
    if own:
        # A client of the API asks for an invite by its id.
        query = urlencode({"token": secret, "invite_id": invite.public_id})
        return f"{own}{'&' if '?' in own else '?'}{query}"
    return f"{settings.PUBLIC_URL}{reverse('invite')}?{urlencode({'token': secret})}"


def mail_invite(invite: Invite, secret: str) -> None:
    """Mail an invite's link once the transaction is committed. What people wrote in it stays text."""
    context = {
        "organization": on_one_line(invite.organization.name),
        "inviter": on_one_line(invite.inviter),
        "role": invite.role,
        "message": quoted(invite.message),
        "expires_at": invite.expires_at,
        "invite_url": invite_url(invite, secret),
    }
    prefix, email = "organizations/email/invite", invite.email
    transaction.on_commit(lambda: get_adapter().send_mail(prefix, email, context), robust=True)


def on_one_line(text: str) -> str:
    """Return what somebody wrote without line breaks, and without characters that change how the rest is read."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())

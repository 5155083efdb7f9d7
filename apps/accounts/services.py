"""What can be done with accounts."""

from __future__ import annotations

from typing import Any

from allauth.account.models import EmailAddress
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.sessions import issue_tokens
from apps.core.ids import random_base62


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
def ensure_operator(*, email: str, password: str) -> bool:
    """
    Make sure an operator with this e-mail exists. Returns whether it was made now.

    One that exists keeps its password.
    """
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

"""What can be done with accounts."""

from __future__ import annotations

from typing import Any

from allauth.account.models import EmailAddress
from django.contrib.auth import login
from django.db import transaction
from django.http import HttpRequest

from apps.accounts.models import User
from apps.accounts.tokens import TokenStrategy
from apps.core.ids import random_base62

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


@transaction.atomic
def log_in_guest(request: HttpRequest) -> tuple[User, dict[str, Any]]:
    """
    Make a guest and sign it in. Returns the guest and its tokens, `{access_token, refresh_token}`.

    `request` is the plain Django request; its session becomes the guest's.
    """
    guest = User(is_guest=True, username=f"guest-{random_base62(12).lower()}")
    guest.set_unusable_password()
    guest.save()
    request.session.flush()
    login(request, guest, backend=BACKEND)
    request.session.save()  # the tokens name this session, so it needs its key
    tokens = TokenStrategy().create_access_token_payload(request)
    if tokens is None:
        raise RuntimeError("the token strategy made no tokens for a user who just signed in")
    request.session.save()
    return guest, tokens


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

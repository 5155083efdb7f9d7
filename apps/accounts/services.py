"""What can be done with accounts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from allauth.account.models import EmailAddress
from allauth.headless.internal.sessionkit import new_session
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

    `request` is the plain Django request; the guest gets a session of its own, without a cookie.
    """
    guest = User(is_guest=True, username=f"guest-{random_base62(12).lower()}")
    guest.set_unusable_password()
    guest.save()
    with _cookieless_session(request):
        login(request, guest, backend=BACKEND)
        request.session.save()  # the tokens name this session, so it needs its key
        tokens = TokenStrategy().create_access_token_payload(request)
        if tokens is None:
            raise RuntimeError("the token strategy made no tokens for a user who just signed in")
        request.session.save()
    return guest, tokens


@contextmanager
def _cookieless_session(request: HttpRequest) -> Iterator[None]:
    """Give the request a session that the middleware does not see: the API neither reads nor sets cookies."""
    session, user = request.session, request.user
    request.session = new_session()
    try:
        yield
    finally:
        request.session, request.user = session, user
        request.META["CSRF_COOKIE_NEEDS_UPDATE"] = False


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

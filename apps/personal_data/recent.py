"""Who deletes an account has just shown who it is: a token that lies around somewhere does not."""

from __future__ import annotations

import datetime

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.urls import reverse
from django.utils import timezone
from rest_framework.request import Request

from apps.accounts.tokens import verify_access_token
from apps.core.errors import Forbidden, Unauthenticated
from apps.core.http.bearer import bearer_of
from apps.organizations.principal import Principal


def check_is_recent(request: Request, principal: Principal) -> None:
    """
    Raise Forbidden unless the caller signed in a few minutes ago. Guests have nothing to sign in with again.

    Keys are refused (`wrong_key_kind`), and so are tokens of other issuers: nobody says here how old
    their sign-in is.
    """
    if principal.auth_method != "jwt":
        raise Forbidden("No key deletes an account. Use an access token.", code="wrong_key_kind")
    if principal.is_guest or _began_lately(request):
        return
    page = f"{settings.PUBLIC_URL}{reverse('account_delete')}"
    raise Forbidden(
        f"Sign in again and repeat this within a few minutes, or do it on {page}.",
        code="reauthentication_required",
        details={"url": page},
    )


def _began_lately(request: Request) -> bool:
    try:
        session = verify_access_token(bearer_of(request.headers.get("Authorization")) or "").session
    except Unauthenticated:
        return False
    since = timezone.now() - datetime.timedelta(seconds=settings.ACCOUNT_REAUTHENTICATION_TIMEOUT)
    return bool(UserSession.objects.filter(session_key=session.session_key, created_at__gte=since).exists())

"""Sessions over the API and their tokens: made, refreshed, ended."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from allauth.headless.internal.sessionkit import new_session
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, login
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import F
from django.http import HttpRequest
from django.utils import timezone

from apps.accounts.models import RefreshTokenFamily, User
from apps.accounts.tokens import Token, TokenUse, sign, verify_refresh_token, verify_token
from apps.audit.services import Action, Actor, record
from apps.core.epoch import raise_epoch
from apps.core.errors import Unauthenticated
from apps.ratelimit.accounts import admit

BACKEND = "apps.accounts.backends.ProvenAddressBackend"


def actor_of(user: User) -> Actor:
    """Return how the audit log names a user."""
    return Actor("user", user.pk, str(user))


@transaction.atomic
def issue_tokens(request: HttpRequest, user: User) -> dict[str, Any]:
    """
    Sign `user` in over the API. Returns `{access_token, refresh_token, token_type, expires_in}`.

    `request` is the plain Django request; the session is a new one, without a cookie.
    """
    with _cookieless_session(request):
        login(request, user, backend=BACKEND)
        request.session.save()  # the tokens name this session, so it needs its key
        UserSession.objects.create_from_request(request)
        refresh, jti = sign(TokenUse.REFRESH, user, request.session)
        RefreshTokenFamily.objects.create(
            session_key=str(request.session.session_key), user=user, newest_jti=jti, expires_at=_end_of_life()
        )
        return _tokens(sign(TokenUse.ACCESS, user, request.session)[0], refresh)


def _tokens(access: str, refresh: str) -> dict[str, Any]:
    return {
        "access_token": access,
        "refresh_token": refresh,
        "token_type": "Bearer",
        "expires_in": settings.HEADLESS_JWT_ACCESS_TOKEN_EXPIRES_IN,
    }


def _end_of_life() -> datetime.datetime:
    return timezone.now() + datetime.timedelta(seconds=settings.HEADLESS_JWT_REFRESH_TOKEN_EXPIRES_IN)


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


def refresh_tokens(refresh_token: str) -> dict[str, Any]:
    """
    Exchange a refresh token for a new pair; each token is good once.

    One that was used before ends its family: every token of that session stops working (RFC 9700,
    4.14.2). Raises Unauthenticated (`token_expired`, `invalid_token` or `refresh_token_reused`),
    or RateLimited for a session that refreshes too often.
    """
    token = verify_refresh_token(refresh_token)
    admit("refresh_session", str(token.session.session_key))
    with transaction.atomic():
        _one_at_a_time([token.user.pk])
        token = verify_refresh_token(refresh_token)  # it may have been signed out while this one waited
        tokens = _next_tokens(token)
        if tokens is None:
            end_session(token.session)
            user = token.user
            record(Action.TOKEN_REUSED, actor=actor_of(user), target_kind="user", target_id=user.pk, jti=token.jti)
    if tokens is None:
        raise Unauthenticated(
            "This refresh token was used before, so its session was ended. Sign in again.", code="refresh_token_reused"
        )
    return tokens


def _next_tokens(token: Token) -> dict[str, Any] | None:
    """The row decides who is first: of many at once, one finds its own token's id in it."""
    refresh, jti = sign(TokenUse.REFRESH, token.user, token.session)
    family = RefreshTokenFamily.objects.filter(session_key=token.session.session_key, newest_jti=token.jti)
    if not family.update(newest_jti=jti, expires_at=_end_of_life()):
        return None
    now = timezone.now()
    Session.objects.filter(pk=token.session.session_key).update(expire_date=_end_of_life())
    UserSession.objects.filter(session_key=token.session.session_key).update(last_seen_at=now)
    User.objects.filter(pk=token.user.pk).update(last_seen_at=now)
    return _tokens(sign(TokenUse.ACCESS, token.user, token.session)[0], refresh)


def _one_at_a_time(user_ids: Iterable[str]) -> None:
    """
    Make other changes to these users' sessions wait until this transaction ends.

    Everything that changes sessions does this before it touches any of their rows, so no two of
    them ever wait for each other.
    """
    users = User.objects.get_queryset().filter(pk__in=sorted(set(user_ids))).order_by("pk")
    list(users.select_for_update(no_key=True).values_list("pk"))


@transaction.atomic
def end_session(session: SessionBase) -> None:
    """End a session and every token of it, everywhere within two seconds."""
    end_sessions_by_key([str(session.session_key)])


def revoke_token(token: str) -> None:
    """End the session a token belongs to (RFC 7009). A token that proves nothing is passed over in silence."""
    with suppress(Unauthenticated):
        log_out(token)


@transaction.atomic
def log_out(token: str) -> None:
    """End the session of an access or refresh token. Raises Unauthenticated."""
    _one_at_a_time([verify_token(token).user.pk])
    verified = verify_token(token)
    end_session(verified.session)
    user = verified.user
    record(Action.LOGOUT_SUCCEEDED, actor=actor_of(user), target_kind="user", target_id=user.pk)


@transaction.atomic
def end_sessions_by_key(keys: list[str]) -> None:
    """As `end_session`, for sessions by their keys."""
    _one_at_a_time(UserSession.objects.filter(session_key__in=keys).values_list("user", flat=True))
    Session.objects.filter(pk__in=keys).delete()
    RefreshTokenFamily.objects.filter(session_key__in=keys).delete()
    UserSession.objects.filter(session_key__in=keys).delete()
    raise_epoch()


@transaction.atomic
def sign_out_everywhere(*, user: User, actor: Actor, keep: SessionBase | None = None) -> None:
    """End all of a user's sessions and tokens, in browsers and over the API; `keep` goes on."""
    _one_at_a_time([user.pk])
    User.objects.filter(pk=user.pk).update(session_version=F("session_version") + 1)
    user.refresh_from_db(fields=["session_version"])
    kept = keep.session_key if keep is not None else None
    keys = list(UserSession.objects.filter(user=user).exclude(session_key=kept).values_list("session_key", flat=True))
    end_sessions_by_key(keys)
    RefreshTokenFamily.objects.filter(user=user).exclude(session_key=kept).delete()
    if keep is not None:
        renew_session(keep, user)
    record(Action.SESSIONS_ENDED, actor=actor, target_kind="user", target_id=user.pk)


def renew_session(session: SessionBase, user: User) -> None:
    """
    Let a session stand although the user's password or session version changed.

    Raises SessionInterrupted if it was ended in the meantime.
    """
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    try:
        session.save()
    except UpdateError:
        raise SessionInterrupted("The session was ended in the meantime.") from None


@transaction.atomic
def forget_ended_sessions() -> None:
    """Delete what expired sessions leave behind."""
    now = timezone.now()
    Session.objects.filter(expire_date__lt=now).delete()
    RefreshTokenFamily.objects.filter(expires_at__lt=now).delete()
    UserSession.objects.exclude(session_key__in=Session.objects.values("pk")).delete()

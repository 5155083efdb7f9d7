"""How allauth's flows go here: who may sign up, what is audited, where mails and links lead."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from allauth.account import app_settings
from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.authentication import get_authentication_records
from allauth.account.internal.stagekit import unstash_login
from allauth.account.models import EmailAddress
from allauth.account.utils import user_pk_to_url_str
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.core.internal import ratelimit
from allauth.usersessions.adapter import DefaultUserSessionsAdapter
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from apps.accounts.addresses import mailable
from apps.accounts.invitations import SignUp, may_sign_up, proven_address
from apps.accounts.mail import as_html
from apps.accounts.models import User
from apps.accounts.self_service import change_password, start_afresh
from apps.accounts.services import give_way, note_seen
from apps.accounts.sessions import actor_of, end_sessions_by_key
from apps.audit.services import Action, Actor, record

# Nobody's out-of-office assistant has to answer.
_HEADERS = {"Auto-Submitted": "auto-generated"}
# Whose limits, and which of them counts an account's failed passwords from all addresses.
_APP, _ANYWHERE = "allauth.account", "login_failed_anywhere"


class AccountAdapter(DefaultAccountAdapter):
    """Accounts of people, by e-mail address and password."""

    error_messages = {
        **DefaultAccountAdapter.error_messages,
        "email_password_mismatch": "The e-mail address or the password is wrong.",
        "enter_current_password": "This is not your current password.",
        "incorrect_password": "This is not your password.",
        "duplicate_email": "This address is already on your account.",
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return may_sign_up(request)

    def is_email_verified(self, request: HttpRequest, email: str) -> bool:
        return proven_address(request) == email.lower()

    def clean_email(self, email: str) -> str:
        return mailable(email)

    def validation_error(self, code: str, *args: Any) -> ValidationError:
        # Whatever form the tries came by, what is over a limit is answered as such.
        if code in ("too_many_login_attempts", "rate_limited"):
            raise ImmediateHttpResponse(ratelimit.respond_429(self.request))
        refusal: ValidationError = super().validation_error(code, *args)
        return refusal

    # --- What happened ---

    def login(self, request: HttpRequest, user: User) -> None:
        methods = [step["method"] for step in get_authentication_records(request, user)]
        super().login(request, user)
        note_seen([user.pk])
        record(Action.LOGIN_SUCCEEDED, actor=actor_of(user), target_kind="user", target_id=user.pk, methods=methods)

    def logout(self, request: HttpRequest) -> None:
        user, key = request.user, request.session.session_key
        actor = actor_of(user) if isinstance(user, User) else None
        super().logout(request)
        if actor is not None:
            end_sessions_by_key([str(key)])
            record(Action.LOGOUT_SUCCEEDED, actor=actor, target_kind="user", target_id=actor.id)

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        email = str(credentials.get("email", ""))
        user = User.objects.get_queryset().proven_by(email).first()
        target = {"target_kind": "user", "target_id": user.pk} if user is not None else {}
        record(Action.LOGIN_FAILED, actor=Actor("anonymous"), email=email, **target)

    def set_password(self, user: User, password: str) -> None:
        is_own = self.request.user.is_authenticated and self.request.user.pk == user.pk
        change_password(user=user, password=password, keep=self.request.session if is_own else None)

    @transaction.atomic
    def confirm_email(self, request: HttpRequest, email_address: EmailAddress) -> bool:
        user = User.objects.get_queryset().select_for_update().get(pk=email_address.user_id)
        email_address.user, is_first = user, user.email is None
        give_way(address=email_address)
        is_confirmed = bool(super().confirm_email(request, email_address))
        if is_confirmed:
            email = email_address.email
            record(Action.EMAIL_VERIFIED, actor=actor_of(user), target_kind="user", target_id=user.pk, email=email)
        if is_confirmed and is_first and not _was_claimed_in(request, user):
            start_afresh(user=user)
        return is_confirmed

    # --- Mails ---

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        # Not allauth's context: its site is whatever the Host header says.
        facts = {"email": email, "server": settings.PUBLIC_URL, "is_open": settings.SIGNUP == SignUp.OPEN}
        self.render_mail(template_prefix, email, {**facts, **context}).send()

    def render_mail(
        self,
        template_prefix: str,
        email: str | list[str],
        context: dict[str, Any],
        headers: dict[str, str] | None = None,
    ) -> EmailMultiAlternatives:
        message: EmailMultiAlternatives = super().render_mail(
            template_prefix, email, context, {**_HEADERS, **(headers or {})}
        )
        message.attach_alternative(as_html(str(message.body)), "text/html")
        return message

    # --- Where to ---

    def get_login_redirect_url(self, request: HttpRequest) -> str:
        is_operator = isinstance(request.user, User) and request.user.is_staff
        return reverse("admin:index") if is_operator else reverse("account_home")

    def get_email_verification_redirect_url(self, email_address: EmailAddress) -> str:
        user = email_address.user
        has_others = EmailAddress.objects.filter(user=user).exclude(pk=email_address.pk).exists()
        if self.request.user.is_authenticated or user.has_usable_password() or has_others:
            return str(super().get_email_verification_redirect_url(email_address))
        # Proven in another browser than it was claimed in: whoever followed the link may choose a password,
        # as after a reset. The second address of somebody without one opens nothing.
        token = app_settings.PASSWORD_RESET_TOKEN_GENERATOR().make_token(user)
        return reverse("account_reset_password_from_key", args=[user_pk_to_url_str(user), token])

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        return self.get_login_redirect_url(request)

    def is_safe_url(self, url: str) -> bool:
        # Not allauth's list: it takes the Host header's word for what this server is called.
        own = {urlsplit(settings.PUBLIC_URL).netloc}
        return url_has_allowed_host_and_scheme(url, allowed_hosts=own, require_https=settings.BEHIND_TLS)

    # --- Tries ---

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        super().pre_authenticate(request, **credentials)
        anywhere = ratelimit.consume(request, app=_APP, action=_ANYWHERE, key=_tried(credentials))
        if anywhere is None:
            raise self.validation_error("too_many_login_attempts")
        self._login_failed_rl_usage.usage += anywhere.usage  # is taken back when the password was right

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        # allauth counts per Host header, so another spelling of it would be another five attempts. And it counts
        # all addresses together, so that five tries of anybody's would keep the account's owner out.
        return f"{_tried(credentials)}|{ratelimit.get_ip(request)}"

    def _delete_login_attempts_cached_email(self, request: HttpRequest, **credentials: Any) -> None:
        super()._delete_login_attempts_cached_email(request, **credentials)
        ratelimit.clear(request, app=_APP, action=_ANYWHERE, key=_tried(credentials))


def _tried(credentials: dict[str, Any]) -> str:
    return str(credentials.get("email", "")).lower()


def _was_claimed_in(request: HttpRequest, user: User) -> bool:
    """Say whether this browser made the account, so that whoever sits here knows its password."""
    pending = unstash_login(request, peek=True)
    return request.user == user or (pending is not None and pending.user == user)


class UserSessionsAdapter(DefaultUserSessionsAdapter):
    """Sessions end with their tokens."""

    def end_sessions(self, sessions: Iterable[UserSession]) -> None:
        end_sessions_by_key([session.session_key for session in sessions])

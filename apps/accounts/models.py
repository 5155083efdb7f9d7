"""People, and guests, who are people we have not met."""

from __future__ import annotations

import datetime
from typing import Any, ClassVar, Self

from allauth.account.models import EmailAddress
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.module_loading import import_string

from apps.core.epoch import EpochModel, EpochQuerySet
from apps.core.ids import PublicIdField


class UserQuerySet(EpochQuerySet["User"]):
    def signed_in_by(self, email: str) -> User | None:
        """Return the account of an e-mail address, spelled in any case, or None."""
        return self.filter(email=email.strip().lower()).first()

    def proven_by(self, email: str) -> Self:
        """Return whose address this is: whoever followed a link mailed to it, or was given it by an operator."""
        proven = Q(emailaddress__email=email.strip().lower(), emailaddress__verified=True)
        return self.filter(Q(email=email.strip().lower()) | proven).distinct()

    def silent_guests(self, since: datetime.datetime) -> Self:
        """Return guests that made no request since then, or were made before it and never made one."""
        return self.filter(Q(last_seen_at__lt=since) | Q(last_seen_at=None, created_at__lt=since), is_guest=True)


class UserManager(BaseUserManager["User"]):
    def get_queryset(self) -> UserQuerySet:
        return UserQuerySet(self.model, using=self._db)

    def create_user(self, email: str | None = None, password: str | None = None, **fields: Any) -> User:
        user = self.model(email=email, **fields)
        user.set_password(password)
        user.save()
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)


class User(EpochModel, AbstractBaseUser, PermissionsMixin):
    """
    Somebody who can sign in. The primary key is the public id, so no token or session holds an integer.

    Saving a new one also makes what an account comes with (`ACCOUNTS_PROVISIONER`), whichever
    way it came to be.
    """

    not_cached = frozenset({"last_login", "last_seen_at"})

    id = PublicIdField("user", primary_key=True)
    email = models.EmailField("e-mail", unique=True, null=True, blank=True, help_text="Guests have none.")
    username = models.CharField(max_length=150, blank=True)
    name = models.CharField(max_length=150, blank=True)
    picture = models.URLField(blank=True)
    is_guest = models.BooleanField("guest", default=False)
    is_active = models.BooleanField("active", default=True, help_text="Inactive users and their keys are refused.")
    is_staff = models.BooleanField("operator", default=False, help_text="May open this admin.")
    must_change_password = models.BooleanField(
        default=False, help_text="Sees nothing but the page that changes it, until it is changed."
    )
    session_version = models.PositiveIntegerField(
        default=0, editable=False, help_text="Raised to end every session and token of the user at once."
    )
    last_seen_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["-created_at"], name="user_created_idx"),
            models.Index(fields=["username"], name="user_username_idx", opclasses=["varchar_pattern_ops"]),
            models.Index(fields=["last_seen_at"], name="user_last_seen_idx"),
            # Of which there are few among very many.
            models.Index(fields=["-created_at"], name="user_operator_idx", condition=Q(is_staff=True)),
            models.Index(fields=["-created_at"], name="user_disabled_idx", condition=Q(is_active=False)),
            models.Index(fields=["-created_at"], name="user_must_change_idx", condition=Q(must_change_password=True)),
        ]

    def __str__(self) -> str:
        return self.email or self.username or self.id

    def save(self, *args: Any, **kwargs: Any) -> None:
        inserting = self._state.adding
        self.email = self.email.strip().lower() if self.email else None
        with transaction.atomic():
            super().save(*args, **kwargs)
            if inserting:
                import_string(settings.ACCOUNTS_PROVISIONER)(self)

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        # Sessions and tokens are good for one password and one session version.
        own = super()._get_session_auth_hash(secret)  # type: ignore[misc]
        return f"{own}.{self.session_version}"

    def get_full_name(self) -> str:
        return self.name

    @property
    def has_guest_rights(self) -> bool:
        """Guests, and accounts made of guests until their address is confirmed: until then they have none."""
        return self.is_guest or (self.email is None and EmailAddress.objects.filter(user=self, verified=False).exists())

    def get_short_name(self) -> str:
        return self.name or str(self)


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def unended(self) -> Self:
        """Invitations that neither made an account nor were revoked. Their time may be up."""
        return self.filter(accepted_at=None, revoked_at=None)

    def open(self) -> Self:
        """Invitations whose link is good."""
        return self.unended().filter(expires_at__gt=timezone.now())

    def settle(self, email: str) -> int:
        """Some account has proven this address, by an invitation or not: no link makes another one with it."""
        return self.unended().filter(email=email).update(accepted_at=timezone.now())


class Invitation(models.Model):
    """An operator's invitation to make an account with an address. Its link's secret is kept as a digest."""

    public_id = PublicIdField("inv")
    email = models.EmailField("e-mail")
    token_digest = models.CharField(max_length=64, unique=True, editable=False)
    invited_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(editable=False)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects: ClassVar[InvitationQuerySet] = InvitationQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["-created_at"], name="invitation_created_idx"),
            models.Index(fields=["email"], name="invitation_email_idx", opclasses=["varchar_pattern_ops"]),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["email"], condition=Q(accepted_at=None, revoked_at=None), name="one_open_invitation_each"
            )
        ]

    def __str__(self) -> str:
        return self.email

    @property
    def state(self) -> str:
        """`accepted`, `revoked`, `expired` or `pending`."""
        if self.accepted_at is not None:
            return "accepted"
        if self.revoked_at is not None:
            return "revoked"
        return "pending" if self.expires_at > timezone.now() else "expired"


class RefreshTokenFamily(models.Model):
    """
    The refresh tokens of one session: each use makes the next one, and only the newest is good.

    An older one that comes back was copied by somebody, so the whole family ends.
    """

    session_key = models.CharField(max_length=40, unique=True)
    user = models.ForeignKey(User, models.CASCADE, related_name="refresh_token_families")
    newest_jti = models.CharField(max_length=36)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name_plural = "refresh token families"

    def __str__(self) -> str:
        return f"tokens of {self.user_id}"

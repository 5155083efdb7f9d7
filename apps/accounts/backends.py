"""Who an e-mail address and a password sign in."""

from __future__ import annotations

from allauth.account.auth_backends import AuthenticationBackend
from django.contrib.auth.base_user import AbstractBaseUser

from apps.accounts.models import User


class ProvenAddressBackend(AuthenticationBackend):
    """
    Knows the account that has proven an address, and none that only claims it.

    So a wrong answer says nothing of whose the address is, and each try costs one password's check:
    that account's, or allauth's dummy.
    """

    def _authenticate_by_email(self, email: str, password: str) -> AbstractBaseUser | None:
        owner = User.objects.get_queryset().proven_by(email).first()
        user: AbstractBaseUser | None = self._check_password(owner, password)
        return user

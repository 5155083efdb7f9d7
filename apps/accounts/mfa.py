"""What allauth's second factors are told about this server."""

from __future__ import annotations

from urllib.parse import urlsplit

from allauth.account.models import EmailAddress
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.conf import settings

from apps.accounts.models import User
from apps.core.sealing import PLATFORM, seal, unseal

# allauth seals before there is a row and says neither row nor user, so the column is all there is to bind to.
_CONTEXT = "mfa_authenticator:data:secret"


class MFAAdapter(DefaultMFAAdapter):
    """Secrets of authenticator apps and recovery codes are sealed; passkeys belong to `JAN_PUBLIC_URL`."""

    def encrypt(self, text: str) -> str:
        return seal(text, owner=PLATFORM, context=_CONTEXT)

    def decrypt(self, encrypted_text: str) -> str:
        return unseal(encrypted_text, owner=PLATFORM, context=_CONTEXT)

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        # Not the Host header's name: a passkey is for one name, whichever way a request came in.
        return {"id": urlsplit(settings.PUBLIC_URL).hostname or "localhost", "name": settings.MFA_TOTP_ISSUER}

    def generate_authenticator_name(self, user: User, type: str) -> str:  # noqa: A002  allauth's name for it
        number = Authenticator.objects.filter(user=user, type=type).count() + 1
        return "Passkey" if number == 1 else f"Passkey {number}"


def is_main_address_open(user: User) -> bool:
    """
    Whether the account's main address still waits to be confirmed, which keeps factors from being set up.

    Whoever claims an address that is somebody else's could lock that person out of it. Further
    addresses do not matter: they are nobody's way in before they are confirmed.
    """
    addresses = EmailAddress.objects.filter(user=user)
    return addresses.exists() and not addresses.filter(primary=True, verified=True).exists()

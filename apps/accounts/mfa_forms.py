"""
allauth's forms for second factors, with what it leaves open.

Codes are good once for as long as they are good at all; malformed passkeys, some of which raise
inside the library, are refused.
"""

from __future__ import annotations

from typing import Any

from allauth.core.internal.cryptokit import normalize_user_code
from allauth.mfa.adapter import get_adapter
from allauth.mfa.base.forms import AuthenticateForm, BaseAuthenticateForm, ReauthenticateForm
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.webauthn.forms import (
    AddWebAuthnForm,
    AuthenticateWebAuthnForm,
    LoginWebAuthnForm,
    ReauthenticateWebAuthnForm,
)
from django import forms
from django.conf import settings
from django.core.cache import cache
from fido2.webauthn import AuthenticationResponse, AuthenticatorAttestationResponse, RegistrationResponse

from apps.accounts.models import User


def _use(user: User, code: str) -> bool:
    """Remember that a code of the app was used, for as long as it is good. Returns whether it is the first time."""
    # allauth remembers it for one step of time, if at all; with tolerance it is good for three.
    steps = 2 * settings.MFA_TOTP_TOLERANCE + 1
    key = f"jan.totp.used?user={user.pk}&code={normalize_user_code(code)}"
    return bool(cache.add(key, "y", timeout=steps * settings.MFA_TOTP_PERIOD))


class _GoodOnce(BaseAuthenticateForm):
    def clean_code(self) -> str:
        code: str = super().clean_code()
        if self.authenticator.type == Authenticator.Type.TOTP and not _use(self.user, code):
            self._emit_authentication_failed(self.authenticator)
            raise get_adapter().validation_error("incorrect_code")
        return code


class ActivateForm(ActivateTOTPForm):
    """Setting up an authenticator app. The code that proves it is at hand does not sign in as well."""

    def clean_code(self) -> str:
        code: str = super().clean_code()
        if not _use(self.user, code):
            raise get_adapter().validation_error("incorrect_code")
        return code


class CodeForm(_GoodOnce, AuthenticateForm):
    """The second step of a sign-in."""


class CodeAgainForm(_GoodOnce, ReauthenticateForm):
    """Saying again who one is."""


class CredentialField(forms.JSONField):
    """What a browser's authenticator answered, if it can be read as `shape` at all."""

    widget = forms.HiddenInput

    def __init__(self, shape: type[RegistrationResponse] | type[AuthenticationResponse]) -> None:
        super().__init__()
        self._shape = shape

    def clean(self, value: Any) -> Any:
        try:
            answer = super().clean(value)
            readable = self._is_complete(self._shape.from_dict(answer).response)
        except forms.ValidationError:
            raise
        except Exception:  # bytes of a stranger's choosing, read by three decoders: any of them may raise anything
            raise get_adapter().validation_error("incorrect_code") from None
        if not readable:
            raise get_adapter().validation_error("incorrect_code")
        return answer

    def bound_data(self, data: Any, initial: Any) -> None:
        """A credential is good once, so a form shown again is empty."""

    def prepare_value(self, value: Any) -> str:
        return ""

    @staticmethod
    def _is_complete(response: Any) -> bool:
        if isinstance(response, AuthenticatorAttestationResponse):
            return response.attestation_object.auth_data.credential_data is not None
        return b"\x00" not in (response.user_handle or b"")  # PostgreSQL would refuse to look for it


class AddPasskeyForm(AddWebAuthnForm):
    credential = CredentialField(RegistrationResponse)


class SignInForm(LoginWebAuthnForm):
    credential = CredentialField(AuthenticationResponse)


class SecondStepForm(AuthenticateWebAuthnForm):
    credential = CredentialField(AuthenticationResponse)


class ConfirmForm(ReauthenticateWebAuthnForm):
    credential = CredentialField(AuthenticationResponse)

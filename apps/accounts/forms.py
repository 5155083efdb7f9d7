"""allauth's forms, in our words and with our rule of whose an address is."""

from __future__ import annotations

from typing import Any, ClassVar

from allauth.account import forms
from allauth.account.internal.flows.email_verification import consume_email_verification_rate_limit
from allauth.account.models import EmailAddress
from allauth.core import context
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.forms import Form
from django.http import HttpRequest, HttpResponse

from apps.accounts.addresses import normalised
from apps.accounts.invitations import forget, invited_address, proven_address
from apps.accounts.models import User
from apps.accounts.self_service import sign_up


class Worded(Form):
    """A form with our labels. There are no placeholders: they vanish when needed, and are read out twice."""

    labels: ClassVar[dict[str, str]] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            field.label = self.labels.get(name, field.label)
            field.widget.attrs.pop("placeholder", None)


class LoginForm(Worded, forms.LoginForm):
    labels = {"login": "E-mail", "remember": "Stay signed in"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["login"].widget.attrs["autocomplete"] = "username"  # what password managers fill in

    def clean_login(self) -> str:
        return normalised(super().clean_login())


class SignupForm(Worded, forms.SignupForm):
    """Claims an address. One that an account has proven is answered the same, in the same time."""

    labels = {"email": "E-mail"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.invited, self.proven = invited_address(context.request), proven_address(context.request)
        if self.invited:
            self.initial["email"] = self.invited
            self.fields["email"].disabled = True

    def validate_unique_email(self, value: str) -> str:
        self.account_already_exists = User.objects.get_queryset().proven_by(value).exists()
        return value

    def try_save(self, request: HttpRequest) -> tuple[User | None, HttpResponse | None]:
        if self.account_already_exists:
            User().set_password(self.cleaned_data["password1"])  # most of what making an account costs
        saved: tuple[User | None, HttpResponse | None]
        try:
            saved = super().try_save(request)
        except IntegrityError:  # the button was pressed twice, and the other request was first
            self.account_already_exists = True
            saved = super().try_save(request)
        return saved

    def save(self, request: HttpRequest) -> User:
        email, password = self.cleaned_data["email"], self.cleaned_data["password1"]
        user = sign_up(email=email, password=password, is_proven=email == self.proven)
        forget(request)
        return user


class ResetPasswordForm(Worded, forms.ResetPasswordForm):
    labels = {"email": "E-mail"}

    def clean_email(self) -> str:
        email = normalised(super().clean_email())
        # Not who only claimed it: its owner would get the keys to a stranger's account.
        self.users = list(User.objects.get_queryset().proven_by(email).filter(is_active=True))
        return email

    def save(self, request: HttpRequest, **kwargs: Any) -> str:
        email: str = self.cleaned_data["email"]
        # Whoever waits for a link to confirm the address asks for another one here.
        claim = EmailAddress.objects.filter(email=email, verified=False, user__is_active=True).order_by("pk").first()
        if claim is None or User.objects.get_queryset().proven_by(email).exists():
            return str(super().save(request, **kwargs))
        if consume_email_verification_rate_limit(request, email):
            claim.send_confirmation(request)
        return email


class ResetPasswordKeyForm(Worded, forms.ResetPasswordKeyForm):
    labels = {"password1": "New password", "password2": "New password, again"}


class ChangePasswordForm(Worded, forms.ChangePasswordForm):
    labels = {"oldpassword": "Current password", "password1": "New password", "password2": "New password, again"}

    def clean_password1(self) -> str:
        password: str = self.cleaned_data["password1"]
        if password == self.cleaned_data.get("oldpassword"):
            raise ValidationError("Choose another password than the current one.")
        return password


class SetPasswordForm(Worded, forms.SetPasswordForm):
    labels = {"password2": "Password, again"}


class ReauthenticateForm(Worded, forms.ReauthenticateForm):
    pass


class AddEmailForm(Worded, forms.AddEmailForm):
    labels = {"email": "Another address"}

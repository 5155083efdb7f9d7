"""What allauth's providers have in common here: each is a row, and speaks in profiles."""

from __future__ import annotations

from typing import Any

from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialLogin
from django.http import HttpRequest
from django.urls import reverse

from apps.sso.models import IdentityProvider
from apps.sso.people import Profile


class RowProvider:
    """Stands before one of allauth's provider classes."""

    app: Any

    @property
    def row(self) -> IdentityProvider:
        found: IdentityProvider = self.app.row
        return found

    def read(self, response: Any) -> Profile:
        """Return who a verified response is about. A provider says how it is read."""
        raise TypeError(f"{type(self).__name__} does not say how its responses are read")

    def get_login_url(self, request: HttpRequest, **kwargs: Any) -> str:
        url: str = reverse("sso_login", kwargs={"slug": self.row.slug}, query=kwargs or None)
        return url

    def serialize(self) -> dict[str, Any]:
        # By slug: two providers may know us by the same client id.
        return {**super().serialize(), "id": self.row.slug}  # type: ignore[misc]

    def sociallogin_from_response(self, request: HttpRequest, response: Any) -> SocialLogin:
        profile = self.read(response)
        login: SocialLogin = super().sociallogin_from_response(request, profile)  # type: ignore[misc]
        login.profile = profile
        return login

    def extract_uid(self, data: Profile) -> str:
        return data.subject

    def extract_extra_data(self, data: Profile) -> dict[str, Any]:
        return data.kept

    def extract_common_fields(self, data: Profile) -> dict[str, Any]:
        return {"email": data.email, "name": data.name}

    def cleanup_email_addresses(
        self, email: str | None, addresses: list[EmailAddress], email_verified: bool = False
    ) -> str | None:
        # They are clean; allauth would ask the account adapter, which refuses addresses that have to come this way.
        return email

    def extract_email_addresses(self, data: Profile) -> list[EmailAddress]:
        return [EmailAddress(email=data.email, verified=True, primary=True)] if data.email else []

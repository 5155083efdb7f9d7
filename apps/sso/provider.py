"""Our providers as allauth sees them: its flows, states and pages, with our rows and our checks of tokens."""

from __future__ import annotations

from typing import Any

from allauth.socialaccount.providers.base import ProviderAccount, ProviderException
from allauth.socialaccount.providers.oauth2.provider import OAuth2Provider
from allauth.socialaccount.providers.oauth2.views import OAuth2Adapter
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from apps.core.errors import AppError
from apps.sso import oidc
from apps.sso.models import IdentityProvider, ProviderKind
from apps.sso.people import Profile, profile_of
from apps.sso.rows import RowProvider

# No slug: what comes after it is looked up among ours.
ALLAUTH_ID = "_sso"


class SSOAccount(ProviderAccount):
    """Named by its e-mail address on pages."""


class SSOAdapter(OAuth2Adapter):
    """The code flow of one provider on pages. What came back is redeemed and verified by `apps.sso.oidc`."""

    def __init__(self, request: HttpRequest, provider_id: str) -> None:
        super().__init__(request)
        self.provider_id = provider_id

    def get_client(self, request: HttpRequest, app: Any) -> None:
        return None  # allauth's would speak to the provider itself

    def get_access_token_data(
        self, request: HttpRequest, app: Any, client: None, pkce_code_verifier: str | None = None
    ) -> dict[str, Any]:
        row = self.get_provider().row
        try:
            oidc.check_issuer(row, request.GET.get("iss"))
            return oidc.redeem(
                row, code=request.GET["code"], callback_url=self.callback_url, verifier=pkce_code_verifier or ""
            )
        except AppError as refusal:
            raise ProviderException(refusal.message) from refusal

    def parse_token(self, data: dict[str, Any]) -> None:
        return None  # nothing of what opens the provider is kept

    def complete_login(self, request: HttpRequest, app: Any, token: None, **kwargs: Any) -> Any:
        return self.get_provider().sociallogin_from_response(request, kwargs["response"])

    @property
    def callback_url(self) -> str:
        return page_callback_url(self.get_provider().row)


class SSOProvider(RowProvider, OAuth2Provider):
    id = ALLAUTH_ID
    name = "Single sign-on"
    account_class = SSOAccount
    oauth2_adapter_class = SSOAdapter

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.name = self.app.name

    def read(self, response: dict[str, Any]) -> Profile:
        return profile_of(self.row, response)

    def redirect(
        self, request: HttpRequest, process: str, next_url: str | None = None, data: Any = None, **kwargs: Any
    ) -> HttpResponse:
        verifier = oidc.new_verifier()
        state = self.stash_redirect_state(request, process, next_url, data, pkce_code_verifier=verifier)
        url = oidc.authorization_url(self.row, callback_url=page_callback_url(self.row), state=state, verifier=verifier)
        return HttpResponseRedirect(url)


def page_callback_url(provider: IdentityProvider) -> str:
    """Return where a provider sends people who sign in on our pages."""
    if provider.kind == ProviderKind.SAML:
        path = reverse("saml_acs", kwargs={"organization_slug": provider.slug})
    else:
        path = reverse("sso_callback", kwargs={"slug": provider.slug})
    return f"{settings.PUBLIC_URL}{path}"


provider_classes = [SSOProvider]

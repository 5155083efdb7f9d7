"""Signing in with a provider in the browser: allauth's two views, for any of our rows."""

from __future__ import annotations

from urllib.parse import urlsplit

from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.models import SocialApp
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView, OAuth2LoginView
from django.http import Http404, HttpRequest, HttpResponse

from apps.core.errors import AppError
from apps.sso.adapter import refusal_page
from apps.sso.metadata import metadata_of
from apps.sso.models import IdentityProvider
from apps.sso.provider import SSOAdapter


def login(request: HttpRequest, slug: str) -> HttpResponse:
    """Ask by GET whether to go to the provider, go by POST."""
    provider = _provider(request, slug)
    try:
        endpoint = urlsplit(metadata_of(provider).authorization_endpoint)
        response: HttpResponse = OAuth2LoginView.adapter_view(SSOAdapter(request, slug))(request)
    except AppError as refusal:
        return refusal_page(request, provider, refusal)
    # The form is sent to us, and we send on to the provider: browsers want both to be allowed.
    response._csp_update = {"form-action": [f"{endpoint.scheme}://{endpoint.netloc}"]}  # type: ignore[attr-defined]
    return response


def callback(request: HttpRequest, slug: str) -> HttpResponse:
    """Sign somebody in who comes back from the provider."""
    provider = _provider(request, slug)
    try:
        response: HttpResponse = OAuth2CallbackView.adapter_view(SSOAdapter(request, slug))(request)
    except AppError as refusal:
        return refusal_page(request, provider, refusal)
    return response


def _provider(request: HttpRequest, slug: str) -> IdentityProvider:
    try:
        provider: IdentityProvider = get_adapter(request).get_provider(request, slug).row
    except SocialApp.DoesNotExist:
        raise Http404 from None
    if not provider.is_enabled or not provider.client_id:
        raise Http404
    return provider

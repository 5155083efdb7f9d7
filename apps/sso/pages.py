"""
Signing in with a provider in the browser: allauth's two views, for any of our rows.

And allauth's pages for other ways in, which those who have to use a provider do not get.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from allauth.account import views as account_views
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.providers.base.utils import respond_to_login_on_get
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView
from django.core.exceptions import ImproperlyConfigured
from django.http import Http404, HttpRequest, HttpResponse

from apps.accounts.models import User
from apps.core.errors import AppError
from apps.sso.account_adapter import rule_binding
from apps.sso.adapter import refusal_page
from apps.sso.metadata import metadata_of
from apps.sso.models import IdentityProvider, ProviderKind
from apps.sso.people import sso_required
from apps.sso.provider import SSOAdapter


def login(request: HttpRequest, slug: str) -> HttpResponse:
    """Ask by GET whether to go to the provider, go by POST."""
    provider = _provider(request, slug)
    row = provider.row
    try:
        endpoint = urlsplit(row.sso_url or metadata_of(row).authorization_endpoint)
        response: HttpResponse = respond_to_login_on_get(request, provider) or provider.redirect_from_request(request)
    except AppError as refusal:
        return refusal_page(request, row, refusal)
    # The form is sent to us, and we send on to the provider: browsers want both to be allowed.
    response._csp_update = {"form-action": [f"{endpoint.scheme}://{endpoint.netloc}"]}  # type: ignore[attr-defined]
    return response


def callback(request: HttpRequest, slug: str) -> HttpResponse:
    """Sign somebody in who comes back from the provider."""
    row = _provider(request, slug).row
    if row.kind == ProviderKind.SAML:  # which comes back to allauth's own view
        raise Http404
    try:
        response: HttpResponse = OAuth2CallbackView.adapter_view(SSOAdapter(request, slug))(request)
    except AppError as refusal:
        return refusal_page(request, row, refusal)
    return response


def email(request: HttpRequest) -> HttpResponse:
    """allauth's page of addresses, which nobody changes who has to sign in with a provider."""
    refusal = _refusal_of_bound(request) if request.method == "POST" else None
    return refusal or account_views.email(request)


def set_password(request: HttpRequest) -> HttpResponse:
    """allauth's page for a first password."""
    return _refusal_of_bound(request) or account_views.password_set(request)


def _refusal_of_bound(request: HttpRequest) -> HttpResponse | None:
    rule = rule_binding(request.user) if isinstance(request.user, User) else None
    return refusal_page(request, rule.provider, sso_required(rule)) if rule is not None else None


def _provider(request: HttpRequest, slug: str) -> Any:
    if not IdentityProvider.objects.for_sign_in().filter(slug=slug).exists():
        raise Http404
    try:
        return get_adapter(request).get_provider(request, slug)
    except ImproperlyConfigured:  # a SAML row where SAML is not installed
        raise Http404 from None

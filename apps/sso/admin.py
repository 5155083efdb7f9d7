from __future__ import annotations

from typing import Any, cast

from django import forms
from django.apps import apps
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldBooleanSwitchWidget

from apps.accounts.models import User
from apps.accounts.sessions import actor_of
from apps.audit.history import AuditedAdmin
from apps.core.egress import check_url
from apps.core.errors import AppError
from apps.sso import services
from apps.sso.models import IdentityProvider, ProviderKind, SSODomain
from apps.sso.provider import page_callback_url
from apps.sso.saml import SAML_APP

_URLS = ("discovery_url", "jwks_url", "callback_url", "sso_url")


class IdentityProviderForm(forms.ModelForm):
    """The client secret goes in and never comes out."""

    client_secret = forms.CharField(
        required=False,
        strip=True,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}, render_value=False),
        help_text="Leave empty to keep the one that is stored.",
    )
    forget_client_secret = forms.BooleanField(
        label="Forget the stored client secret", required=False, widget=UnfoldBooleanSwitchWidget
    )

    class Meta:
        model = IdentityProvider
        fields = (
            "slug",
            "name",
            "kind",
            "issuer",
            "discovery_url",
            "jwks_url",
            "client_id",
            "scopes",
            "callback_url",
            "sso_url",
            "certificate",
            "is_enabled",
            "accepts_access_tokens",
            "audiences",
            "trusts_email",
            "email_claim",
            "name_claim",
            "organization",
            "role_claim",
            "roles",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "kind" in self.fields and not apps.is_installed(SAML_APP):
            kinds = [(kind.value, kind.value) for kind in ProviderKind if kind != ProviderKind.SAML]
            cast(forms.TypedChoiceField, self.fields["kind"]).choices = kinds

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        is_saml = cleaned.get("kind", self.instance.kind) == ProviderKind.SAML
        for name in _URLS if is_saml else ("issuer", *_URLS):  # SAML's names need not be addresses
            if cleaned.get(name):
                self._check_url(name, cleaned[name])
        secret = cleaned.get("client_secret") or cleaned.get("forget_client_secret")
        if self.instance.sealed_client_secret and not secret and "discovery_url" in self.changed_data:
            self.add_error("client_secret", "Give it again: the stored one is not sent to where another document says.")
        return cleaned

    def _check_url(self, name: str, url: str) -> None:
        try:
            check_url(url)
        except (AppError, ValueError):
            self.add_error(name, ValidationError("It must be http(s)://host[:port]/…, without credentials."))


@admin.register(IdentityProvider)
class IdentityProviderAdmin(AuditedAdmin):
    """Who else may say who somebody is."""

    form = IdentityProviderForm
    list_display = ("name", "slug", "kind", "issuer", "state", "uses", "organization", "updated_at")
    list_filter = ("kind", "is_enabled", "accepts_access_tokens")
    search_by = {"idp_": ("public_id__startswith",), "": ("slug__startswith",)}
    search_help_text = "The beginning of a slug or an idp_ id."
    list_select_related = ("organization",)
    autocomplete_fields = ("organization",)
    readonly_fields = ("public_id", "stored_client_secret", "page_callback", "created_at", "updated_at")
    _sign_in = ("client_id", "stored_client_secret", "client_secret", "forget_client_secret", "scopes", "callback_url")
    _endpoints = ("issuer", "discovery_url", "jwks_url")
    _saml = ("SAML", {"fields": ("sso_url", "certificate"), "classes": ("collapse",)})
    _people = (
        "People",
        {"fields": ("trusts_email", "email_claim", "name_claim", "organization", "role_claim", "roles")},
    )
    _tokens = ("Access tokens", {"fields": ("accepts_access_tokens", "audiences")})
    add_fieldsets = (
        (None, {"fields": ("name", "slug", "kind", *_endpoints, "is_enabled")}),
        ("Sign-in", {"fields": ("client_id", "client_secret", "scopes", "callback_url")}),
        _tokens,
        _saml,
        _people,
    )
    fieldsets = (
        (None, {"fields": ("name", "slug", "kind", *_endpoints, "is_enabled")}),
        ("Sign-in", {"fields": ("page_callback", *_sign_in)}),
        _tokens,
        _saml,
        _people,
        ("Facts", {"fields": ("public_id", "created_at", "updated_at")}),
    )
    actions = ("enable", "disable")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fieldsets if obj else self.add_fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # Slug and issuer are what people are known by; under another issuer the same `sub` is somebody else.
        return (*self.readonly_fields, "slug", "kind", "issuer") if obj else self.readonly_fields

    def save_model(self, request: HttpRequest, obj: IdentityProvider, form: Any, change: bool) -> None:
        if form.cleaned_data["client_secret"] or form.cleaned_data.get("forget_client_secret"):
            obj.client_secret = form.cleaned_data["client_secret"]
        services.save_provider(provider=obj, actor=actor_of(cast(User, request.user)), changed=form.changed_data)

    def delete_model(self, request: HttpRequest, obj: IdentityProvider) -> None:
        services.delete_provider(provider=obj, actor=actor_of(cast(User, request.user)))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[IdentityProvider]) -> None:
        for provider in queryset:
            self.delete_model(request, provider)

    @display(description="Stored client secret")
    def stored_client_secret(self, provider: IdentityProvider) -> str:
        return "stored" if provider.sealed_client_secret else "none"

    @display(description="Redirect URI for pages")
    def page_callback(self, provider: IdentityProvider) -> str:
        return page_callback_url(provider)

    @display(description="State", label={"enabled": "success", "disabled": "danger"})
    def state(self, provider: IdentityProvider) -> str:
        return "enabled" if provider.is_enabled else "disabled"

    @display(description="For")
    def uses(self, provider: IdentityProvider) -> str:
        uses = {
            "sign-in": bool(provider.client_id or provider.certificate),
            "access tokens": provider.accepts_access_tokens,
        }
        return ", ".join(name for name, is_used in uses.items() if is_used) or "nothing yet"

    @action(description="Enable", permissions=["change"])
    def enable(self, request: HttpRequest, providers: QuerySet[IdentityProvider]) -> None:
        self._switch(request, providers, is_enabled=True)

    @action(description="Disable: nobody signs in with it, its tokens are refused", permissions=["change"])
    def disable(self, request: HttpRequest, providers: QuerySet[IdentityProvider]) -> None:
        self._switch(request, providers, is_enabled=False)

    def _switch(self, request: HttpRequest, providers: QuerySet[IdentityProvider], *, is_enabled: bool) -> None:
        changed = list(providers.exclude(is_enabled=is_enabled))
        for provider in changed:
            provider.is_enabled = is_enabled
            services.save_provider(provider=provider, actor=actor_of(cast(User, request.user)), changed=["is_enabled"])
        self.message_user(request, f"{len(changed)} providers are {'enabled' if is_enabled else 'disabled'}.")


@admin.register(SSODomain)
class SSODomainAdmin(AuditedAdmin):
    """Whose people sign in with which provider."""

    list_display = ("domain", "provider", "is_required", "organization", "created_at")
    list_filter = ("is_required",)
    search_by = {"ssod_": ("public_id__startswith",), "": ("domain__startswith",)}
    search_help_text = "The beginning of a domain or an ssod_ id."
    list_select_related = ("organization", "provider")
    autocomplete_fields = ("organization", "provider")
    readonly_fields = ("public_id", "created_at")
    _rule = ("domain", "organization", "provider", "is_required")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return (*self._rule, *self.readonly_fields) if obj else self._rule

    def save_model(self, request: HttpRequest, obj: SSODomain, form: Any, change: bool) -> None:
        services.save_domain(domain=obj, actor=actor_of(cast(User, request.user)))

    def delete_model(self, request: HttpRequest, obj: SSODomain) -> None:
        services.delete_domain(domain=obj, actor=actor_of(cast(User, request.user)))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[SSODomain]) -> None:
        for domain in queryset:
            self.delete_model(request, domain)

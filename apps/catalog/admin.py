from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminPasswordInput

from apps.catalog.models import Model, ModelAlias, Provider, Route
from apps.catalog.services import ProviderDoesNotAnswer, checked_base_url, sync_provider, test_provider
from apps.core.errors import AppError


class ProviderForm(forms.ModelForm):
    """The credential goes in and never comes out."""

    credential = forms.CharField(
        label="API key",
        required=False,
        strip=True,
        widget=UnfoldAdminPasswordInput(attrs={"autocomplete": "new-password"}, render_value=False),
        help_text="Leave empty to keep the one that is stored.",
    )

    class Meta:
        model = Provider
        fields = ("name", "kind", "base_url", "organization", "is_active", "enables_new_models")

    def clean_base_url(self) -> str:
        try:
            return checked_base_url(self.cleaned_data["base_url"])
        except AppError as refusal:
            raise ValidationError(refusal.message) from None


@admin.register(Provider)
class ProviderAdmin(ModelAdmin):
    """Servers that answer model calls."""

    form = ProviderForm
    list_display = ("name", "kind", "base_url", "owner_name", "is_active", "model_count", "last_synced_at", "health")
    list_filter = ("kind", "is_active")
    search_fields = ("=public_id", "^name")
    search_help_text = "The beginning of a name, or a prov_ id."
    list_select_related = ("organization",)
    autocomplete_fields = ("organization",)
    readonly_fields = ("public_id", "stored_credential", "last_synced_at", "last_error", "created_at", "updated_at")
    fieldsets = (
        (None, {"fields": ("name", "kind", "base_url", "credential", "stored_credential", "organization")}),
        ("Use", {"fields": ("is_active", "enables_new_models")}),
        ("Facts", {"fields": ("public_id", "last_synced_at", "last_error", "created_at", "updated_at")}),
    )
    actions = ("sync", "test", "enable", "disable")
    actions_detail = ("sync_one", "test_one")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Provider]:
        found: QuerySet[Provider] = super().get_queryset(request)
        return found.annotate(model_count=Count("routes"))

    def save_model(self, request: HttpRequest, obj: Provider, form: Any, change: bool) -> None:
        if form.cleaned_data.get("credential"):
            obj.credential = form.cleaned_data["credential"]
        super().save_model(request, obj, form, change)
        if not change:
            self._sync(request, obj)

    @display(description="Stored API key")
    def stored_credential(self, provider: Provider) -> str:
        if not provider.sealed_credential:
            return "none"
        return f"…{provider.credential_last_four}" if provider.credential_last_four else "stored"

    @display(description="Serves")
    def owner_name(self, provider: Provider) -> str:
        return str(provider.organization) if provider.organization else "everybody"

    @display(description="Models")
    def model_count(self, provider: Any) -> int:
        return int(provider.model_count)

    @display(description="Last sync", label={"ok": "success", "failed": "danger", "never": "info"})
    def health(self, provider: Provider) -> str:
        return "failed" if provider.last_error else "ok" if provider.last_synced_at else "never"

    @action(description="Sync models", permissions=["change"])
    def sync(self, request: HttpRequest, providers: QuerySet[Provider]) -> None:
        for provider in providers:
            self._sync(request, provider)

    @action(description="Test connection", permissions=["change"])
    def test(self, request: HttpRequest, providers: QuerySet[Provider]) -> None:
        for provider in providers:
            self._test(request, provider)

    @action(description="Enable", permissions=["change"])
    def enable(self, request: HttpRequest, providers: QuerySet[Provider]) -> None:
        self.message_user(request, f"{providers.update(is_active=True)} providers answer calls.")

    @action(description="Disable", permissions=["change"])
    def disable(self, request: HttpRequest, providers: QuerySet[Provider]) -> None:
        self.message_user(request, f"{providers.update(is_active=False)} providers answer no calls.")

    @action(description="Sync models", url_path="sync", permissions=["change"])
    def sync_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        self._sync(request, Provider.objects.get(pk=object_id))
        return redirect("admin:catalog_provider_change", object_id)

    @action(description="Test connection", url_path="test", permissions=["change"])
    def test_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        self._test(request, Provider.objects.get(pk=object_id))
        return redirect("admin:catalog_provider_change", object_id)

    def _sync(self, request: HttpRequest, provider: Provider) -> None:
        try:
            result = sync_provider(provider)
        except ProviderDoesNotAnswer as problem:
            self.message_user(request, str(problem), messages.ERROR)
            return
        text = f"{provider}: {len(result.added)} models added, {len(result.updated)} known, {len(result.missing)} gone."
        if result.added and not provider.enables_new_models:
            text += " Enable the ones you want under Models."
        self.message_user(request, text, messages.SUCCESS)

    def _test(self, request: HttpRequest, provider: Provider) -> None:
        result = test_provider(provider)
        text = f"{provider}: {result.message} ({result.milliseconds} ms)"
        self.message_user(request, text, messages.SUCCESS if result.ok else messages.ERROR)


class RouteInline(TabularInline):
    model = Route
    extra = 0
    tab = True
    autocomplete_fields = ("provider",)
    fields = ("provider", "upstream_model", "priority", "is_active")


class AliasInline(TabularInline):
    model = ModelAlias
    extra = 0
    tab = True
    autocomplete_fields = ("organization",)
    fields = ("alias", "organization")


@admin.register(Model)
class CatalogModelAdmin(ModelAdmin):
    """What clients can name."""

    list_display = ("model_id", "state", "owner_name", "owned_by", "context_length", "created_at")
    list_filter = ("is_active", "routes__provider__kind")
    search_fields = ("^model_id", "=public_id")
    search_help_text = "The beginning of a model's id."
    list_select_related = ("organization",)
    autocomplete_fields = ("organization",)
    readonly_fields = ("public_id", "created_at", "updated_at")
    fieldsets = (
        (None, {"fields": ("model_id", "display_name", "owned_by", "organization", "is_active")}),
        ("What it can do", {"fields": ("capabilities", "context_length", "supported_parameters")}),
        ("Facts", {"fields": ("public_id", "created_at", "updated_at")}),
    )
    inlines = (RouteInline, AliasInline)
    show_full_result_count = False
    list_per_page = 50
    actions = ("enable", "disable")

    @display(description="State", label={"active": "success", "inactive": "danger"})
    def state(self, model: Model) -> str:
        return "active" if model.is_active else "inactive"

    @display(description="Serves")
    def owner_name(self, model: Model) -> str:
        return str(model.organization) if model.organization else "everybody"

    @action(description="Enable", permissions=["change"])
    def enable(self, request: HttpRequest, models: QuerySet[Model]) -> None:
        self.message_user(request, f"{models.update(is_active=True)} models can be called.")

    @action(description="Disable", permissions=["change"])
    def disable(self, request: HttpRequest, models: QuerySet[Model]) -> None:
        self.message_user(request, f"{models.update(is_active=False)} models can no longer be called.")


@admin.register(Route)
class RouteAdmin(ModelAdmin):
    """Which provider serves which model."""

    list_display = ("model", "provider", "upstream_model", "priority", "is_active")
    list_filter = ("is_active", "provider")
    search_fields = ("^model__model_id", "^upstream_model")
    list_select_related = ("model", "provider")
    autocomplete_fields = ("model", "provider")
    show_full_result_count = False
    list_per_page = 50


@admin.register(ModelAlias)
class ModelAliasAdmin(ModelAdmin):
    """Other names for models."""

    list_display = ("alias", "model", "organization", "created_at")
    search_fields = ("^alias", "^model__model_id")
    list_select_related = ("model", "organization")
    autocomplete_fields = ("model", "organization")
    show_full_result_count = False
    list_per_page = 50

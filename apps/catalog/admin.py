from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from unfold.decorators import action, display
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminPasswordWidget,
    UnfoldBooleanSwitchWidget,
)

from apps.accounts.reauthentication import ask_again
from apps.audit.history import AuditedAdmin
from apps.catalog.models import Capability, Model, ModelAlias, Provider, ProviderKind, Route
from apps.catalog.services import ProviderDoesNotAnswer, checked_base_url, switch_demo, sync_provider, test_provider
from apps.core.admin import OperatorInline
from apps.core.errors import AppError
from apps.core.importing import ImportMixin
from apps.core.tables import Column, Kind


class CatalogAdmin(AuditedAdmin):
    """Whatever changes here may be what decides between the demo and a real model."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        switch_demo()

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        super().delete_model(request, obj)
        switch_demo()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        super().delete_queryset(request, queryset)
        switch_demo()


class ProviderForm(forms.ModelForm):
    """The credential goes in and never comes out, nor to another address than it was given for."""

    credential = forms.CharField(
        label="API key",
        required=False,
        strip=True,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}, render_value=False),
        help_text="Leave empty to keep the one that is stored.",
    )
    forget_credential = forms.BooleanField(
        label="Forget the stored API key", required=False, widget=UnfoldBooleanSwitchWidget
    )

    class Meta:
        model = Provider
        fields = ("name", "kind", "base_url", "organization", "is_active", "enables_new_models")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if {"kind", "base_url"} <= cleaned.keys():
            cleaned["base_url"] = self._checked_base_url(cleaned)
        return cleaned

    def _checked_base_url(self, cleaned: dict[str, Any]) -> str:
        if cleaned["kind"] == ProviderKind.DEMO:
            return ""
        try:
            base_url = checked_base_url(cleaned["base_url"])
        except AppError as refusal:
            raise ValidationError({"base_url": refusal.message}) from None
        stored = self.instance.sealed_credential and not (cleaned["credential"] or cleaned["forget_credential"])
        if stored and urlsplit(base_url).netloc != urlsplit(self.initial["base_url"]).netloc:
            problem = "Give the API key again: the stored one is not sent to another address."
            raise ValidationError({"credential": problem})
        return base_url


@admin.register(Provider)
class ProviderAdmin(CatalogAdmin):
    """Servers that answer model calls."""

    audited_as = "provider"
    form = ProviderForm
    list_display = ("name", "kind", "base_url", "owner_name", "state", "model_count", "last_synced_at", "health")
    list_filter = ("kind", "is_active")
    ordering = ("name",)  # the model's own is lost where models are counted
    search_by = {"prov_": ("public_id__startswith",), "": ("name__istartswith",)}  # there are few
    search_help_text = "The beginning of a name or a prov_ id."
    list_select_related = ("organization",)
    autocomplete_fields = ("organization",)
    readonly_fields = ("public_id", "stored_credential", "last_synced_at", "last_error", "created_at", "updated_at")
    _use = ("Use", {"fields": ("is_active", "enables_new_models")})
    add_fieldsets = ((None, {"fields": ("name", "kind", "base_url", "credential", "organization")}), _use)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "name",
                    "kind",
                    "base_url",
                    "stored_credential",
                    "credential",
                    "forget_credential",
                    "organization",
                )
            },
        ),
        _use,
        ("Facts", {"fields": ("public_id", "last_synced_at", "last_error", "created_at", "updated_at")}),
    )
    actions = ("sync", "test", "enable", "disable")
    actions_submit_line = ("sync_one", "test_one")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Provider]:
        found: QuerySet[Provider] = super().get_queryset(request)
        return found.annotate(model_count=Count("routes"))

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fieldsets if obj else self.add_fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # The credential is sealed for its organization, and the models belong to it.
        return (*self.readonly_fields, "organization") if obj else self.readonly_fields

    def save_model(self, request: HttpRequest, obj: Provider, form: Any, change: bool) -> None:
        if form.cleaned_data["credential"] or form.cleaned_data.get("forget_credential"):
            obj.credential = form.cleaned_data["credential"]
        super().save_model(request, obj, form, change)
        if not change:
            self.sync_one(request, obj)

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        # Setting a credential is sensitive; looking at a provider, which never shows it, is not.
        sets_credential = request.POST.get("credential") or request.POST.get("forget_credential")
        if sets_credential and (asked := ask_again(request)) is not None:
            return asked
        answer: HttpResponse = super().changeform_view(request, object_id, form_url, extra_context)
        return answer

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        # Testing and syncing stay on the page; more buttons than that would hide them.
        fewer = {"show_save_and_add_another": False, "show_save_and_continue": False}
        answer: HttpResponse = super().change_view(request, object_id, form_url, {**(extra_context or {}), **fewer})
        return answer

    def response_change(self, request: HttpRequest, obj: Provider) -> HttpResponse:
        answer: HttpResponse = super().response_change(request, obj)
        names = {each.action_name for each in self.get_actions_submit_line(request, obj.pk)}
        return redirect(request.get_full_path()) if names & request.POST.keys() else answer

    @display(description="Stored API key")
    def stored_credential(self, provider: Provider) -> str:
        if not provider.sealed_credential:
            return "none"
        return f"…{provider.credential_last_four}" if provider.credential_last_four else "stored"

    @display(description="Serves")
    def owner_name(self, provider: Provider) -> str:
        return str(provider.organization) if provider.organization else "everybody"

    @display(description="State", label={"active": "success", "disabled": "danger"})
    def state(self, provider: Provider) -> str:
        return "active" if provider.is_active else "disabled"

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
        self.message_user(request, f"{self.switch(request, providers, is_active=True)} providers answer calls.")
        switch_demo()

    @action(description="Disable", permissions=["change"])
    def disable(self, request: HttpRequest, providers: QuerySet[Provider]) -> None:
        self.message_user(request, f"{self.switch(request, providers, is_active=False)} providers answer no calls.")
        switch_demo()

    # The provider is asked after the form's transaction: it may take ten seconds, and others want to write.

    @action(description="Save and sync models", permissions=["change"])
    def sync_one(self, request: HttpRequest, provider: Provider) -> None:
        transaction.on_commit(partial(self._sync, request, provider))

    @action(description="Save and test connection", permissions=["change"])
    def test_one(self, request: HttpRequest, provider: Provider) -> None:
        transaction.on_commit(partial(self._test, request, provider))

    def _sync(self, request: HttpRequest, provider: Provider) -> None:
        if provider.kind == ProviderKind.DEMO:
            self.message_user(request, f"{provider} is part of this server.")
            return
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
        if provider.kind == ProviderKind.DEMO:
            self.message_user(request, f"{provider} is part of this server.")
            return
        result = test_provider(provider)
        text = f"{provider}: {result.message} ({result.milliseconds} ms)"
        self.message_user(request, text, messages.SUCCESS if result.ok else messages.ERROR)


class RouteInline(OperatorInline):
    model = Route
    autocomplete_fields = ("provider",)
    fields = ("provider", "upstream_model", "priority", "is_active", "is_listed")
    readonly_fields = ("is_listed",)


class AliasInline(OperatorInline):
    model = ModelAlias
    autocomplete_fields = ("organization",)
    fields = ("alias", "organization")


class ModelForm(forms.ModelForm):
    capabilities = forms.MultipleChoiceField(
        choices=[(each.value, each.value) for each in Capability],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        required=False,
    )


@admin.register(Model)
class CatalogModelAdmin(ImportMixin, CatalogAdmin):
    """What clients can name."""

    audited_as = "model"
    form = ModelForm
    list_display = ("model_id", "state", "owner_name", "owned_by", "context_length", "route_count", "created_at")
    list_filter = ("is_active", "routes__provider__kind")
    search_by = {"model_": ("public_id__startswith", "model_id__startswith"), "": ("model_id__startswith",)}
    search_help_text = "The beginning of a model's id, in the right case."
    list_select_related = ("organization",)
    autocomplete_fields = ("organization",)
    readonly_fields = ("public_id", "created_at", "updated_at")
    fieldsets = (
        (None, {"fields": ("model_id", "display_name", "owned_by", "organization", "is_active")}),
        ("What it can do", {"fields": ("capabilities", "context_length", "supported_parameters")}),
        ("Facts", {"fields": ("public_id", "created_at", "updated_at")}),
    )
    columns = (
        Column("id", path="public_id"),
        Column("model_id"),
        Column("display_name"),
        Column("owned_by"),
        Column("organization", path="organization.public_id"),
        Column("is_active", Kind.BOOLEAN),
        Column("capabilities", Kind.LIST),
        Column("context_length", Kind.NUMBER),
        Column("supported_parameters", Kind.OBJECT),
        Column("created_at"),
    )
    inlines = (RouteInline, AliasInline)
    actions = ("enable", "disable")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Model]:
        found: QuerySet[Model] = super().get_queryset(request)
        routes = Route.objects.filter(model=OuterRef("pk")).order_by().values("model")
        return found.annotate(route_count=Coalesce(Subquery(routes.annotate(n=Count("pk")).values("n")), 0))

    @display(description="State", label={"active": "success", "disabled": "danger"})
    def state(self, model: Model) -> str:
        return "active" if model.is_active else "disabled"

    @display(description="Serves")
    def owner_name(self, model: Model) -> str:
        return str(model.organization) if model.organization else "everybody"

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # Its routes and aliases were checked against it.
        return (*self.readonly_fields, "organization") if obj else self.readonly_fields

    @display(description="Routes")
    def route_count(self, model: Any) -> int:
        return int(model.route_count)

    @action(description="Enable", permissions=["change"])
    def enable(self, request: HttpRequest, models: QuerySet[Model]) -> None:
        self.message_user(request, f"{self.switch(request, models, is_active=True)} models can be called.")
        switch_demo()

    @action(description="Disable", permissions=["change"])
    def disable(self, request: HttpRequest, models: QuerySet[Model]) -> None:
        self.message_user(request, f"{self.switch(request, models, is_active=False)} models can no longer be called.")
        switch_demo()


@admin.register(Route)
class RouteAdmin(CatalogAdmin):
    """Which provider serves which model."""

    audited_as = "route"
    list_display = ("model", "provider", "upstream_model", "priority", "is_active", "is_listed")
    list_filter = ("is_active", "is_listed", "provider")
    search_by = {"": ("upstream_model__startswith",)}
    search_help_text = "The beginning of the model's name at its provider, in the right case."
    list_select_related = ("model", "provider")
    autocomplete_fields = ("model", "provider")
    readonly_fields = ("is_listed",)


@admin.register(ModelAlias)
class ModelAliasAdmin(AuditedAdmin):
    """Other names for models."""

    audited_as = "model_alias"
    list_display = ("alias", "model", "organization", "created_at")
    search_by = {"": ("alias__startswith",)}
    search_help_text = "The beginning of an alias, in the right case."
    list_select_related = ("model", "organization")
    autocomplete_fields = ("model", "organization")

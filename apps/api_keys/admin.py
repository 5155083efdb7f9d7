from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.html import format_html
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from apps.accounts.sessions import actor_of
from apps.accounts.reauthentication import ask_again
from apps.api_keys import services
from apps.api_keys.models import ApiKey
from apps.api_keys.tokens import KeyKind
from apps.core.admin import OperatorAdmin
from apps.core.errors import AppError
from apps.organizations.roles import Scope


class NewKeyForm(forms.ModelForm):
    """A key's secret is made by the service, so the form only says whose key it is and what it may do."""

    scopes = forms.MultipleChoiceField(
        choices=[(scope.value, scope.value) for scope in Scope],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        initial=[scope.value for scope in Scope],
    )

    class Meta:
        model = ApiKey
        fields = ("kind", "name", "project", "user", "scopes", "expires_at")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("expires_at") and cleaned["expires_at"] <= timezone.now():
            raise ValidationError({"expires_at": "The expiry lies in the past."})
        if {"project", "user", "scopes"} <= cleaned.keys():
            try:
                rights = services.rights_of(cleaned["user"], cleaned["project"].organization_id)
            except AppError as refusal:
                raise ValidationError({"user": refusal.message}) from None
            if lacking := set(cleaned["scopes"]) - rights:
                raise ValidationError({"scopes": f"The user lacks: {', '.join(sorted(lacking))}."})
        return cleaned


@admin.register(ApiKey)
class ApiKeyAdmin(OperatorAdmin):
    """Keys are made, shown once, and revoked; nothing else about them changes."""

    list_display = ("name", "redacted_value", "kind", "organization", "project_name", "user", "state", "last_used_at")
    list_filter = ("kind", ("revoked_at", admin.EmptyFieldListFilter), "expires_at")
    search_by = {
        "key_": ("public_id__startswith",),
        "user_": ("user_id",),
        "org_": ("organization__public_id",),
        "proj_": ("project__public_id",),
        "@": ("user__email",),
        "": ("name__startswith",),
    }
    search_help_text = "The beginning of a name or a key_ id, its user's e-mail address, or a user_, org_ or proj_ id."
    list_select_related = ("organization", "project", "user")
    autocomplete_fields = ("project", "user")
    ordering = ("-id",)
    actions = ("revoke",)
    _facts = (
        "public_id",
        "redacted_value",
        "kind",
        "name",
        "organization",
        "project",
        "user",
        "scopes",
        "created_at",
        "expires_at",
        "revoked_at",
        "last_used_at",
    )

    @display(description="State", label={"active": "success", "expired": "warning", "revoked": "danger"})
    def state(self, key: ApiKey) -> str:
        return key.status

    @display(description="Key")
    def redacted_value(self, key: ApiKey) -> str:
        return format_html('<code class="whitespace-nowrap">{}</code>', key.redacted_value)

    @display(description="Project")
    def project_name(self, key: ApiKey) -> str:
        return key.project.name

    @action(description="Revoke", permissions=["change"])
    def revoke(self, request: HttpRequest, keys: QuerySet[ApiKey]) -> None:
        actor = actor_of(request.user)  # type: ignore[arg-type]
        revoked = sum(services.revoke_key(key=key, actor=actor) for key in keys)
        self.message_user(request, f"{revoked} keys stop working everywhere within two seconds.")

    def get_form(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        if obj is None:
            kwargs["form"] = NewKeyForm
        return super().get_form(request, obj, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self._facts if obj else NewKeyForm.Meta.fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self._facts if obj else ()

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        made, token = services.create_key(
            kind=KeyKind(obj.kind),
            name=obj.name,
            project=obj.project,
            user=obj.user,
            scopes=[Scope(scope) for scope in form.cleaned_data["scopes"]],
            actor=actor_of(request.user),  # type: ignore[arg-type]
            expires_at=obj.expires_at,
        )
        obj.__dict__.update(made.__dict__)
        request.new_key = (made, token)  # type: ignore[attr-defined]  # for the page right after, and nowhere else

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: Any = None) -> HttpResponse:
        """Show the secret on the answer to the form itself: it is in no session, message or address."""
        made, token = request.new_key  # type: ignore[attr-defined]
        context = {**self.admin_site.each_context(request), "title": "API key created", "key": made, "token": token}
        return TemplateResponse(request, "api_keys/created.html", context)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if (asked := ask_again(request)) is not None:
            return asked
        # The answer is the page with the secret, so there is only one way to save.
        one_button = {"show_save_and_add_another": False, "show_save_and_continue": False}
        answer: HttpResponse = super().add_view(request, form_url, {**(extra_context or {}), **one_button})
        return answer

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is None and bool(super().has_change_permission(request))  # revoke in the list; no fact changes

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # the ledger names it

from __future__ import annotations

import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminSelectWidget

from apps.accounts.reauthentication import ask_again
from apps.accounts.sessions import actor_of
from apps.api_keys import services
from apps.api_keys.models import ApiKey
from apps.api_keys.tokens import KeyKind
from apps.audit.history import AuditedAdmin
from apps.core.errors import AppError
from apps.organizations.roles import PERMISSION_SCOPES, Permission, Scope

_OVERLAPS = {
    datetime.timedelta(0): "not at all: it ends at once",
    datetime.timedelta(hours=1): "for an hour",
    services.OVERLAP: "for a day",
    services.MAX_OVERLAP: "for seven days",
}


class RotationForm(forms.Form):
    overlap = forms.TypedChoiceField(
        label="The secret before goes on working",
        choices=[(int(overlap.total_seconds()), words) for overlap, words in _OVERLAPS.items()],
        initial=int(services.OVERLAP.total_seconds()),
        coerce=lambda seconds: datetime.timedelta(seconds=int(seconds)),
        widget=UnfoldAdminSelectWidget,
    )


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state, state) for state in ("active", "expired", "revoked")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() == "active":
            return queryset.unended()
        if self.value() == "expired":
            return queryset.filter(revoked_at=None).exclude(pk__in=queryset.unended())
        return queryset.filter(revoked_at__isnull=False) if self.value() == "revoked" else queryset


class PermissionFilter(admin.SimpleListFilter):
    title = "permissions"
    parameter_name = "permissions"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(Permission.READ, "read only"), (Permission.WRITE, "write")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        changing = Q()
        for scope in frozenset(Scope) - PERMISSION_SCOPES[Permission.READ]:
            changing |= Q(scopes__icontains=f'"{scope}"')  # as text: SQLite cannot look into a list
        found = {str(Permission.READ): ~changing, str(Permission.WRITE): changing}.get(self.value() or "")
        return queryset if found is None else queryset.filter(found)


class UseFilter(admin.SimpleListFilter):
    title = "last use"
    parameter_name = "used"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("day", "within 24 hours"), ("month", "within 30 days"), ("before", "longer ago"), ("never", "never")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        now = timezone.now()
        found = {
            "day": Q(last_used_at__gt=now - datetime.timedelta(days=1)),
            "month": Q(last_used_at__gt=now - datetime.timedelta(days=30)),
            "before": Q(last_used_at__lte=now - datetime.timedelta(days=30)),
            "never": Q(last_used_at=None),
        }.get(self.value() or "")
        return queryset if found is None else queryset.filter(found)


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
        try:
            services.check_end(KeyKind(cleaned.get("kind", KeyKind.USER)), cleaned.get("expires_at"))
        except AppError as refusal:
            raise ValidationError({"expires_at": refusal.message}) from None
        if {"project", "user", "scopes"} <= cleaned.keys():
            try:
                rights = services.rights_of(services.Holder(cleaned["user"]), cleaned["project"])
            except AppError as refusal:
                raise ValidationError({"user": refusal.message}) from None
            if lacking := set(cleaned["scopes"]) - rights:
                raise ValidationError({"scopes": f"The user lacks: {', '.join(sorted(lacking))}."})
        return cleaned


@admin.register(ApiKey)
class ApiKeyAdmin(AuditedAdmin):
    """Keys are made, rotated, their secrets shown once, and revoked; nothing else about them changes."""

    list_display = (
        "name",
        "redacted_value",
        "kind",
        "may",
        "organization",
        "project_name",
        "user",
        "state",
        "last_used_at",
    )
    list_filter = ("kind", PermissionFilter, StateFilter, UseFilter)
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
    actions = ("rotate", "revoke")
    actions_detail = ("rotate_one",)
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
        "previous_expires_at",
        "last_used_at",
    )

    @display(description="State", label={"active": "success", "expired": "warning", "revoked": "danger"})
    def state(self, key: ApiKey) -> str:
        return key.status

    @display(description="Key")
    def redacted_value(self, key: ApiKey) -> str:
        return format_html('<code class="whitespace-nowrap">{}</code>', key.redacted_value)

    @display(description="May")
    def may(self, key: ApiKey) -> str:
        return ", ".join(key.permissions) or "nothing"

    @display(description="Project")
    def project_name(self, key: ApiKey) -> str:
        return key.project.name if key.project else "all of them"

    @action(description="Rotate", permissions=["change"])
    def rotate(self, request: HttpRequest, keys: QuerySet[ApiKey]) -> HttpResponse | None:
        if len(keys) == 1:
            return redirect(reverse("admin:api_keys_apikey_rotate_one", args=[keys[0].pk]))
        self.message_user(request, "Rotate one key at a time: each new secret is shown once.", messages.WARNING)
        return None

    @action(description="Rotate", permissions=["rotate_one"], url_path="rotate", icon="autorenew")
    def rotate_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        key = self.get_object(request, object_id)
        if key is None:
            raise Http404
        if (asked := ask_again(request)) is not None:
            return asked
        form = RotationForm(request.POST or None)
        if form.is_valid():
            try:
                overlap, actor = form.cleaned_data["overlap"], actor_of(request.user)  # type: ignore[arg-type]
                return self._shown_once(request, *services.rotate_key(key=key, actor=actor, overlap=overlap))
            except AppError as refusal:
                form.add_error(None, refusal.message)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Rotate {key}",
            "form": form,
            "button": "Make a new secret",
        }
        return TemplateResponse(request, "admin/accounts/form.html", context)

    def has_rotate_one_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.has_change_permission(request)

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
            place=obj.project or obj.organization,
            holder=services.Holder(obj.user),
            scopes=[Scope(scope) for scope in form.cleaned_data["scopes"]],
            actor=actor_of(request.user),  # type: ignore[arg-type]
            expires_at=obj.expires_at,
        )
        obj.__dict__.update(made.__dict__)
        request.new_key = (made, token)  # type: ignore[attr-defined]  # for the page right after, and nowhere else

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: Any = None) -> HttpResponse:
        """Show the secret on the answer to the form itself: it is in no session, message or address."""
        return self._shown_once(request, *request.new_key)  # type: ignore[attr-defined]

    def _shown_once(self, request: HttpRequest, key: ApiKey, token: str) -> HttpResponse:
        context = {**self.admin_site.each_context(request), "title": "The key's secret", "key": key, "token": token}
        return TemplateResponse(request, "api_keys/created.html", context)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if (asked := ask_again(request)) is not None:
            return asked
        # The answer is the page with the secret, so there is only one way to save.
        one_button = {"show_save_and_add_another": False, "show_save_and_continue": False}
        try:
            answer: HttpResponse = super().add_view(request, form_url, {**(extra_context or {}), **one_button})
        except AppError as refusal:  # one key too many
            self.message_user(request, refusal.message, messages.ERROR)
            answer = redirect("admin:api_keys_apikey_changelist")
        return answer

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is None and bool(super().has_change_permission(request))  # revoke in the list; no fact changes

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # the ledger names it

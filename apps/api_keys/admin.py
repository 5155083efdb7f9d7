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
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
)

from apps.accounts.reauthentication import ask_again
from apps.accounts.sessions import actor_of
from apps.api_keys import services
from apps.api_keys.addresses import MAX_ADDRESSES, normalized
from apps.api_keys.forms import overlap_field
from apps.api_keys.models import WIDE, ApiKey
from apps.api_keys.tokens import KeyKind
from apps.audit.history import AuditedAdmin
from apps.core.errors import AppError
from apps.organizations.roles import PERMISSION_SCOPES, Permission, Scope


class RotationForm(forms.Form):
    overlap = overlap_field(UnfoldAdminSelectWidget)


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state, state) for state in ("active", "expired", "revoked")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() == "active":
            return queryset.unended()
        if self.value() == "expired":
            return queryset.filter(revoked_at=None, expires_at__lte=timezone.now())
        return queryset.filter(revoked_at__isnull=False) if self.value() == "revoked" else queryset


class PermissionFilter(admin.SimpleListFilter):
    title = "permissions"
    parameter_name = "permissions"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(Permission.READ, "read only"), (Permission.WRITE, "write"), (Permission.ADMIN, "admin")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        read, write, everything = (PERMISSION_SCOPES[word] for word in Permission)
        changing, governing = _having(everything - read), _having(everything - write)
        # Few among very many, and of one kind, which has an index.
        governing_key = Q(kind=KeyKind.ADMIN) & governing
        found = {"read": ~changing, "write": changing & ~governing, "admin": governing_key}.get(self.value() or "")
        return queryset if found is None else queryset.filter(found)


def _having(scopes: frozenset[Scope]) -> Q:
    found = Q()
    for scope in scopes:
        found |= Q(scopes__icontains=f'"{scope}"')  # as text: SQLite cannot look into a list
    return found


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
    """
    A key's secret is made by the service, so the form only says whose key it is, where, and what it may do.

    The kind decides what is asked: an organization, a service account, or else a project; and whose
    key it is, but for a service account's.
    """

    scopes = forms.MultipleChoiceField(
        choices=[(scope.value, scope.value) for scope in Scope],
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="None: all that such a key can have and its owner may.",
    )
    allowed_addresses = forms.CharField(
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="Addresses and networks it may be used from, one a line. Empty: from anywhere.",
    )
    allowed_models = forms.CharField(
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="Models it may call, one a line. Empty: all that its project may.",
    )

    class Meta:
        model = ApiKey
        fields = (
            "kind",
            "name",
            "description",
            "organization",
            "project",
            "service_account",
            "user",
            "scopes",
            "expires_at",
            "allowed_addresses",
            "allowed_models",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["organization"].required = False
        self.fields["organization"].help_text = "For admin and organization keys, which are good in all of it."
        self.fields["project"].help_text = "For user, project and ephemeral keys."
        self.fields["service_account"].help_text = "For service account keys, instead of a project and a user."

    def clean_allowed_addresses(self) -> list[str]:
        lines: list[str] = self.cleaned_data["allowed_addresses"].split()
        if len(lines) > MAX_ADDRESSES:
            raise ValidationError(f"At most {MAX_ADDRESSES} are read.")
        try:
            return normalized(lines)
        except ValueError as problem:
            raise ValidationError(f"Not an address or network: {problem}.") from None

    def clean_allowed_models(self) -> list[str] | None:
        return sorted(set(self.cleaned_data["allowed_models"].split())) or None

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors:
            kind = KeyKind(cleaned["kind"])
            _settle_place(kind, cleaned)
            _check_rights(kind, cleaned)
        return cleaned

    def _get_validation_exclusions(self) -> set[str]:
        """Leave out the project, and the constraint on it, of a form that was refused already."""
        excluded: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]  # not in the stubs
        return excluded | {"project"} if self.errors else excluded


def _settle_place(kind: KeyKind, cleaned: dict[str, Any]) -> None:
    """Leave in a form's data the place and the holder that a kind has. Raises ValidationError for one too few."""
    needed = {"organization"} if kind in WIDE else {"project"}
    needed = {"service_account"} if kind is KeyKind.SERVICE_ACCOUNT else {*needed, "user"}
    for name in ("organization", "project", "service_account", "user"):
        if name in needed and cleaned[name] is None:
            raise ValidationError({name: f"A key of kind '{kind}' needs one."})
        if name not in needed and cleaned[name] is not None:
            raise ValidationError({name: f"A key of kind '{kind}' has none of its own."})
    if kind is KeyKind.SERVICE_ACCOUNT:
        cleaned["project"] = cleaned["service_account"].project
    if kind not in WIDE:
        cleaned["organization"] = cleaned["project"].organization


def _check_rights(kind: KeyKind, cleaned: dict[str, Any]) -> None:
    holder = services.Holder(user=cleaned["user"], service_account=cleaned["service_account"])
    field = "service_account" if cleaned["service_account"] else "user"
    try:
        rights = services.rights_of(holder, cleaned["project"] or cleaned["organization"]) & services.CAN_HOLD[kind]
        if not rights:
            raise ValidationError({field: "There it may do nothing that such a key could."})
        field = "expires_at"
        if kind is not KeyKind.EPHEMERAL or cleaned["expires_at"] is not None:
            services.check_end(kind, cleaned["expires_at"])
    except AppError as refusal:
        raise ValidationError({field: refusal.message}) from None
    if lacking := set(cleaned["scopes"]) - rights:
        raise ValidationError({"scopes": f"Such a key, or its owner, lacks: {', '.join(sorted(lacking))}."})


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
        "holder",
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
    list_select_related = ("organization", "project", "user", "service_account")
    autocomplete_fields = ("organization", "project", "service_account", "user")
    ordering = ("-id",)
    actions = ("rotate", "revoke")
    actions_detail = ("rotate_one",)
    _facts = (
        "public_id",
        "redacted_value",
        "kind",
        "name",
        "description",
        "organization",
        "project",
        "user",
        "service_account",
        "parent",
        "scopes",
        "allowed_addresses",
        "allowed_models",
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

    @display(description="Holder")
    def holder(self, key: ApiKey) -> str:
        return str(key.service_account or key.user or "nobody any more")

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
            holder=services.Holder(obj.user, obj.service_account),
            scopes=[Scope(scope) for scope in form.cleaned_data["scopes"]] or None,
            actor=actor_of(request.user),  # type: ignore[arg-type]
            expires_at=obj.expires_at,
            allowed_addresses=form.cleaned_data["allowed_addresses"],
            allowed_models=form.cleaned_data["allowed_models"],
            description=obj.description,
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

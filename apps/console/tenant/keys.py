"""Keys on the owners' site: nobody gives a key more than it has, or sees the secret of somebody else's own one."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from unfold.decorators import action
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from apps.accounts.models import User
from apps.accounts.reauthentication import ask_again
from apps.accounts.sessions import actor_of
from apps.api_keys import services
from apps.api_keys.admin import ApiKeyAdmin, RotationForm, StateFilter, UseFilter
from apps.api_keys.models import WIDE, ApiKey
from apps.api_keys.tokens import KeyKind
from apps.console.tenant.scoped import ScopedMixin
from apps.core.errors import AppError
from apps.organizations.models import Organization
from apps.organizations.roles import Scope
from apps.projects.models import Project

_KINDS = (KeyKind.PROJECT, KeyKind.ORGANIZATION, KeyKind.ADMIN)
# What it takes to make and revoke a key, beside api_keys.write, as over the API.
_NEEDED = {
    KeyKind.ADMIN: Scope.ADMIN_KEYS_WRITE,
    KeyKind.ORGANIZATION: Scope.ADMIN_KEYS_WRITE,
    KeyKind.SERVICE_ACCOUNT: Scope.SERVICE_ACCOUNTS_WRITE,
}


class NewTenantKeyForm(forms.ModelForm):
    """A key of the organization. It is its maker's, so it ends with the maker's place here."""

    scopes = forms.MultipleChoiceField(
        choices=[(scope.value, scope.value) for scope in Scope],
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="None: all that such a key can have.",
    )

    class Meta:
        model = ApiKey
        fields = ("kind", "name", "project", "scopes", "expires_at")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["kind"].choices = [(kind.value, kind.value) for kind in _KINDS]  # type: ignore[attr-defined]
        self.fields["project"].help_text = "For keys of kind project; the others are good in all of them."

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        is_of_project = cleaned.get("kind") == KeyKind.PROJECT
        if "project" in cleaned and is_of_project != (cleaned["project"] is not None):
            raise ValidationError({"project": "A key of kind project needs one; the others have none."})
        return cleaned


class TenantApiKeyAdmin(ScopedMixin, ApiKeyAdmin):
    """Keys are made, rotated, their secrets shown once, and revoked; nothing else about them changes."""

    autocomplete_fields = ("project",)  # type: ignore[assignment]
    # Not by permissions: that would read all of a big tenant's keys.
    list_filter = ("kind", StateFilter, UseFilter)  # type: ignore[assignment]
    search_by = {name: lookups for name, lookups in ApiKeyAdmin.search_by.items() if name != "org_"}

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        keys: QuerySet[ApiKey] = super().get_queryset(request)
        if Scope.ADMIN_KEYS_READ in self.tenancy(request).rights:
            return keys
        return keys.exclude(kind__in=WIDE)

    def get_form(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        if obj is None:
            return super(ApiKeyAdmin, self).get_form(request, obj, **{**kwargs, "form": NewTenantKeyForm})
        return super().get_form(request, obj, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return super().get_fields(request, obj) if obj else NewTenantKeyForm.Meta.fields

    def _giver(self, request: HttpRequest, place: Project | Organization) -> services.Giver:
        """What the user can hand on there."""
        organization = place.organization if isinstance(place, Project) else place
        rights = self.rights_in(request, organization)
        assert rights is not None
        scopes = rights(place if isinstance(place, Project) else None)
        return services.Giver(scopes, holder=cast(User, request.user).pk)

    def _may_write(self, request: HttpRequest, kind: str) -> bool:
        needed = _NEEDED.get(KeyKind(kind))
        return needed is None or needed in self.tenancy(request).rights

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        place = obj.project or self.tenancy(request).organization
        self.require(self._may_write(request, obj.kind))
        made, token = services.create_key(
            kind=KeyKind(obj.kind),
            name=obj.name,
            place=place,
            holder=services.Holder(request.user),  # type: ignore[arg-type]
            scopes=[Scope(scope) for scope in form.cleaned_data["scopes"]] or None,
            giver=self._giver(request, place),
            actor=actor_of(request.user),  # type: ignore[arg-type]
            expires_at=obj.expires_at,
        )
        obj.__dict__.update(made.__dict__)
        request.new_key = (made, token)  # type: ignore[attr-defined]  # for the page right after, and nowhere else

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if (asked := ask_again(request)) is not None:
            return asked
        one_button = {"show_save_and_add_another": False, "show_save_and_continue": False}
        try:
            answer: HttpResponse = super(ApiKeyAdmin, self).add_view(request, form_url, one_button)
        except AppError as refusal:
            self.message_user(request, refusal.message, "ERROR")
            answer = redirect(request.get_full_path())
        return answer

    @action(description="Rotate", permissions=["change"])
    def rotate(self, request: HttpRequest, keys: QuerySet[ApiKey]) -> HttpResponse | None:
        if len(keys) == 1:
            return redirect(reverse(f"{self.admin_site.name}:api_keys_apikey_rotate_one", args=[keys[0].pk]))
        self.message_user(request, "Rotate one key at a time: each new secret is shown once.", "WARNING")
        return None

    @action(description="Revoke", permissions=["change"])
    def revoke(self, request: HttpRequest, keys: QuerySet[ApiKey]) -> None:
        actor = actor_of(request.user)  # type: ignore[arg-type]
        allowed = [key for key in keys if self._may_write(request, key.kind)]
        revoked = sum(services.revoke_key(key=key, actor=actor) for key in allowed)
        self.message_user(request, f"{revoked} keys stop working everywhere within two seconds.")

    @action(description="Rotate", permissions=["rotate_one"], url_path="rotate", icon="autorenew")
    def rotate_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        key = self.get_object(request, object_id)
        self.require(key is not None and self._may_rotate(request, key))
        if (asked := ask_again(request)) is not None:
            return asked
        form = RotationForm(request.POST or None)
        if form.is_valid():
            try:
                made = services.rotate_key(
                    key=key,
                    actor=actor_of(request.user),  # type: ignore[arg-type]
                    giver=self._giver(request, key.project or key.organization),
                    overlap=form.cleaned_data["overlap"],
                )
            except AppError as refusal:
                form.add_error(None, refusal.message)
            else:
                return self._shown_once(request, *made)
        return self.form_page(request, form, title=f"Rotate {key}", button="Make a new secret")

    def has_rotate_one_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.allows(request, "change") and self._rotatable(request, object_id)

    def _rotatable(self, request: HttpRequest, object_id: Any) -> bool:
        if not str(object_id).isdecimal():
            return True
        key = self.get_queryset(request).filter(pk=object_id).first()
        return key is not None and self._may_rotate(request, key)

    def _may_rotate(self, request: HttpRequest, key: ApiKey) -> bool:
        """A personal key acts as its user: its secret is for nobody else."""
        is_own = key.user_id == request.user.pk
        may_admin = key.kind != KeyKind.ADMIN or Scope.ADMIN_KEYS_WRITE in self.tenancy(request).rights
        return (key.kind != KeyKind.USER or is_own) and may_admin

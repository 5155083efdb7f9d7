"""Organizations: made with an owner, and everything that is in them."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from django import forms
from django.conf import settings as configured
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from unfold.decorators import action, display
from unfold.widgets import (
    UnfoldAdminEmailInputWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
)

from apps.accounts.models import User
from apps.console.admin.panels import ORGANIZATION_PANELS, page_url
from apps.console.admin.places import PlaceAdmin
from apps.console.admin.settings_form import STORAGE, ModelNames, SettingsForm
from apps.core.admin import Autocomplete, CappedCount, DayRangeFilter
from apps.core.errors import AppError
from apps.organizations import members, services
from apps.organizations.models import Invite, Membership, Organization
from apps.organizations.organization_settings import changed_settings
from apps.organizations.roles import Role
from apps.projects.services import create_organization

MANY = 1000
DELETION = "Nobody and no key gets in any more, within two seconds. It can be restored for {} days; then it is gone."
_NAMES = ("name", "description", "domain")


class NewOrganizationForm(forms.ModelForm):
    owner = forms.ModelChoiceField(
        queryset=User.objects.get_queryset(),
        widget=Autocomplete(Membership._meta.get_field("user"), admin.site),
        help_text="Its first member. Others are invited afterwards.",
    )

    class Meta:
        model = Organization
        fields = ("name",)


class OrganizationForm(SettingsForm):
    """Each setting is a field of its own; an empty one is not set. Those of a project narrow these."""

    allowed_models = ModelNames(required=False, help_text="One a line. Empty: all there are.")
    retention_days = forms.IntegerField(
        required=False, min_value=1, widget=UnfoldAdminIntegerFieldWidget, help_text="Empty: kept until deleted."
    )
    storage = forms.ChoiceField(
        required=False, choices=STORAGE, widget=UnfoldAdminSelectWidget, help_text="What is kept of conversations."
    )
    settings_fields = ("allowed_models", "retention_days", "storage")

    class Meta:
        model = Organization
        fields = _NAMES

    @staticmethod
    def checked(wanted: dict[str, Any]) -> dict[str, Any]:
        return changed_settings({}, wanted)


class TransferForm(forms.Form):
    """From an owner to somebody who is a member already."""

    owner = forms.ModelChoiceField(queryset=Membership.objects.none(), label="From", widget=UnfoldAdminSelectWidget)
    email = forms.EmailField(label="To the member with the e-mail address", widget=UnfoldAdminEmailInputWidget)

    def __init__(self, organization: Organization, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.members = Membership.objects.in_organization(organization.pk).select_related("user", "organization")
        owners = cast(forms.ModelChoiceField, self.fields["owner"])
        owners.queryset = self.members.filter(role=Role.OWNER)
        owners.initial = owners.queryset.first()

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        to = self.members.filter(user__email=cleaned.get("email", "").lower()).first()
        if to is None and "email" in cleaned:
            raise ValidationError({"email": "No member has this address. Invite somebody first."})
        return {**cleaned, "to": to}


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("active", "active"), ("deleted", "deleted")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() == "active":
            return queryset.filter(deleted_at=None)
        return queryset.filter(deleted_at__isnull=False) if self.value() == "deleted" else queryset


@admin.register(Organization)
class OrganizationAdmin(PlaceAdmin):
    """Tenants, with everything that is theirs."""

    panels = ORGANIZATION_PANELS
    list_display = ("name", "public_id", "state", "is_personal", "member_count", "created_at")
    list_filter = (StateFilter, "is_personal", ("created_at", DayRangeFilter))
    list_filter_submit = True
    search_by = {"org_": ("public_id__startswith",), "": ("name__startswith",)}
    search_help_text = "The beginning of a name or an org_ id, in the right case."
    ordering = ("-created_at",)
    readonly_fields = ("public_id", "state", "is_personal", "created_at", "updated_at", "deleted_at")
    fieldsets = (
        (None, {"fields": ("name", "description", "domain", "state")}),
        ("Settings", {"fields": ("allowed_models", "retention_days", "storage")}),
        ("Facts", {"fields": ("public_id", "is_personal", "created_at", "updated_at", "deleted_at")}),
    )
    add_fieldsets = ((None, {"fields": ("name", "owner")}),)
    actions: ClassVar[tuple[str, ...]] = ("remove",)
    actions_detail = ("invite", "transfer", "remove_one", "restore_one")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Organization]:
        found: QuerySet[Organization] = super().get_queryset(request)
        # Not a join: that would count the members of every organization to show fifty. And not all of a big one's.
        members = Membership.objects.filter(organization=OuterRef("pk")).order_by().values("pk")[: MANY + 1]
        return found.annotate(member_count=CappedCount(members))

    @display(description="Members")
    def member_count(self, organization: Any) -> str:
        return f"{MANY:,}+" if organization.member_count > MANY else f"{organization.member_count:,}"

    @display(description="State", label={"active": "success", "deleted": "danger"})
    def state(self, organization: Organization) -> str:
        return "deleted" if organization.deleted_at else "active"

    def get_form(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        form = OrganizationForm if obj else NewOrganizationForm
        return super().get_form(request, obj, **{**kwargs, "form": form})

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "description":
            kwargs["widget"] = UnfoldAdminTextareaWidget(attrs={"rows": 2})
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_gone = isinstance(obj, Organization) and obj.deleted_at is not None
        return not is_gone and bool(super().has_change_permission(request))

    def save_model(self, request: HttpRequest, obj: Organization, form: Any, change: bool) -> None:
        if change:
            given = {name: getattr(obj, name) for name in form.changed_data if name in _NAMES}
            settings = {name: form.cleaned_data[name] or None for name in form.settings_fields}
            services.update_organization(organization=obj, actor=self.actor(request), settings=settings, **given)
            return
        made = create_organization(name=obj.name, owner=form.cleaned_data["owner"], actor=self.actor(request))
        obj.__dict__.update(made.__dict__)

    @action(description="Invite people", permissions=["invite"], url_path="invite", icon="mail")
    def invite(self, request: HttpRequest, object_id: str) -> HttpResponse:
        place = self.one(request, object_id, may="view")
        return redirect(f"{page_url(self, Invite, 'add')}?organization={place.pk}")

    @action(description="Transfer ownership", permissions=["transfer"], url_path="transfer", icon="swap_horiz")
    def transfer(self, request: HttpRequest, object_id: str) -> HttpResponse:
        place = self.one(request, object_id, may="change")
        self.require(self.has_transfer_permission(request, object_id))
        form = TransferForm(place, request.POST or None)
        if form.is_valid():
            owner, to = form.cleaned_data["owner"], form.cleaned_data["to"]
            try:
                giver = self.giver_at(request, place)
                members.transfer_ownership(owner=owner, to=to, giver=giver, actor=self.actor(request))
            except AppError as refusal:
                form.add_error(None, refusal.message)
            else:
                self.message_user(request, f"{to.user} owns {place} now.", messages.SUCCESS)
                return self.back(place)
        question = "The owner becomes an admin, and the other member an owner."
        return self.form_page(request, form, title=f"Transfer {place}", button="Transfer", question=question)

    @action(description="Delete", permissions=["remove_one"], url_path="remove", icon="delete")
    def remove_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        self.require(self.has_remove_one_permission(request, object_id))
        return self.do(
            request, object_id, "delete", _delete, "Delete", DELETION.format(configured.ORGANIZATION_PURGE_DAYS)
        )

    @action(description="Restore", permissions=["restore_one"], url_path="restore", icon="restore_from_trash")
    def restore_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        self.require(self.has_restore_one_permission(request, object_id))
        return self.do(request, object_id, "delete", _restore, "Restore", "Its people and keys get in again.")

    @action(description="Delete", permissions=["remove"])
    def remove(self, request: HttpRequest, rows: QuerySet[Organization]) -> HttpResponse | None:
        question = DELETION.format(configured.ORGANIZATION_PURGE_DAYS)
        if page := self.asks(request, rows, action="remove", question=question, button="Delete"):
            return page
        self.to_each(request, rows, _delete, "organizations are deleted.")
        return None

    def has_invite_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.allows(request, "add", Invite) and self.is_now(request, object_id, deleted_at=None)

    def has_transfer_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        may = self.allows(request, "change") and self.allows(request, "change", Membership)
        return may and self.is_now(request, object_id, deleted_at=None, is_personal=False)

    def has_remove_permission(self, request: HttpRequest) -> bool:
        return self.allows(request, "delete")

    def has_remove_one_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.allows(request, "delete") and self.is_now(request, object_id, deleted_at=None, is_personal=False)

    def has_restore_one_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.allows(request, "delete") and self.is_now(request, object_id, deleted_at__isnull=False)


def _delete(organization: Organization, **by: Any) -> None:
    services.delete_organization(organization=organization, **by)


def _restore(organization: Organization, **by: Any) -> None:
    services.restore_organization(organization=organization, **by)

from __future__ import annotations

from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from allauth.usersessions.models import UserSession
from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import action, display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from apps.accounts import services
from apps.accounts.models import User
from apps.core.admin import OperatorAdmin

# Operators need none of these: rights come from roles, the rest from the user.
for model in (Group, EmailAddress, UserSession, Authenticator, SocialAccount, SocialApp, SocialToken):
    if admin.site.is_registered(model):
        admin.site.unregister(model)


class LowerCaseEmail(forms.EmailField):
    """Addresses are stored in lower case, so that is how they are compared for being taken."""

    def to_python(self, value: Any) -> str:
        return str(super().to_python(value)).lower()


class NewUserForm(UserCreationForm):
    class Meta:
        model = User
        fields = ("email",)
        field_classes = {"email": LowerCaseEmail}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["email"].required = True  # it is what people sign in with; only guests have none
        self.fields["email"].help_text = ""


class UserForm(UserChangeForm):
    class Meta:
        model = User
        fields = ("email", "username", "name", "password", "is_active", "is_staff")
        field_classes = {"email": LowerCaseEmail}


@admin.register(User)
class UserAdmin(DjangoUserAdmin, OperatorAdmin):
    """People and guests. Each comes with an organization of its own."""

    form = UserForm
    add_form = NewUserForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("who", "name", "kind", "state", "last_login", "created_at")
    list_filter = ("is_guest", "is_active", "is_staff")
    search_by = {"user_": ("id__startswith",), "": ("email__startswith", "username__startswith")}
    search_help_text = "The beginning of an e-mail address, a user name or a user_ id."
    ordering = ("-created_at",)
    readonly_fields = ("id", "is_guest", "last_login", "created_at", "updated_at")
    filter_horizontal = ()
    fieldsets = (
        (None, {"fields": ("id", "email", "username", "name", "password")}),
        ("Access", {"fields": ("is_active", "is_staff")}),
        ("Facts", {"fields": ("is_guest", "last_login", "created_at", "updated_at")}),
    )
    add_fieldsets = ((None, {"fields": ("email", "password1", "password2")}),)
    actions = ("enable", "disable")

    @display(description="User", ordering="email")
    def who(self, user: User) -> str:
        return str(user)

    @display(description="Kind", label={"Guest": "warning", "Operator": "success", "Person": "info"})
    def kind(self, user: User) -> str:
        return "Guest" if user.is_guest else "Operator" if user.is_staff else "Person"

    @display(description="State", label={"active": "success", "disabled": "danger"})
    def state(self, user: User) -> str:
        return "active" if user.is_active else "disabled"

    @action(description="Enable", permissions=["change"])
    def enable(self, request: HttpRequest, users: QuerySet[User]) -> None:
        self.message_user(request, f"{users.update(is_active=True)} users may sign in.")

    @action(description="Disable: refuse them and their keys", permissions=["change"])
    def disable(self, request: HttpRequest, users: QuerySet[User]) -> None:
        stopped = users.exclude(pk=request.user.pk).update(is_active=False)
        self.message_user(request, f"{stopped} users are refused everywhere within two seconds.")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # Nobody shuts themselves out, so there is always an operator left.
        own = ("is_active", "is_staff") if obj is not None and obj.pk == request.user.pk else ()
        return (*self.readonly_fields, *own)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        obj.is_superuser = obj.is_staff  # one kind of operator, who may do everything here
        super().save_model(request, obj, form, change)
        if "email" in form.changed_data:
            services.make_only_address(user=obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Disabling keeps the ledger readable; deleting an account with what it owns comes with its own service.
        return False

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from apps.accounts.models import User

admin.site.unregister(Group)


class NewUserForm(UserCreationForm):
    class Meta:
        model = User
        fields = ("email",)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):
    """People and guests. Each comes with an organization of its own."""

    form = UserChangeForm
    add_form = NewUserForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("who", "name", "kind", "is_active", "last_login", "created_at")
    list_filter = ("is_guest", "is_active", "is_staff")
    search_fields = ("=id", "=email", "=username")
    search_help_text = "An exact e-mail address, user name or user_ id."
    ordering = ("-created_at",)
    show_full_result_count = False
    list_per_page = 50
    readonly_fields = ("id", "is_guest", "last_login", "created_at", "updated_at")
    filter_horizontal = ("groups",)
    fieldsets = (
        (None, {"fields": ("id", "email", "username", "name", "password")}),
        ("Access", {"fields": ("is_active", "is_staff", "is_superuser", "groups")}),
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

    @action(description="Enable", permissions=["change"])
    def enable(self, request: HttpRequest, users: QuerySet[User]) -> None:
        self.message_user(request, f"{users.update(is_active=True)} users may sign in.")

    @action(description="Disable: refuse them and their keys", permissions=["change"])
    def disable(self, request: HttpRequest, users: QuerySet[User]) -> None:
        stopped = users.exclude(pk=request.user.pk).update(is_active=False)
        self.message_user(request, f"{stopped} users are refused everywhere within two seconds.")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Disabling keeps the ledger readable; deleting an account with what it owns comes with its own service.
        return False

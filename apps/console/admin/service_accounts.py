"""Service accounts: programs with a place in a project."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin
from django.http import HttpRequest
from unfold.decorators import display

from apps.accounts.models import User
from apps.api_keys import service_accounts
from apps.api_keys.services import Giver
from apps.audit.services import Actor
from apps.console.admin.places import RemovableAdmin
from apps.projects.models import Project, ServiceAccount


@admin.register(ServiceAccount)
class ServiceAccountAdmin(RemovableAdmin):
    """Their keys have their rights, whoever made them and whatever became of them."""

    list_display = ("name", "public_id", "project", "role", "state", "created_at")
    list_filter = ("is_active",)
    search_by = {
        "sa_": ("public_id__startswith",),
        "proj_": ("project__public_id",),
        "org_": ("organization__public_id",),
        "": ("name__startswith",),
    }
    search_help_text = "The beginning of a name or an sa_ id, or a whole proj_ or org_ id."
    list_select_related = ("project__organization",)
    autocomplete_fields = ("project",)
    ordering = ("-id",)
    removal = "Its keys stop working everywhere within two seconds."
    _facts = ("public_id", "state", "created_by", "created_at")

    @display(description="State", label={"active": "success", "deleted": "danger"})
    def state(self, account: ServiceAccount) -> str:
        return "active" if account.is_active else "deleted"

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        asked = ("name", "project", "role")
        return (*asked, *self._facts) if obj else asked

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("project", *self._facts) if obj else ()

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_gone = isinstance(obj, ServiceAccount) and not obj.is_active
        return not is_gone and bool(super().has_change_permission(request))

    def _giver(self, request: HttpRequest, project: Project) -> Giver:
        return Giver(self.grants_in(request, project.organization)(project))

    def save_model(self, request: HttpRequest, obj: ServiceAccount, form: Any, change: bool) -> None:
        giver, actor = self._giver(request, obj.project), self.actor(request)
        if change:
            saved = service_accounts.update_service_account(
                account=obj, giver=giver, actor=actor, name=obj.name, role=obj.role
            )
        else:
            creator = cast(User, request.user)
            saved = service_accounts.create_service_account(
                project=obj.project, name=obj.name, role=obj.role, creator=creator, giver=giver, actor=actor
            )
        obj.__dict__.update(saved.__dict__)

    def remove_row(self, request: HttpRequest, row: ServiceAccount, actor: Actor) -> None:
        giver = self._giver(request, row.project)
        service_accounts.delete_service_account(account=row, giver=giver, actor=actor)

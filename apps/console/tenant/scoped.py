"""The operators' lists, narrowed to the organization a request is about."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar, cast

from django.contrib.admin.utils import unquote
from django.db.models import ForeignKey, Model, QuerySet
from django.forms import HiddenInput
from django.http import Http404, HttpRequest, HttpResponseBase
from django.urls import URLPattern

from apps.accounts.models import User
from apps.audit.history import AuditedAdmin
from apps.console.tenant.tenancy import RIGHTS, Tenancy, tenancy_of
from apps.core.admin import OperatorAdmin
from apps.core.tables import Column
from apps.organizations.members import Giver
from apps.organizations.models import Organization
from apps.projects.invites import Rights, rights_of_member
from apps.projects.models import default_project

# What a search's help says of an organization's id. Here there is one organization, and nobody looks for it.
_ORGANIZATION_ID = re.compile(r", (?:or )?a whole org_ id| or org_(?= id)|, org_(?= or )|org_(?:,| or) ")


class ScopedMixin(AuditedAdmin):
    """
    Goes before a list's own class. Rows, choices and addresses are the organization's; all else is not found.

    `tenant_path`: the column that says whose a row is. `prefetched`: what is read beside a page instead of
    joined; all of these rows are of one tenant, which the planner takes for a coincidence, and joins all of them.
    """

    tenant_path: ClassVar[str] = "organization_id"
    prefetched: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.search_help_text = _ORGANIZATION_ID.sub("", str(cls.search_help_text))

    def tenancy(self, request: HttpRequest) -> Tenancy:
        """Return what the request is about. Raises Http404 for whoever manages nothing."""
        tenancy = tenancy_of(request)
        if tenancy is None:
            raise Http404
        return tenancy

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        organization = self.tenancy(request).organization
        whose = organization.public_id if self.tenant_path == "organization" else organization.pk
        rows: QuerySet[Any] = super().get_queryset(request).filter(**{self.tenant_path: whose})
        return rows.prefetch_related(*self.prefetched)

    def get_ordering(self, request: HttpRequest) -> Any:
        # The indexes of a tenant's rows are by time; all rows of a table are in the order of their ids.
        has_time = any(field.name == "created_at" for field in self.opts.concrete_fields)
        return ("-created_at", "-id") if has_time else super().get_ordering(request)

    def allows(self, request: HttpRequest, verb: str, model: type[Model] | None = None) -> bool:
        tenancy = tenancy_of(request)
        return tenancy is not None and tenancy.allows(verb, model or self.model)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.allows(request, "view")

    def rights_in(self, request: HttpRequest, organization: Organization) -> Rights | None:
        return rights_of_member(cast(User, request.user), organization)

    def giver_at(self, request: HttpRequest, organization: Organization) -> Giver:
        rights, default = rights_of_member(cast(User, request.user), organization), default_project(organization.pk)
        return Giver(rights(None), rights(default) if default else frozenset())

    def events_of(self, request: HttpRequest, obj: Any) -> QuerySet[Any]:
        events: QuerySet[Any] = super().events_of(request, obj)
        return events.filter(organization=self.tenancy(request).organization.public_id)

    def formfield_for_foreignkey(self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        related = db_field.related_model
        organization = self.tenancy(request).organization
        if related is Organization:
            # There is one to choose from.
            kwargs |= {"queryset": Organization.objects.filter(pk=organization.pk), "widget": HiddenInput}
            return db_field.formfield(**kwargs, initial=organization.pk)
        is_here = self.admin_site.is_registered(related)
        rows = self.admin_site.get_model_admin(related).get_queryset(request) if is_here else None
        kwargs["queryset"] = rows if rows is not None else related._default_manager.none()
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {**super().get_changeform_initial_data(request), "organization": self.tenancy(request).organization.pk}

    def get_list_display(self, request: HttpRequest) -> Any:
        same = ("organization", "shown_organization")
        return [column for column in super().get_list_display(request) if column not in same]

    def get_columns(self, request: HttpRequest) -> tuple[Column, ...]:
        return tuple(column for column in super().get_columns(request) if column.name != "organization")

    def import_scope(self, request: HttpRequest) -> str:
        return str(self.tenancy(request).organization.public_id)

    def get_urls(self) -> list[URLPattern]:
        urls: list[URLPattern] = super().get_urls()
        for url in urls:
            url.callback = self._guarded(url.callback)
        return urls

    def _guarded(self, view: Callable[..., Any]) -> Callable[..., Any]:
        """Every address of a row that is not the organization's is one of a row that never was."""

        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            object_id = kwargs.get("object_id")
            is_in = object_id is not None and tenancy_of(request) is not None
            if is_in and self.get_object(request, unquote(str(object_id))) is None:
                raise Http404
            answer: HttpResponseBase = view(request, *args, **kwargs)
            return answer

        guarded.__dict__.update(view.__dict__)
        return guarded


def scoped(admin_class: type[OperatorAdmin], path: str = "organization_id", **attributes: Any) -> type[Any]:
    """Return a list's class for this site. `attributes` replace some of its own."""
    fields = [
        name
        for name in getattr(admin_class, "autocomplete_fields", ())
        if _model_of(attributes["model"], name) in RIGHTS and _model_of(attributes["model"], name) is not Organization
    ]
    # Its own organization's id finds everything, and another's nothing.
    search_by = {mark: lookups for mark, lookups in admin_class.search_by.items() if mark != "org_"}
    given = {
        "search_by": search_by,
        "autocomplete_fields": fields,
        "tenant_path": path,
        "__doc__": admin_class.__doc__,
        **attributes,
    }
    given.pop("model")
    return type(f"Tenant{admin_class.__name__}", (ScopedMixin, admin_class), given)


def _model_of(model: type[Model], name: str) -> Any:
    return model._meta.get_field(name).related_model

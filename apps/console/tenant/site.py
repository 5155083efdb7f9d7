"""
The admin of tenants' owners: the operators' screens, with one organization's rows only.

Who gets in manages an organization (`organization.write` there); nobody needs to be an operator.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import update_wrapper
from typing import Any, cast

from django import forms
from django.contrib.admin import AdminSite
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.cache import never_cache
from unfold.sites import UnfoldAdminSite
from unfold.widgets import UnfoldAdminTextInputWidget

from apps.accounts.models import User
from apps.console.tenant.tenancy import choose, managed_by, memberships_beside, tenancy_of
from apps.organizations.models import Organization
from apps.projects.services import create_organization

SITE_NAME = "tenant"
_MOST_FOUND = 100
# Django's pages that know nothing of organizations.
_LEFT_OUT = frozenset({"view_on_site", "password_change_done"})


class NewOrganizationForm(forms.Form):
    """All else about an organization is said on its own page."""

    name = forms.CharField(max_length=128, widget=UnfoldAdminTextInputWidget)


class OrganizationSite(UnfoldAdminSite):
    """One organization at a time; see `apps.console.tenant.scoped` for what its lists leave out."""

    settings_name = "UNFOLD_ORGANIZATION"
    site_title = "Jan Server"
    enable_nav_sidebar = True

    def has_permission(self, request: HttpRequest) -> bool:
        return tenancy_of(request) is not None

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        inner = super().admin_view(view, cacheable)

        def at_home(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            request.current_app = self.name  # addresses in templates are this site's
            answer: HttpResponseBase = inner(request, *args, **kwargs)
            return answer

        return update_wrapper(at_home, inner)

    def get_urls(self) -> list[URLPattern]:
        kept = [each for each in super().get_urls() if getattr(each, "name", None) not in _LEFT_OUT]
        own = [path("choose/", never_cache(self.choose), name="choose"), path("make/", self.make, name="make")]
        return [*own, *kept]

    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if request.user.is_authenticated:
            return redirect(f"{self.name}:choose")  # whoever comes here signed in manages none
        target = request.GET.get("next") or reverse(f"{self.name}:index")
        return redirect_to_login(target, reverse("account_login"))

    def password_change(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return redirect("account_change_password")

    def index(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return redirect(self.home(request))

    def home(self, request: HttpRequest) -> str:
        """Return the address of the organization's own page."""
        tenancy = tenancy_of(request)
        if tenancy is None:
            raise Http404
        return reverse(f"{self.name}:organizations_organization_change", args=[tenancy.organization.pk])

    def choose(self, request: HttpRequest) -> HttpResponse:
        """List the organizations that the user manages, and go to one of them; or lead to where one is made."""
        if not isinstance(request.user, User):
            return redirect_to_login(request.get_full_path(), reverse("account_login"))
        # Before anything narrows this request to one of them.
        managed = managed_by(request.user)
        if request.method == "POST":
            wanted = next((each for each in managed if each.public_id == request.POST.get("organization")), None)
            if wanted is None:
                raise Http404
            choose(request, wanted)
            return redirect(f"{self.name}:index")
        return self._choices(request, managed, NewOrganizationForm())

    def make(self, request: HttpRequest) -> HttpResponse:
        """Make an organization and go to it. As over the API, whoever has confirmed an address may."""
        user = request.user
        if not isinstance(user, User):
            return redirect_to_login(reverse(f"{self.name}:choose"), reverse("account_login"))
        if request.method != "POST":
            return redirect(f"{self.name}:choose")
        if user.has_guest_rights:
            raise PermissionDenied("Confirm your e-mail address first: until then you make no organizations.")
        form = NewOrganizationForm(request.POST)
        if not form.is_valid():
            return self._choices(request, managed_by(user), form)
        choose(request, create_organization(name=form.cleaned_data["name"], owner=user))
        return redirect(f"{self.name}:index")

    def _choices(self, request: HttpRequest, managed: list[Organization], form: NewOrganizationForm) -> HttpResponse:
        user = cast(User, request.user)
        known = {
            "title": "Your organizations",
            "organizations": managed,
            "others": memberships_beside(user, managed),
            "form": None if user.has_guest_rights else form,
        }
        request.current_app = self.name
        return TemplateResponse(request, "console/tenant/choose.html", {**self.each_context(request), **known})

    def search(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Unfold's search, which keeps what it found for a user: here the same user has several organizations."""
        began, term = time.time(), (request.GET.get("s") or "").lower()
        if not term:
            return HttpResponse()
        is_extended = "extended" in request.GET
        list_apps: Callable[[HttpRequest], list[Any]] = super(UnfoldAdminSite, self).get_app_list
        results = self._search_apps(list_apps(request), term)
        if is_extended:
            results += self._search_models(request, list_apps(request), term)
        pages = Paginator(results[:_MOST_FOUND], _MOST_FOUND)
        context = {
            "page_obj": pages,
            "results": pages.page(1),
            "page_counter": 0,
            "execution_time": time.time() - began,
            "command_show_history": False,
        }
        template = f"unfold/helpers/{'command' if is_extended else 'search'}_results.html"
        return TemplateResponse(request, template, context, headers={"HX-Trigger": "search"})


site: AdminSite = OrganizationSite(name=SITE_NAME)

"""What every list of the operator's admin has in common."""

from __future__ import annotations

import datetime
from typing import Any, ClassVar

from django import forms
from django.contrib.admin import ShowFacets
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.widgets import AutocompleteSelect
from django.core.exceptions import PermissionDenied
from django.core.paginator import EmptyPage
from django.db.models import ForeignKey, IntegerField, Model, Q, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.functional import cached_property
from unfold import paginator
from unfold.admin import ModelAdmin, TabularInline
from unfold.contrib.filters.admin import AutocompleteSelectFilter, RangeDateFilter, RangeDateTimeFilter
from unfold.contrib.filters.forms import AutocompleteDropdownForm

from apps.core.export import FORMATS, exported
from apps.core.tables import Column

PALETTE_RESULTS = 10
_CONFIRMED = "confirmed"
# How far a list is turned over; beyond that a filter or a search is quicker for everybody.
MAX_PAGES = 200


class InfinitePaginator(paginator.InfinitePaginator):
    """Pages of a list that nobody counts: a COUNT(*) would read all of a big table for every page."""

    @cached_property
    def count(self) -> int:
        return MAX_PAGES * int(self.per_page)

    def validate_number(self, number: Any) -> int:
        valid = int(super().validate_number(number))
        if valid > MAX_PAGES:
            raise EmptyPage("Narrow the list down with a filter or a search.")
        return valid


class CappedCount(Subquery):
    """How many rows a sliced queryset has: `Membership.objects.filter(...)[:100]` is counted up to 100."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) AS counted)"
    output_field = IntegerField()


class DayRangeFilter(RangeDateFilter):
    """Moments from the beginning of one day to the end of another, in the server's time zone."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        first, after = self._midnight("from"), self._midnight("to", days_later=1)
        if first is not None:
            queryset = queryset.filter(**{f"{self.parameter_name}__gte": first})
        if after is not None:
            queryset = queryset.filter(**{f"{self.parameter_name}__lt": after})
        return queryset

    def _midnight(self, end: str, days_later: int = 0) -> datetime.datetime | None:
        try:
            day = datetime.date.fromisoformat(self.used_parameters.get(f"{self.parameter_name}_{end}", ""))
            day += datetime.timedelta(days=days_later)
        except (ValueError, OverflowError):
            return None
        return timezone.make_aware(datetime.datetime.combine(day, datetime.time.min))


class MomentRangeFilter(RangeDateTimeFilter):
    """From one moment to another, in the server's time zone. A day without a time begins at midnight."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        for end, lookup in (("from", "gte"), ("to", "lte")):
            moment = self._moment(end)
            if moment is not None:
                queryset = queryset.filter(**{f"{self.parameter_name}__{lookup}": moment})
        return queryset

    def _moment(self, end: str) -> datetime.datetime | None:
        day, time = (self.used_parameters.get(f"{self.parameter_name}_{end}_{part}") or "" for part in (0, 1))
        try:
            return timezone.make_aware(datetime.datetime.fromisoformat(f"{day}T{time or '00:00'}"))
        except (ValueError, OverflowError):
            return None


class Autocomplete(AutocompleteSelect):
    """Django's, which asks the database for whatever was sent. What is no id is shown as nothing chosen."""

    def optgroups(self, name: str, value: Any, attr: Any = None) -> Any:
        try:
            return super().optgroups(name, [each for each in value if "\x00" not in str(each)], attr)
        except ValueError:
            return super().optgroups(name, [], attr)


class _ChosenForm(AutocompleteDropdownForm):
    widget = Autocomplete

    def __init__(self, request: HttpRequest, name: str, *, field: Any, model_admin: Any, **kwargs: Any) -> None:
        super().__init__(request, name, field=field, model_admin=model_admin, **kwargs)
        listed = model_admin.admin_site.get_model_admin(field.remote_field.model)
        self.fields[name].queryset = listed.get_queryset(request)


class ChosenFilter(AutocompleteSelectFilter):
    """Rows that point at one other, which is searched for among those that the site's own list of them shows."""

    form_class = _ChosenForm


class ChoosingMixin:
    """Forms whose rows are chosen by searching for them."""

    admin_site: Any

    def formfield_for_foreignkey(self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name in self.get_autocomplete_fields(request) and "widget" not in kwargs:  # type: ignore[attr-defined]
            kwargs["widget"] = Autocomplete(db_field, self.admin_site, using=kwargs.get("using"))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)  # type: ignore[misc]


class OperatorInline(ChoosingMixin, TabularInline):
    """Rows of another table on a row's page, in a tab of their own."""

    extra = 0
    tab = True
    hide_title = True


class OperatorAdmin(ChoosingMixin, ModelAdmin):
    """
    A list whose search hits an index, chosen by what was typed.

    `columns` are those of its files, if they can be read back as well.
    `search_by` maps how a term begins (`org_`), or what it holds (`@`), to the lookups it is
    looked for by; "" is for all other terms. Several lookups are on columns of one table, each
    with an index of its own: an OR over several tables, or a comparison in any case, would read
    whole tables.
    """

    search_by: ClassVar[dict[str, tuple[str, ...]]] = {}
    columns: ClassVar[tuple[Column, ...]] = ()
    list_per_page = 50
    show_full_result_count = False
    show_facets = ShowFacets.NEVER  # they would count all rows, for each choice of a filter
    paginator = InfinitePaginator
    # An action is for the rows that are seen, not for a million.
    list_disable_select_all = True
    list_after_template = "admin/export_links.html"
    # Sorting by a column without an index sorts the whole table.
    sortable_by: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.search_fields = [lookup for lookups in cls.search_by.values() for lookup in lookups]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        match = request.resolver_match
        in_palette = match is not None and match.url_name == "search"
        # The command palette passes the term on in lower case, which no id is.
        term = (request.GET.get("s", "") if in_palette else search_term).strip()
        if not term:
            return queryset, False
        if "\x00" in term:  # PostgreSQL would refuse the query
            return queryset.none(), False
        found = queryset.filter(self.wanted_by(term))
        # The palette reads every result; lists and autocompletes read a page.
        return (found[:PALETTE_RESULTS] if in_palette else found), False

    def wanted_by(self, term: str) -> Q:
        """Return what a search for a term finds."""
        wanted = Q()
        for lookup in self._lookups(term):
            wanted |= Q(**{lookup: term.lower() if "email" in lookup else term})
        return wanted

    def _lookups(self, term: str) -> tuple[str, ...]:
        for mark, lookups in self.search_by.items():
            if mark and (term.startswith(mark) or (mark == "@" and "@" in term)):
                return lookups
        return self.search_by[""]

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_export"
        export = path("export/<slug:kind>/", self.admin_site.admin_view(self.export_view), name=name)
        return [export, *super().get_urls()]

    def export_view(self, request: HttpRequest, kind: str) -> HttpResponse:
        """Return the rows of the list as a file, as the address filters and searches them."""
        self.require(self.has_view_permission(request))
        if kind not in FORMATS:
            raise Http404
        try:
            text = exported(self.get_changelist_instance(request), request, kind)
        except IncorrectLookupParameters:
            raise Http404 from None
        answer = HttpResponse(text, content_type=FORMATS[kind])
        answer["Content-Disposition"] = f'attachment; filename="{self.opts.model_name}.{kind}"'
        return answer

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        self.require(self.has_view_permission(request))  # who may not look is not told whether there is one
        answer: HttpResponse = super().history_view(request, object_id, extra_context)
        return answer

    def get_columns(self, request: HttpRequest) -> tuple[Column, ...]:
        return self.columns

    # What a user may do is asked in one place, so that another site can answer it in its own way.

    def allows(self, request: HttpRequest, verb: str, model: type[Model] | None = None) -> bool:
        """Say whether the user may `view`, `add`, `change` or `delete` rows of a model; by default this one's."""
        opts = (model or self.model)._meta
        return bool(request.user.has_perm(f"{opts.app_label}.{verb}_{opts.model_name}"))

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.allows(request, "view") or self.allows(request, "change")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.allows(request, "add")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.allows(request, "change")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.allows(request, "delete")

    def require(self, is_allowed: bool) -> None:
        """Raise PermissionDenied unless it is allowed. Unfold hides buttons, it closes no address."""
        if not is_allowed:
            raise PermissionDenied

    def form_page(
        self, request: HttpRequest, form: forms.Form, *, title: str, button: str, question: str = ""
    ) -> HttpResponse:
        """Return a page of the admin with one form on it, which is posted to where it came from."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            "form": form,
            "button": button,
            "question": question,
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/accounts/form.html", context)

    def asks(
        self,
        request: HttpRequest,
        rows: QuerySet[Any],
        *,
        action: str,
        question: str,
        button: str,
        form: forms.Form | None = None,
    ) -> HttpResponse | None:
        """
        Return the page that asks before rows of a list are changed for good, or None if the answer was given.

        Whoever answers posts the same action again, with the answer and what `form` asks for besides.
        """
        if _CONFIRMED in request.POST and form is None:
            return None
        name = f"{self.opts.app_label}_{self.opts.model_name}"
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": button,
            "question": question,
            "button": button,
            "rows": rows,
            "form": form,
            "action": action,
            "checkbox": ACTION_CHECKBOX_NAME,
            "list_url": reverse(f"{self.admin_site.name}:{name}_changelist"),
        }
        return TemplateResponse(request, "admin/accounts/confirm.html", context)

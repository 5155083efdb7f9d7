"""What every list of the operator's admin has in common."""

from __future__ import annotations

import datetime
from typing import Any, ClassVar

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import RangeDateFilter, RangeDateTimeFilter

PALETTE_RESULTS = 10


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


class OperatorAdmin(ModelAdmin):
    """
    A list whose search hits an index, chosen by what was typed.

    `search_by` maps how a term begins (`org_`), or what it holds (`@`), to the lookups it is
    looked for by; "" is for all other terms. Several lookups are on columns of one table, each
    with an index of its own: an OR over several tables, or a comparison in any case, would read
    whole tables.
    """

    search_by: ClassVar[dict[str, tuple[str, ...]]] = {}
    list_per_page = 50
    show_full_result_count = False

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

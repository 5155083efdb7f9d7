"""What an organization used, in buckets of time."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from django.db.models import BigIntegerField, Count, F, Func, Sum

from apps.api_keys.models import ApiKey
from apps.organizations.models import Membership
from apps.projects.models import Project
from apps.usage.models import UsageQuerySet, UsageRecord

# Seconds of a bucket, by its name on the wire.
WIDTHS = {"1m": 60, "1h": 3600, "1d": 86_400}

# The fields that usage can be grouped by, with their columns.
GROUPS = {"project_id": "project_id", "user_id": "user_id", "api_key_id": "api_key_id", "model": "model"}
_SUMS = {
    "input_tokens": Sum("prompt_tokens"),
    "output_tokens": Sum("completion_tokens"),
    "input_cached_tokens": Sum("cached_tokens"),
    "num_model_requests": Count("pk"),
}


class _Seconds(Func):
    """Whole seconds since 1970, the same on both databases."""

    output_field = BigIntegerField()

    # Formatted twice, as a template and as a query, so that strftime gets its %s.
    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template="CAST(strftime('%%%%s', %(expressions)s) AS INTEGER)")

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template="CAST(FLOOR(DATE_PART('epoch', %(expressions)s)) AS BIGINT)")


class Span(NamedTuple):
    """
    Time in buckets: those of the clock in UTC, the first and the last cut to `start` and `end` (unix seconds).
    """

    start: int
    end: int
    width: int

    def first(self, count: int) -> Span:
        """Return the first `count` buckets."""
        return self._replace(end=min(self.end, (self.start // self.width + count) * self.width))

    def buckets(self) -> list[tuple[int, int]]:
        """Return when each bucket begins and ends."""
        numbers = range(self.start // self.width, -(-self.end // self.width))
        return [(max(self.start, at * self.width), min(self.end, (at + 1) * self.width)) for at in numbers]


class Filters(NamedTuple):
    """Only the usage of these, by public ids; None for all."""

    project_ids: frozenset[str] | None = None
    user_ids: frozenset[str] | None = None
    api_key_ids: frozenset[str] | None = None
    models: frozenset[str] | None = None


def usage_of(
    organization_id: int, endpoints: Iterable[str], span: Span, group_by: Iterable[str], filters: Filters
) -> list[list[dict[str, Any]]]:
    """
    Return what each bucket of the span holds: a row for each group, none for a bucket without requests.

    Every accepted request is counted, whatever its end. A group's id is None when what it named is
    gone. One query for the sums, and one for each of projects and keys when they are grouped by.
    """
    groups = [name for name in GROUPS if name in set(group_by)]
    begin = span.start // span.width
    rows = (
        _matching(organization_id, span, filters)
        .filter(endpoint__in=list(endpoints))
        .order_by()
        .annotate(bucket=_Seconds(F("accepted_at")) / span.width)
        .values("bucket", *groups)
        .annotate(**_SUMS)
        .order_by("bucket", *groups)
    )
    found: list[list[dict[str, Any]]] = [[] for _ in span.buckets()]
    read = list(rows)
    names = {
        name: _public_ids(rows_of.in_organization(organization_id), {row[name] for row in read})
        for name, rows_of in (("project_id", Project.objects), ("api_key_id", ApiKey.objects))
        if name in groups
    }
    for row in read:
        named = {name: known.get(row[name]) for name, known in names.items()}
        found[row.pop("bucket") - begin].append({**row, **named})
    return found


def usage_of_person(user_id: str, span: Span) -> list[dict[str, Any]]:
    """
    Return what a person used itself in all its organizations: a row for each bucket and model.

    `bucket` is when it begins (unix seconds), the newest first. What was used where it is no member any
    more is that organization's to tell. One query.
    """
    memberships = Membership.objects.of(user_id).order_by()
    rows = (
        UsageRecord.objects.filter(
            user_id=user_id,
            organization_id__in=memberships.values("organization_id"),
            accepted_at__gte=_moment(span.start),
            accepted_at__lt=_moment(span.end),
        )
        .order_by()
        .annotate(bucket=_Seconds(F("accepted_at")) / span.width * span.width)
        .values("bucket", "model")
        .annotate(**_SUMS)
        .order_by("-bucket", "model")
    )
    return [dict(row) for row in rows]


def _matching(organization_id: int, span: Span, filters: Filters) -> UsageQuerySet:
    rows = UsageRecord.objects.in_organization(organization_id).filter(
        accepted_at__gte=_moment(span.start), accepted_at__lt=_moment(span.end)
    )
    if filters.project_ids is not None:
        here = Project.objects.in_organization(organization_id)
        rows = rows.filter(project_id__in=_pks(here.filter(public_id__in=filters.project_ids)))
    if filters.api_key_ids is not None:
        keys = ApiKey.objects.in_organization(organization_id)
        rows = rows.filter(api_key_id__in=_pks(keys.filter(public_id__in=filters.api_key_ids)))
    if filters.user_ids is not None:
        rows = rows.filter(user_id__in=filters.user_ids)
    if filters.models is not None:
        rows = rows.filter(model__in=filters.models)
    return rows


def _pks(rows: Any) -> Any:
    return rows.order_by().values("pk")


def _public_ids(rows: Any, pks: set[int | None]) -> Mapping[int | None, str]:
    return dict(rows.filter(pk__in=pks - {None}).order_by().values_list("pk", "public_id"))


def _moment(seconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)

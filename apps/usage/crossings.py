"""No row of one organization points at a row of another: what the models say, looked at in the tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from django.apps import apps
from django.db import models
from django.db.models import F

from apps.catalog.models import Route
from apps.organizations.models import Organization
from apps.usage.models import UsageRecord

# Rows with rules of their own. `apps.usage.integrity` looks at them.
ELSEWHERE: frozenset[type[models.Model]] = frozenset(
    {
        Route,  # has no organization; its model's and its provider's are compared
        UsageRecord,  # outlives what it points at; looked at by time
    }
)


class Link(NamedTuple):
    """A column by which rows of organizations point at rows of organizations."""

    model: type[models.Model]
    field: str

    def __str__(self) -> str:
        return f"{self.model.__name__}.{self.field}"

    def crossings(self) -> models.QuerySet[models.Model]:
        """
        Rows that point at another organization's. What is the platform's may be pointed at by all.

        A platform's row that points at an organization's crosses too.
        """
        theirs = f"{self.field}__organization"
        pointing = self.model._base_manager.filter(**{f"{theirs}__isnull": False})
        return pointing.exclude(**{theirs: F("organization")}).order_by("pk")


def links() -> Iterator[Link]:
    """Every link between two tables whose rows are organizations', but for those with rules of their own."""
    for model in apps.get_models(include_auto_created=True):
        if model not in ELSEWHERE and is_tenants(model):
            yield from (
                Link(model, field.name)
                for field in model._meta.concrete_fields
                if isinstance(field, models.ForeignKey) and is_tenants(field.remote_field.model)
            )


def is_tenants(model: type[models.Model]) -> bool:
    """Say whether rows of a model belong to an organization, by a foreign key of that name."""
    field = next((field for field in model._meta.concrete_fields if field.name == "organization"), None)
    return isinstance(field, models.ForeignKey) and field.remote_field.model is Organization


def crossing(link: Link, limit: int) -> list[str]:
    """Return how the first rows that cross by a link are called: by public id, or by key if they have none."""
    has_name = any(field.name == "public_id" for field in link.model._meta.concrete_fields)
    rows = link.crossings().values_list("public_id" if has_name else "pk", flat=True)
    return [str(name) for name in rows[:limit]]

"""A row of every tenant table, made from the models: a new one is in the tests of the wall by itself."""

from __future__ import annotations

import itertools
from typing import Any

from django.db import models
from django.utils import timezone

from apps.core.policies import tenant_tables
from apps.organizations.models import Organization

_numbers = itertools.count(1)
_PLAIN: list[tuple[type[models.Field[Any, Any]], Any]] = [
    (models.BooleanField, False),
    (models.DateTimeField, timezone.now()),
    (models.IntegerField, 1),
    (models.JSONField, {}),
]
# What constraints ask for beyond the columns that cannot be empty. `...` stands for a row of the same tenant.
EXTRA: dict[str, dict[str, Any]] = {
    "ApiKey": {"project": ..., "kind": "project"},
    "OrganizationRoleAssignment": {"predefined": "reader", "membership": ...},
    "ProjectRoleAssignment": {"predefined": "member", "membership": ...},
}


class World:
    """One tenant and its rows, made when they are asked for; whatever they point at is of the same tenant."""

    def __init__(self, organization: Organization) -> None:
        self.organization = organization
        self._rows: dict[type[models.Model], models.Model] = {Organization: organization}

    @classmethod
    def of(cls, name: str) -> World:
        """Return a new tenant that has a row in every table."""
        [organization] = Organization.objects.bulk_create([Organization(name=name)])
        world = cls(organization)
        for table in tenant_tables():
            world.row(table.model)
        return world

    def row(self, model: type[models.Model]) -> models.Model:
        if model not in self._rows:
            self._rows[model] = self.another(model)
        return self._rows[model]

    def another(self, model: type[models.Model]) -> models.Model:
        """Add a row past `save`, which may do more than that."""
        row = self.draft(model)
        model._base_manager.bulk_create([row])
        return row

    def draft(self, model: type[models.Model]) -> models.Model:
        fields = {field.name: field for field in model._meta.concrete_fields}
        extra = EXTRA.get(model.__name__, {})
        wanted = [field for name, field in fields.items() if self._is_needed(field) or name in extra]
        values = {field.name: self._value(field) for field in wanted}
        return model(**values | {name: value for name, value in extra.items() if value is not ...})

    @staticmethod
    def _is_needed(field: models.Field[Any, Any]) -> bool:
        if field.name == "organization":
            return True
        is_automatic = isinstance(field, models.AutoField | models.BigAutoField) or getattr(field, "auto_now", False)
        return not (field.null or field.has_default() or is_automatic or getattr(field, "auto_now_add", False))

    def _value(self, field: Any) -> Any:
        if isinstance(field, models.ForeignKey):
            return self.row(field.remote_field.model)
        if field.name == "organization":
            return self.organization.public_id
        for kind, value in _PLAIN:
            if isinstance(field, kind):
                return value
        return f"{next(_numbers):012}" if field.unique else f"x{next(_numbers)}"[: field.max_length]

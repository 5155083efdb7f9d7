"""
How every process hears that what it cached may be stale.

One row holds a number. Any change to a row that processes keep in memory (keys, users,
memberships, providers, models, routes) raises it as the last thing of its transaction; each process reads
it once a second and drops its caches when it moved. So a warm request costs no query and a
revocation is honoured everywhere within two seconds.
"""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

from django.db import models, transaction
from django.db.models import F

from apps.core.before_commit import before_commit

_Row = TypeVar("_Row", bound=models.Model)


class Epoch(models.Model):
    """The one row; `value` only grows."""

    value = models.BigIntegerField(default=0)

    class Meta:
        app_label = "core"

    def __str__(self) -> str:
        return str(self.value)


def current_epoch() -> int:
    """Return the number to compare with the one seen last. One query."""
    return Epoch.objects.values_list("value", flat=True).filter(pk=1).first() or 0


def raise_epoch() -> None:
    """Make every process drop what it cached, once this transaction is committed."""
    before_commit(("epoch",), _raise, None)


def _raise(_: list[None]) -> None:
    if not Epoch.objects.filter(pk=1).update(value=F("value") + 1):
        # The very first time. Two processes may both come here.
        Epoch.objects.get_or_create(pk=1)
        Epoch.objects.filter(pk=1).update(value=F("value") + 1)


class EpochQuerySet(models.QuerySet[_Row]):
    """Bulk writes raise the epoch like single ones."""

    def update(self, **fields: Any) -> int:
        with transaction.atomic(using=self.db):
            changed = super().update(**fields)
            if changed and self.model.changes_what_is_cached(fields):  # type: ignore[attr-defined]
                raise_epoch()
            return changed

    def delete(self) -> tuple[int, dict[str, int]]:
        with transaction.atomic(using=self.db):
            deleted = super().delete()
            if deleted[0]:
                raise_epoch()
            return deleted


class EpochModel(models.Model):
    """
    A row that processes cache.

    `raises_on_insert`: whether a new row makes cached answers wrong (a new route does, a new
    user does not). `not_cached`: columns no cache holds, such as the time of last use.
    """

    raises_on_insert: ClassVar[bool] = False
    not_cached: ClassVar[frozenset[str]] = frozenset()

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        inserting = self._state.adding
        fields = kwargs.get("update_fields")
        with transaction.atomic():
            super().save(*args, **kwargs)
            changed = fields is None or self.changes_what_is_cached(fields)
            if self.raises_on_insert if inserting else changed:
                raise_epoch()

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        with transaction.atomic():
            deleted = super().delete(*args, **kwargs)
            raise_epoch()
            return deleted

    @classmethod
    def changes_what_is_cached(cls, fields: Any) -> bool:
        return not cls.not_cached.issuperset(fields)

"""What people ask for about all that they own: to have it, and to have it deleted."""

from __future__ import annotations

import datetime
from enum import StrEnum
from typing import ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from apps.accounts.models import User
from apps.core.ids import PublicIdField


class State(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    READY = "ready"
    FAILED = "failed"
    EXPIRED = "expired"


UNDER_WAY = (State.QUEUED, State.RUNNING)


class DataExportQuerySet(models.QuerySet["DataExport"]):
    def of(self, user_id: str) -> Self:
        return self.filter(user_id=user_id)

    def under_way(self) -> Self:
        return self.filter(state__in=UNDER_WAY)

    def silent_since(self, limit: datetime.datetime) -> Self:
        """Those under way of which nobody has heard since: what wrote them has died, or never began."""
        return self.under_way().filter(touched_at__lt=limit)

    def overdue(self) -> Self:
        """Those whose file is to go."""
        return self.filter(state=State.READY, expires_at__lte=timezone.now())


class DataExport(models.Model):
    """
    A file with all that a person owns. A person has one at most; the next takes its place.

    Whoever writes it says so in `touched_at`. `file` is its name in the storage once it is ready.
    """

    public_id = PublicIdField("export")
    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    state = models.CharField(
        max_length=8, choices=[(state.value, state.value) for state in State], default=State.QUEUED
    )
    attempts = models.PositiveSmallIntegerField(default=0)
    file = models.CharField(max_length=255, blank=True)
    size = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    touched_at = models.DateTimeField(default=timezone.now, editable=False)
    ready_at = models.DateTimeField(null=True, editable=False)
    expires_at = models.DateTimeField(null=True, editable=False)

    objects: ClassVar[DataExportQuerySet] = DataExportQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["touched_at"], name="export_under_way_idx", condition=Q(state__in=UNDER_WAY)),
            models.Index(fields=["expires_at"], name="export_ready_idx", condition=Q(state=State.READY)),
        ]
        constraints = [models.UniqueConstraint(fields=["user"], name="one_export_each")]

    def __str__(self) -> str:
        return self.public_id

    @property
    def is_under_way(self) -> bool:
        return self.state in UNDER_WAY

    @property
    def shown_state(self) -> str:
        """Its state. A file whose time is up is not given out, also before it is removed."""
        is_over = self.state == State.READY and self.expires_at is not None and self.expires_at <= timezone.now()
        return State.EXPIRED if is_over else self.state


class AccountDeletion(models.Model):
    """
    An account that nobody can use any more and that is being deleted with all that it owns.

    The row goes with the account. Until then somebody goes on with it.
    """

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="+")
    requested_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return f"deletion of {self.user_id}"

"""What is remembered of a request with an Idempotency-Key, so that it is done at most once."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils import timezone

from apps.core.ids import PublicIdField
from apps.organizations.models import Organization

MAX_KEY = 255
# What is longer is cut; the digest has all of it.
MAX_ROUTE = 512


class State(StrEnum):
    RUNNING = "running"
    FINISHED = "finished"


class IdempotencyQuerySet(models.QuerySet["IdempotencyRecord"]):
    def in_organization(self, organization_id: int) -> Self:
        return self.filter(organization_id=organization_id)

    def running(self) -> Self:
        """Records that wait for their answer, whether or not somebody still works on it."""
        return self.filter(state=State.RUNNING)

    def interrupted(self) -> Self:
        """Records whose process ended before the answer did: nobody knows what came of them."""
        return self.running().filter(lease_until__lte=timezone.now())


class IdempotencyRecord(models.Model):
    """
    One request of a credential under a key, and what is kept of its answer.

    The process that serves it renews `lease_until` as long as it runs. `digest` tells whether a later
    request is the same. `body` is None where no answer may or can be kept.
    """

    public_id = PublicIdField("idem")
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+")
    credential = models.CharField(max_length=64, help_text="The key's or the user's id.")
    route = models.CharField(max_length=MAX_ROUTE, help_text="Method and path.")
    key = models.CharField("idempotency key", max_length=MAX_KEY)
    digest = models.CharField(max_length=64, help_text="Of the body and all else that makes it the same request.")
    state = models.CharField(
        max_length=16, choices=[(state.value, state.value) for state in State], default=State.RUNNING
    )
    lease_until = models.DateTimeField(help_text="When a running one counts as interrupted.")
    status = models.PositiveSmallIntegerField(null=True, blank=True)
    headers: models.JSONField[dict[str, str], dict[str, str]] = models.JSONField(default=dict, blank=True)
    body = models.BinaryField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[IdempotencyQuerySet] = IdempotencyQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="idempotency_created_idx"),
            models.Index(fields=["lease_until"], name="idempotency_running_idx", condition=Q(state="running")),
        ]
        constraints = [
            models.UniqueConstraint(fields=["credential", "key", "route", "organization"], name="once_under_a_key"),
            models.CheckConstraint(
                condition=Q(state="running", finished_at=None, body=None)
                | Q(state="finished", finished_at__isnull=False, status__isnull=False),
                name="idempotency_finished_whole",
            ),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def is_interrupted(self) -> bool:
        return self.state == State.RUNNING and self.lease_until <= timezone.now()

    def answer(self) -> tuple[int, dict[str, Any], bytes] | None:
        """Return status, headers and body of the answer, or None if it was not kept."""
        if self.status is None or self.body is None:
            return None
        return self.status, self.headers, bytes(self.body)

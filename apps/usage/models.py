"""The ledger: one row for every accepted request, whatever its end."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar, Self

from django.conf import settings
from django.db import models

from apps.api_keys.models import ApiKey
from apps.catalog.models import Provider
from apps.core.ids import PublicIdField
from apps.organizations.models import Organization
from apps.projects.models import Project


class State(StrEnum):
    """How a request ended. `open` is the only state that is not final."""

    OPEN = "open"
    COMPLETED = "completed"
    CLIENT_GONE = "client_gone"
    UPSTREAM_ERROR = "upstream_error"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


class UsageQuerySet(models.QuerySet["UsageRecord"]):
    def in_organization(self, organization_id: int) -> Self:
        return self.filter(organization_id=organization_id)

    def in_project(self, project_id: int) -> Self:
        return self.filter(project_id=project_id)


class UsageRecord(models.Model):
    """
    One accepted request. Written by the drainer only, from the journals.

    The rows outlive what they point at, so the links are plain columns without constraints in
    the database, and what a report needs is copied.
    """

    public_id = PublicIdField("usage")
    request_id = models.CharField(max_length=64, db_index=True, help_text="What the client saw as X-Request-Id.")
    organization = models.ForeignKey(
        Organization, models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False
    )
    project = models.ForeignKey(Project, models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False
    )
    api_key = models.ForeignKey(
        ApiKey, models.DO_NOTHING, db_constraint=False, related_name="+", null=True, db_index=False
    )
    provider = models.ForeignKey(
        Provider, models.DO_NOTHING, db_constraint=False, related_name="+", null=True, db_index=False
    )
    endpoint = models.CharField(max_length=32)
    model = models.CharField(max_length=255, help_text="The model's own id, also when an alias was asked for.")
    is_stream = models.BooleanField(default=False)
    state = models.CharField(max_length=16, choices=[(state.value, state.value) for state in State])
    status = models.PositiveSmallIntegerField(null=True, help_text="The HTTP status the client got or would have got.")
    error_code = models.CharField(max_length=64, blank=True)
    prompt_tokens = models.BigIntegerField(default=0)
    completion_tokens = models.BigIntegerField(default=0)
    cached_tokens = models.BigIntegerField(default=0)
    reasoning_tokens = models.BigIntegerField(default=0)
    is_estimated = models.BooleanField(
        default=False, help_text="Counted from what arrived, because the provider reported no usage."
    )
    first_token_ms = models.PositiveIntegerField(null=True, help_text="Milliseconds to the first byte of the answer.")
    duration_ms = models.PositiveIntegerField(null=True)
    raw_usage: models.JSONField[Any, Any] = models.JSONField(
        null=True, help_text="The provider's usage object, verbatim."
    )
    accepted_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    objects: ClassVar[UsageQuerySet] = UsageQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["-accepted_at", "-id"]
        indexes = [
            models.Index(fields=["-accepted_at", "-id"], name="usage_accepted_idx"),
            models.Index(fields=["organization", "-accepted_at"], name="usage_org_accepted_idx"),
            # What somebody used itself, in an organization where others used far more.
            models.Index(fields=["user", "-accepted_at"], name="usage_user_accepted_idx"),
            models.Index(fields=["state"], name="usage_open_idx", condition=models.Q(state="open")),
            # How requests ended badly, which few do.
            models.Index(
                fields=["state", "-accepted_at", "-id"],
                name="usage_state_idx",
                condition=~models.Q(state="completed"),
            ),
        ]

    def __str__(self) -> str:
        return self.public_id


class JournalOffset(models.Model):
    """How far a journal file has been moved into the ledger; written in the transaction that moved it."""

    file = models.CharField(max_length=128, unique=True)
    position = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.file}@{self.position}"

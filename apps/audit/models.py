"""
Who did what, to what, when.

Rows are added and never changed (triggers refuse UPDATE and DELETE), and point at nothing that could
take them along. Each organization's events, and the platform's, are a chain of hashes.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any, ClassVar, Self

from django.db import models
from django.db.models import Q, QuerySet

from apps.core.ids import PublicIdField


class AuditQuerySet(models.QuerySet["AuditEvent"]):
    def in_organization(self, organization: str) -> Self:
        """Events of an organization, by its public id."""
        return self.filter(organization=organization)

    def with_actions(self, actions: Iterable[str]) -> Self:
        return self.filter(action__in=list(actions))

    def in_projects(self, projects: Iterable[str]) -> Self:
        """Events of some projects, by their public ids."""
        return self.filter(project__in=list(projects))

    def by_actors(self, actors: Iterable[str], keys: QuerySet[Any]) -> Self:
        """Events of people or keys, by their public ids, and those of more `keys`, whose ids it selects."""
        return self.filter(Q(actor_id__in=list(actors)) | Q(actor_kind="api_key", actor_id__in=keys))

    def by_addresses(self, emails: Iterable[str], keys: QuerySet[Any]) -> Self:
        """Events of people, by the e-mail addresses they had, and those of `keys`, whose ids it selects."""
        people = Q(actor_kind="user", actor_label__in=list(emails))
        return self.filter(people | Q(actor_kind="api_key", actor_id__in=keys))

    def on_targets(self, targets: Iterable[str]) -> Self:
        return self.filter(target_id__in=list(targets))

    def between(self, start: datetime.datetime | None, end: datetime.datetime | None) -> Self:
        """Events from `start` on and before `end`."""
        found = self if start is None else self.filter(created_at__gte=start)
        return found if end is None else found.filter(created_at__lt=end)

    def with_links(self) -> Self:
        """Read each event's place in the chain along with it."""
        return self.select_related("link")


class AuditEvent(models.Model):
    """One event. It holds public ids and copies, so it stays readable when what it is about is gone."""

    public_id = PublicIdField("audit")
    action = models.CharField(max_length=64)
    organization = models.CharField(max_length=32, blank=True, help_text="Whose event it is; empty: the platform's.")
    project = models.CharField(max_length=32, blank=True, help_text="The project it happened in, if it was one.")
    actor_kind = models.CharField(max_length=16)
    actor_id = models.CharField(max_length=32, blank=True)
    actor_label = models.CharField(max_length=254, blank=True)
    impersonator_id = models.CharField(max_length=32, blank=True, help_text="The operator who acted as the actor.")
    target_kind = models.CharField(max_length=32, blank=True)
    target_id = models.CharField(max_length=64, blank=True)
    details: models.JSONField[Any, Any] = models.JSONField(default=dict, blank=True)
    address = models.CharField(max_length=45, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[AuditQuerySet] = AuditQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="audit_created_idx"),
            models.Index(fields=["organization", "-created_at"], name="audit_org_created_idx"),
            models.Index(fields=["actor_id", "-created_at"], name="audit_actor_idx"),
            models.Index(fields=["target_id", "-created_at"], name="audit_target_idx"),
            models.Index(fields=["action", "-created_at"], name="audit_action_idx"),
            models.Index(fields=["project", "-created_at"], name="audit_project_idx"),
            models.Index(fields=["organization", "action", "-created_at"], name="audit_org_action_idx"),
            models.Index(fields=["organization", "actor_label", "-created_at"], name="audit_org_label_idx"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.target_id}".strip()


class AuditLink(models.Model):
    """An event's place in the chain of its organization; `hash` covers the event, the place and the hash before."""

    event = models.OneToOneField(AuditEvent, models.PROTECT, primary_key=True, related_name="link")
    organization = models.CharField(max_length=32, blank=True)
    sequence = models.PositiveBigIntegerField(help_text="From 1, without gaps.")
    previous_hash = models.CharField(max_length=64, blank=True)
    hash = models.CharField(max_length=64)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization", "sequence"], name="one_event_at_each_place")]

    def __str__(self) -> str:
        return f"{self.organization or 'platform'} {self.sequence}"


class AuditChain(models.Model):
    """Where a chain ends: what the next link follows. Whoever adds links locks it."""

    organization = models.CharField(max_length=32, blank=True, unique=True)
    sequence = models.PositiveBigIntegerField(default=0)
    hash = models.CharField(max_length=64, blank=True)

    def __str__(self) -> str:
        return f"{self.organization or 'platform'} {self.sequence}"

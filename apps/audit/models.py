"""Who did what, to what, when. Rows are added and never changed, and point at nothing that could take them along."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from django.db import models

from apps.core.ids import PublicIdField


class AuditQuerySet(models.QuerySet["AuditEvent"]):
    def in_organization(self, organization: str) -> Self:
        """Events of an organization, by its public id."""
        return self.filter(organization=organization)


class AuditEvent(models.Model):
    """One event. It holds public ids and copies, so it stays readable when what it is about is gone."""

    public_id = PublicIdField("audit")
    action = models.CharField(max_length=64)
    organization = models.CharField(max_length=32, blank=True, help_text="Whose event it is; empty: the platform's.")
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
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.target_id}".strip()

"""The boundary inside a tenant that keys and usage hang on."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models

from apps.core.epoch import EpochModel, EpochQuerySet
from apps.core.ids import PublicIdField
from apps.organizations.models import Organization


class ProjectQuerySet(EpochQuerySet["Project"]):
    def in_organization(self, organization_id: int) -> ProjectQuerySet:
        return self.filter(organization_id=organization_id)


class Project(EpochModel):
    """Where an organization's keys live and its usage is counted. Each organization has one default project."""

    public_id = PublicIdField("proj")
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="projects")
    name = models.CharField(max_length=128)
    is_default = models.BooleanField("default", default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects: ClassVar[ProjectQuerySet] = ProjectQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["name"], name="project_name_idx", opclasses=["varchar_pattern_ops"])]
        constraints = [
            models.UniqueConstraint(
                fields=["organization"], condition=models.Q(is_default=True), name="one_default_project"
            )
        ]

    def __str__(self) -> str:
        # Almost every organization has a "Default project"; alone the name says nothing.
        return f"{self.name} · {self.organization}"


def default_project(organization_id: int) -> Any:
    """Return an organization's default project, or None while it has none."""
    return Project.objects.in_organization(organization_id).filter(is_default=True).first()

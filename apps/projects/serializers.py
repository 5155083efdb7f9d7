"""What callers may say of projects, and how they are shown."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request

from apps.core.http.moments import moment
from apps.core.http.serializers import StrictSerializer
from apps.projects.models import Project
from apps.projects.project_settings import ProjectSettings


class NewProject(StrictSerializer):
    name = serializers.CharField(max_length=128)
    description = serializers.CharField(max_length=1024, required=False, allow_blank=True)
    settings = serializers.JSONField(required=False, help_text=", ".join(ProjectSettings.__struct_fields__))


class ChangedProject(NewProject):
    name = serializers.CharField(max_length=128, required=False)


def project_document(request: Request, project: Project) -> dict[str, Any]:
    """Return a project as OpenAI's SDK types it, with what the documentation has beside."""
    return {
        "id": project.public_id,
        "public_id": project.public_id,
        "object": "organization.project",
        "name": project.name,
        "description": project.description,
        "status": project.status,
        "is_default": project.is_default,
        "settings": project.settings,
        "created_at": moment(request, project.created_at),
        "updated_at": moment(request, project.updated_at),
        "archived_at": moment(request, project.archived_at),
        "created_by": project.created_by.email if project.created_by else None,
    }

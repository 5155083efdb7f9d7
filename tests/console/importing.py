"""A browser at the import pages."""

from __future__ import annotations

import json
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from apps.audit.models import AuditEvent
from apps.catalog.models import Model
from apps.organizations.models import Invite, Organization
from apps.projects.models import Project, ProjectMembership
from apps.quotas.models import RateLimit

KINDS: dict[str, Any] = {
    "projects.Project": Project,
    "organizations.Invite": Invite,
    "quotas.RateLimit": RateLimit,
    "catalog.Model": Model,
}
LABELS = list(KINDS)


def address(label: str, page: str = "import", *args: Any, site: str = "admin") -> str:
    return reverse(f"{site}:{label.lower().replace('.', '_')}_{page}", args=args)


def upload(client: Client, label: str, content: bytes | str | list[Any], site: str = "admin") -> Any:
    if isinstance(content, list):
        content = json.dumps(content)
    content = content if isinstance(content, bytes) else content.encode()
    return client.post(address(label, site=site), {"file": SimpleUploadedFile("any.txt", content)})


def told(answer: Any) -> list[tuple[str, list[str]]]:
    """What a preview says of each row."""
    assert answer.status_code == 200
    return [(outcome.what.value, outcome.lines) for outcome in answer.context["outcomes"]]


def refusal(answer: Any) -> str:
    """Why a file was no table at all."""
    assert answer.status_code == 200
    [text] = answer.context["form"].errors["file"]
    return str(text)


def confirm(client: Client, label: str, preview: Any, site: str = "admin") -> Any:
    return client.post(address(label, site=site), {"confirmed": preview.context["token"]})


def exported(client: Client, label: str, kind: str, site: str = "admin") -> str:
    return client.get(address(label, "export", kind, site=site)).content.decode()


def everything() -> dict[str, Any]:
    """All rows that an import could touch."""
    tables = (*KINDS.values(), ProjectMembership, Organization, AuditEvent)
    return {model._meta.label: list(model._default_manager.order_by("pk").values()) for model in tables}

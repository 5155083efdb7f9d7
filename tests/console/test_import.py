"""Files into lists: previewed, confirmed, and then all rows or none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from apps.audit.models import AuditEvent
from apps.catalog.models import Model
from apps.organizations.models import Invite, Organization
from apps.projects.models import Project, ProjectMembership
from apps.quotas.models import RateLimit
from tests.console.test_admin import fill

KINDS = {
    "projects.Project": Project,
    "organizations.Invite": Invite,
    "quotas.RateLimit": RateLimit,
    "catalog.Model": Model,
}
LABELS = list(KINDS)


@pytest.fixture
def rows(db: None) -> dict[str, Any]:
    return fill(1)


def url(label: str, page: str = "import", *args: Any, site: str = "admin") -> str:
    return reverse(f"{site}:{label.lower().replace('.', '_')}_{page}", args=args)


def upload(client: Client, label: str, content: bytes | str | list[Any], site: str = "admin") -> Any:
    if isinstance(content, list):
        content = json.dumps(content)
    content = content if isinstance(content, bytes) else content.encode()
    return client.post(url(label, site=site), {"file": SimpleUploadedFile("any.txt", content)})


def told(answer: Any) -> list[tuple[str, list[str]]]:
    """What a preview says of each row."""
    return [(outcome.what.value, outcome.lines) for outcome in answer.context["outcomes"]]


def refusal(answer: Any) -> str:
    """Why a file was no table at all."""
    assert answer.status_code == 200
    [text] = answer.context["form"].errors["file"]
    return str(text)


def confirm(client: Client, label: str, preview: Any, site: str = "admin") -> Any:
    return client.post(url(label, site=site), {"confirmed": preview.context["token"]})


def exported(client: Client, label: str, kind: str, site: str = "admin") -> str:
    return client.get(url(label, "export", kind, site=site)).content.decode()


def everything() -> dict[str, Any]:
    tables = (*KINDS.values(), ProjectMembership, Organization, AuditEvent)
    return {model._meta.label: list(model._default_manager.order_by("pk").values()) for model in tables}


@pytest.mark.parametrize("kind", ["csv", "json"])
@pytest.mark.parametrize("label", LABELS)
def test_what_was_exported_changes_nothing_when_it_is_imported(admin_client: Client, label: str, kind: str):
    for number in (1, 2):
        fill(number)
    before, count = everything(), KINDS[label].objects.count()
    preview = upload(admin_client, label, exported(admin_client, label, kind))
    assert told(preview) == [("unchanged", [])] * count
    assert preview.context["token"] == ""
    assert everything() == before

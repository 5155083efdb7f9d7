"""Keys as callers see them: with the seeds' names and OpenAI's at once."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request

from apps.api_keys.models import ApiKey
from apps.api_keys.owners import project_role_of
from apps.api_keys.tokens import KeyKind
from apps.core.http.moments import iso, moment
from apps.projects.models import Project

OBJECTS = {
    KeyKind.ADMIN: "organization.admin_api_key",
    KeyKind.ORGANIZATION: "organization.api_key",
    KeyKind.PROJECT: "organization.project.api_key",
    KeyKind.SERVICE_ACCOUNT: "organization.project.api_key",
}


def organization_key(request: Request, key: ApiKey) -> dict[str, Any]:
    """Return a key of an organization's own; it was read `with_owners`."""
    owner: dict[str, Any] = {"type": "user"}
    if key.user is not None:
        owner |= {
            "object": "organization.user",
            "id": key.user.pk,
            "name": key.user.name,
            "role": key.organization_role,  # type: ignore[attr-defined]
            "created_at": moment(request, key.user.created_at),
        }
    return {**_common(request, key), "owner": owner}


def project_key(request: Request, key: ApiKey, project: Project) -> dict[str, Any]:
    """Return a key of a project; it was read `with_owners` and `with_access`."""
    return {
        **_common(request, key),
        "project_id": project.public_id,
        "owner": _project_owner(request, key, project),
        "owner_project_access": "active" if key.has_access else "inactive",  # type: ignore[attr-defined]
    }


def _project_owner(request: Request, key: ApiKey, project: Project) -> dict[str, Any]:
    if key.service_account is not None:
        account = key.service_account
        created_at = moment(request, account.created_at)
        shown = {"id": account.public_id, "name": account.name, "role": account.role, "created_at": created_at}
        return {"type": "service_account", "service_account": shown}
    if key.user is None:
        return {"type": "user"}
    person = {
        "id": key.user.pk,
        "name": key.user.name,
        "email": key.user.email or "",
        "role": project_role_of(key, project),
        "created_at": moment(request, key.user.created_at),
    }
    return {"type": "user", "user": person}


def _common(request: Request, key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.public_id,
        "object": OBJECTS[KeyKind(key.kind)],
        "kind": key.kind,
        "name": key.name,
        "description": key.description,
        "redacted_value": key.redacted_value,
        "permissions": key.permissions,
        "scopes": key.scopes,
        "is_active": key.status == "active",
        "status": key.status,
        "allowed_addresses": key.allowed_addresses,
        "allowed_models": key.allowed_models,
        "created_at": moment(request, key.created_at),
        "expires_at": moment(request, key.expires_at),
        "last_used_at": moment(request, key.last_used_at),
        "last_used": iso(key.last_used_at),
        "previous_expires_at": moment(request, key.previous_expires_at),
    }

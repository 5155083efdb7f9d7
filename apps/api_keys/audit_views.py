"""
An organization's audit log, in OpenAI's shape.

It stands here, and not with the log, because it names the projects and the holders of the keys it tells of.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection
from typing import Any

from django.http import QueryDict
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.api_keys.models import ApiKey
from apps.audit.documents import Known, document
from apps.audit.event_types import actions_of, is_known, is_tenant_scoped, tenant_scoped
from apps.audit.models import AuditEvent, AuditQuerySet
from apps.core.errors import BadRequest
from apps.core.http.moments import moment
from apps.core.http.pagination import paginate
from apps.core.http.parameters import MAX_SECONDS, flag, values, whole
from apps.organizations.openapi import CURSORS, Page
from apps.organizations.roles import Scope
from apps.organizations.scoping import OrganizationView
from apps.projects.models import Project

_SPAN = "effective_at"
_BOUNDS = ("gt", "gte", "lt", "lte")
_EVENT: dict[str, Any] = {
    "id": "audit_5Tn2b1Jq8sT2vW5yZ7aC9dE3",
    "object": "organization.audit_log",
    "type": "project.updated",
    "type_detail": "project.updated",
    "effective_at": 1795253400,
    "actor": {
        "type": "session",
        "session": {
            "user": {"id": "user_4Xn0b1Jq8sT2vW5yZ7aC9dE3", "email": "ada@example.com"},
            "ip_address": "203.0.113.7",
            "impersonator_id": None,
        },
    },
    "project": {"id": "proj_6Zq2b1Jq8sT2vW5yZ7aC9dE3", "name": "Research"},
    "project.updated": {
        "id": "proj_6Zq2b1Jq8sT2vW5yZ7aC9dE3",
        "changes_requested": {"name": "Research", "title": "Research"},
        "changes_from": {"name": "Reserch"},
        "data": {},
    },
    "request_id": "req_8Un2b1Jq8sT2vW5yZ7aC9dE3",
    "sequence": 1,
    "previous_hash": "",
    "hash": "5ad46b9c2f0d7a3c6f4be1c4a90c1f0f6d8c2a1b3e5f7a9b1c3d5e7f9a0b2c4d",
    "record": {
        "public_id": "audit_5Tn2b1Jq8sT2vW5yZ7aC9dE3",
        "action": "project.updated",
        "organization": "org_5Yp1b1Jq8sT2vW5yZ7aC9dE3",
        "project": "proj_6Zq2b1Jq8sT2vW5yZ7aC9dE3",
        "actor_kind": "user",
        "actor_id": "user_4Xn0b1Jq8sT2vW5yZ7aC9dE3",
        "actor_label": "ada@example.com",
        "target_kind": "project",
        "target_id": "proj_6Zq2b1Jq8sT2vW5yZ7aC9dE3",
        "details": {"name": ["Reserch", "Research"]},
        "address": "203.0.113.7",
        "request_id": "req_8Un2b1Jq8sT2vW5yZ7aC9dE3",
        "created_at": "2026-11-21T09:30:00.123456+00:00",
    },
}


def _list(name: str, description: str) -> OpenApiParameter:
    return OpenApiParameter(f"{name}[]", OpenApiTypes.STR, many=True, description=f"{description} Also as `{name}`.")


class AuditEventShape(serializers.Serializer[Any]):
    """The event's own details are under the name of its `type`."""

    id = serializers.CharField()
    object = serializers.CharField(default="organization.audit_log")
    type = serializers.CharField(help_text="OpenAI's word, or the nearest one it has.")
    type_detail = serializers.CharField(help_text="The server's own word.")
    effective_at = serializers.IntegerField()
    actor = serializers.DictField()
    project = serializers.DictField(allow_null=True)
    request_id = serializers.CharField(allow_null=True)
    sequence = serializers.IntegerField(help_text="Its place in the organization's chain: from 1, without gaps.")
    previous_hash = serializers.CharField(help_text="That of the event before; empty for the first.")
    hash = serializers.CharField(help_text="SHA-256 of `[record, sequence, previous_hash]`.")
    record = serializers.DictField(help_text="What the hash covers.")


class AuditPage(Page):
    data = AuditEventShape(many=True)  # type: ignore[assignment]  # the contract's key shadows DRF's attribute
    audit_logs = AuditEventShape(many=True)


class AuditLogsView(OrganizationView):
    required_scope = Scope.AUDIT_LOGS_READ

    @extend_schema(
        operation_id="listAuditLogs",
        summary="List what was done in the organization",
        description=(
            "Newest first. Events are never changed or removed, and each one's hash covers the one before: "
            "docs/audit-log.md shows how to check the chain."
        ),
        tags=["Audit logs"],
        parameters=[
            *(
                OpenApiParameter(f"{_SPAN}[{bound}]", OpenApiTypes.INT, description="Unix seconds.")
                for bound in _BOUNDS
            ),
            _list("event_types", "OpenAI's types or the server's own words."),
            _list("project_ids", "Only what happened in these projects."),
            _list("actor_ids", "Users, service accounts or API keys."),
            _list("actor_emails", "Users, with what their keys did."),
            _list("resource_ids", "What was acted on."),
            OpenApiParameter("tenant_only", OpenApiTypes.BOOL, description="Only types OpenAI counts as a tenant's."),
            *CURSORS,
        ],
        responses={200: AuditPage},
        examples=[
            OpenApiExample(
                "A page",
                value={
                    "object": "list",
                    "data": [_EVENT],
                    "first_id": _EVENT["id"],
                    "last_id": _EVENT["id"],
                    "has_more": False,
                    "next_after": None,
                    "next": None,
                    "total": 1,
                    "limit": 20,
                    "offset": 0,
                    "audit_logs": [_EVENT],
                },
                response_only=True,
            )
        ],
    )
    def get(self, request: Request, **_: Any) -> Response:
        keys = ApiKey.objects.in_organization(self.organization_id)
        events = AuditEvent.objects.in_organization(self.principal.organization_public_id)
        found = filtered(events, request.query_params, keys)
        page = paginate(
            request, found.with_links(), lambda event: {"event": event}, named="audit_logs", always_named=True
        )
        shown = [each["event"] for each in page["data"]]
        known = _known(self.organization_id, shown)
        page["data"] = page["audit_logs"] = [
            document(event, moment(request, event.created_at), known) for event in shown
        ]
        return Response(page)


def filtered(events: AuditQuerySet, query: QueryDict, keys: Any) -> AuditQuerySet:
    """Return the events that were asked for; `keys` are the organization's. Raises BadRequest."""
    events = events.between(*_span(query))
    names = values(query, "event_types")
    if names is not None:
        events = events.with_actions(actions_of(_checked(names)))
    if flag(query, "tenant_only"):
        if other := next((name for name in names or () if not is_tenant_scoped(name)), None):
            raise BadRequest(f"With 'tenant_only' there are no events of type '{other}'.", param="event_types")
        events = events.with_actions(tenant_scoped())
    if (projects := values(query, "project_ids")) is not None:
        events = events.in_projects(projects)
    if (targets := values(query, "resource_ids")) is not None:
        events = events.on_targets(targets)
    if (ids := values(query, "actor_ids")) is not None:
        events = events.by_actors(ids, keys.held_by(ids=ids).values("public_id"))
    if (emails := values(query, "actor_emails")) is not None:
        addresses = [email.lower() for email in emails]
        events = events.by_addresses(addresses, keys.held_by(emails=addresses).values("public_id"))
    return events


def _bare(event: AuditEvent) -> dict[str, Any]:
    """Return a row of a page that waits for what is read for all of its rows at once."""
    return {"event": event}


def _checked(names: Collection[str]) -> Collection[str]:
    for name in names:
        if not is_known(name):
            raise BadRequest(f"There is no event type '{name}'.", param="event_types")
    return names


def _span(query: QueryDict) -> tuple[datetime.datetime | None, datetime.datetime | None]:
    """Return when the events begin and end. An event's second is what clients see, so bounds are whole seconds."""
    for name in query:
        if name.startswith(_SPAN) and name not in {f"{_SPAN}[{bound}]" for bound in _BOUNDS}:
            raise BadRequest(f"'{_SPAN}' takes one of [{'], ['.join(_BOUNDS)}].", param=name)
    gt, gte, lt, lte = (whole(query, f"{_SPAN}[{bound}]", 0, MAX_SECONDS - 1) for bound in _BOUNDS)
    starts = [second for second in (gte, None if gt is None else gt + 1) if second is not None]
    ends = [second for second in (lt, None if lte is None else lte + 1) if second is not None]
    return _moment(max(starts, default=None)), _moment(min(ends, default=None))


def _moment(seconds: int | None) -> datetime.datetime | None:
    return None if seconds is None else datetime.datetime.fromtimestamp(seconds, datetime.UTC)


def _known(organization_id: int, events: Collection[AuditEvent]) -> Known:
    """Read the names of the events' projects and the holders of their keys, in two queries."""
    keys = ApiKey.objects.in_organization(organization_id).select_related("user", "service_account")
    found = keys.with_public_ids({event.actor_id for event in events if event.actor_kind == "api_key"})
    projects = Project.objects.in_organization(organization_id).with_public_ids({event.project for event in events})
    return Known(
        projects=dict(projects.values_list("public_id", "name")),
        holders={key.public_id: _holder(key) for key in found},
    )


def _holder(key: ApiKey) -> dict[str, Any]:
    if key.service_account is not None:
        return {"type": "service_account", "service_account": {"id": key.service_account.public_id}}
    user = {"id": key.user.pk, "email": key.user.email} if key.user is not None else None
    return {"type": "user", "user": user}

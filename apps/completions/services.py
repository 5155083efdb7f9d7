"""Storing calls, changing what is said about them, deleting them."""

from __future__ import annotations

import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.completions.models import StoredCompletion
from apps.completions.shape import (
    answer_without_text,
    messages_without_text,
    parameters_of,
    string_pairs,
    whole_answer,
)
from apps.conversations.retention import limits_of_projects
from apps.core.errors import NotFound
from apps.organizations.organization_settings import Storage
from apps.organizations.principal import Principal
from apps.projects.models import Project

_EXPIRE_AT_ONCE = 500


def store_completion(
    *, principal: Principal, public_id: str, request: dict[str, Any], answer: dict[str, Any], request_id: str
) -> StoredCompletion | None:
    """
    Keep a chat call of the caller's under an id of `new_completion_id`.

    Of a project that keeps only metadata nothing that was said is kept, of one that keeps nothing, nothing:
    then None is returned. Raises BadRequest for metadata that cannot be.
    """
    if principal.storage is Storage.NONE:
        return None
    labels, kept = string_pairs(request.get("metadata")), whole_answer(answer)
    messages, parameters = request.get("messages") or [], parameters_of(request)
    if principal.storage is Storage.METADATA:
        messages, parameters, kept = messages_without_text(messages), {}, answer_without_text(kept)
    return StoredCompletion.objects.create(
        organization_id=principal.organization_id,
        project_id=principal.project_id,
        user=User(pk=principal.owner_id) if principal.owner_id else None,
        public_id=public_id,
        model=str(kept.get("model") or request.get("model") or "")[:255],
        request_id=request_id,
        messages=messages,
        parameters=parameters,
        answer=kept,
        metadata=labels,
    )


def find_completion(principal: Principal, public_id: str) -> StoredCompletion:
    """Return a stored completion of the caller's. Raises NotFound."""
    found: StoredCompletion | None = StoredCompletion.objects.visible_to(principal).with_public_id(public_id)
    if found is None:
        raise _not_found()
    return found


@transaction.atomic
def label_completion(*, completion: StoredCompletion, metadata: Any, merges: bool) -> StoredCompletion:
    """
    Replace its metadata, or merge them in: then null takes a pair away.

    Raises NotFound for one that was deleted a moment ago, BadRequest for metadata that cannot be.
    """
    rows = StoredCompletion.objects.in_organization(completion.organization_id).filter(pk=completion.pk)
    row: StoredCompletion | None = rows.select_for_update(no_key=True).first()
    if row is None:
        raise _not_found()
    if merges and isinstance(metadata, dict):
        metadata = {name: value for name, value in {**row.metadata, **metadata}.items() if value is not None}
    row.metadata = string_pairs(metadata)
    row.updated_at = timezone.now()
    row.save(update_fields=["metadata", "updated_at"])
    return row


def delete_completion(*, completion: StoredCompletion) -> None:
    """Delete it. Raises NotFound for one that was deleted a moment ago."""
    rows = StoredCompletion.objects.in_organization(completion.organization_id)
    deleted, _ = rows.filter(pk=completion.pk).delete()
    if not deleted:
        raise _not_found()


def expire_completions() -> int:
    """Delete what is older than its project or organization keeps things, the shorter time. Returns how many."""
    return sum(_expire(project, limit) for project, limit in limits_of_projects(timezone.now()))


def _expire(project: Project, limit: datetime.datetime) -> int:
    overdue = StoredCompletion.objects.in_project(project.pk).filter(created_at__lt=limit)
    expired = 0
    while ids := list(overdue.values_list("pk", flat=True)[:_EXPIRE_AT_ONCE]):
        StoredCompletion.objects.filter(pk__in=ids).delete()
        expired += len(ids)
    return expired


def _not_found() -> NotFound:
    return NotFound("There is no such stored completion.", code="completion_not_found", param="completion_id")

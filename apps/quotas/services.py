"""Setting limits, and taking them back."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import transaction

from apps.api_keys.models import ApiKey
from apps.audit.services import Action, Actor, record
from apps.core.errors import BadRequest
from apps.organizations.models import Organization
from apps.projects.models import Project
from apps.projects.project_services import lock_active
from apps.quotas.models import Amounts, RateLimit
from apps.quotas.queries import ceiling_of

_NAMES = Amounts._fields


@transaction.atomic
def set_limits(
    *, owner: Organization | Project | ApiKey, model: str, amounts: Mapping[str, int | None], actor: Actor
) -> RateLimit:
    """Set some of an owner's limits for a model (empty: for all together). None takes one back."""
    organization = owner if isinstance(owner, Organization) else owner.organization
    # Whoever comes second waits here and finds the row of the first.
    Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
    place = {
        "organization": organization,
        "project": owner if isinstance(owner, Project) else None,
        "api_key": owner if isinstance(owner, ApiKey) else None,
    }
    row = RateLimit.objects.filter(**place, model=model).first() or RateLimit(**place, model=model)
    before = row.amounts
    for name, amount in amounts.items():
        setattr(row, name, amount)
    changes = _changes(before, row.amounts)
    if changes:
        row.save()
        _record(Action.RATE_LIMIT_UPDATED, row, actor, **changes)
    return row


@transaction.atomic
def set_project_limits(*, project: Project, model: str, amounts: Mapping[str, int | None], actor: Actor) -> RateLimit:
    """
    As `set_limits`, for the project's own people.

    Raises BadRequest for more than its organization has, Conflict (`project_archived`) for an archived project.
    """
    Organization.objects.select_for_update(no_key=True).get(pk=project.organization_id)
    lock_active(project)
    most = ceiling_of(project, model)._asdict()
    for name, amount in amounts.items():
        if amount is not None and most[name] is not None and amount > most[name]:
            raise BadRequest(
                f"The organization has {most[name]} as '{name}', and no project gets more. An operator of this server "
                "can give the organization more.",
                code="rate_limit_too_high",
                param=name,
                details={"limit": most[name]},
            )
    return set_limits(owner=project, model=model, amounts=amounts, actor=actor)


@transaction.atomic
def delete_limits(*, limits: RateLimit, actor: Actor) -> bool:
    """Take back what is set, so that what holds without it holds again. Returns whether this call did it."""
    deleted, _ = RateLimit.objects.filter(pk=limits.pk).delete()
    if deleted:
        _record(Action.RATE_LIMIT_DELETED, limits, actor, **_changes(limits.amounts, Amounts()))
    return bool(deleted)


def _changes(before: Amounts, after: Amounts) -> dict[str, list[int | None]]:
    pairs = zip(_NAMES, before, after, strict=True)
    return {name: [old, new] for name, old, new in pairs if old != new}


def _record(action: Action, row: RateLimit, actor: Actor, **changes: list[int | None]) -> None:
    record(
        action,
        actor=actor,
        organization=row.organization.public_id,
        project=row.project.public_id if row.project else "",
        target_kind="rate_limit",
        target_id=row.public_id,
        model=row.model or "*",
        api_key=row.api_key.public_id if row.api_key else None,
        **changes,
    )

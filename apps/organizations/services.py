"""What can be done with an organization itself: changed, deleted, purged. `apps.projects.services` makes them."""

from __future__ import annotations

import datetime
from typing import Any

from django.conf import settings as configured
from django.db import transaction
from django.utils import timezone

from apps.audit.services import SYSTEM, Action, Actor, record
from apps.core.errors import Conflict, NotFound
from apps.organizations.models import Organization
from apps.organizations.organization_settings import changed_settings


@transaction.atomic
def update_organization(
    *,
    organization: Organization,
    actor: Actor,
    name: str | None = None,
    description: str | None = None,
    domain: str | None = None,
    settings: Any = None,
) -> Organization:
    """
    Change what is given; `settings` are merged, and a null takes one away.

    Raises BadRequest for wrong settings, NotFound for an organization that was deleted a moment ago.
    """
    organization = lock_organization(organization.pk)
    wanted: dict[str, Any] = {"name": name, "description": description, "domain": domain}
    if settings is not None:
        wanted["settings"] = changed_settings(organization.settings, settings)
    before = {field: getattr(organization, field) for field in wanted}
    changes = {field: [before[field], after] for field, after in wanted.items() if after not in (None, before[field])}
    if changes:
        for field, (_, after) in changes.items():
            setattr(organization, field, after)
        organization.save(update_fields=[*changes, "updated_at"])
        record_of(Action.ORGANIZATION_UPDATED, organization, actor, **changes)
    return organization


@transaction.atomic
def delete_organization(*, organization: Organization, actor: Actor) -> None:
    """
    Delete an organization: it admits nobody and no key within two seconds; purged after ORGANIZATION_PURGE_DAYS.

    Raises Conflict (`personal_organization`) for one that goes with its owner's account, NotFound for
    one that was deleted a moment ago.
    """
    organization = lock_organization(organization.pk)
    if organization.is_personal:
        raise Conflict("A personal organization goes with its owner's account.", code="personal_organization")
    organization.deleted_at = timezone.now()
    organization.save(update_fields=["deleted_at"])
    record_of(Action.ORGANIZATION_DELETED, organization, actor, name=organization.name)


@transaction.atomic
def restore_organization(*, organization: Organization, actor: Actor) -> None:
    """Take a deletion back. Raises NotFound for an organization that is not deleted, or purged already."""
    if not Organization.objects.filter(pk=organization.pk, deleted_at__isnull=False).update(deleted_at=None):
        raise NotFound("There is no such deleted organization.", code="organization_not_found")
    record_of(Action.ORGANIZATION_RESTORED, organization, actor)


def purge_organizations() -> int:
    """Remove what was deleted ORGANIZATION_PURGE_DAYS ago. The ledger and the audit log stay. Returns how many."""
    limit = timezone.now() - datetime.timedelta(days=configured.ORGANIZATION_PURGE_DAYS)
    overdue = Organization.objects.filter(deleted_at__lt=limit)
    return sum(_purge(organization) for organization in overdue)


@transaction.atomic
def _purge(organization: Organization) -> bool:
    deleted, _ = Organization.objects.filter(pk=organization.pk, deleted_at__isnull=False).delete()
    if deleted:
        record_of(Action.ORGANIZATION_PURGED, organization, SYSTEM, name=organization.name)
    return deleted > 0


def lock_organization(organization_id: int) -> Organization:
    """
    Return the organization as it is now, locked until the transaction ends: who owns it changes one at a time.

    Raises NotFound for one that was deleted a moment ago.
    """
    locked = Organization.objects.present().select_for_update(no_key=True).filter(pk=organization_id).first()
    if locked is None:
        raise NotFound("There is no such organization.", code="organization_not_found")
    return locked


def record_of(action: Action, organization: Organization, actor: Actor, **details: Any) -> None:
    """Write an event of an organization itself. Called in the transaction of the change."""
    public_id = organization.public_id
    record(action, actor=actor, organization=public_id, target_kind="organization", target_id=public_id, **details)

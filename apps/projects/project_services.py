"""What can be done with a project: made, changed, archived, deleted, purged."""

from __future__ import annotations

import datetime
from typing import Any

from django.conf import settings as configured
from django.db import transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.services import Action, Actor, record
from apps.core.errors import Conflict, NotFound
from apps.organizations.models import Membership, Organization
from apps.organizations.roles import ALL, PROJECT_ROLE_SCOPES, ProjectRole, Scope
from apps.projects.models import Project, ProjectMembership
from apps.projects.project_settings import changed_settings, checked_settings

_PURGE_AT_ONCE = 200


@transaction.atomic
def create_project(
    *,
    organization: Organization,
    name: str,
    creator: User | None,
    actor: Actor,
    description: str = "",
    settings: dict[str, Any] | None = None,
    giver: frozenset[Scope] = ALL,
) -> Project:
    """
    Make a project. Raises BadRequest for wrong settings.

    Its creator becomes its owner, if it is a member: or what has no more rights than `giver`, which is
    what the creator can hand on at the organization.
    """
    project = Project.objects.create(
        organization=organization,
        name=name,
        description=description,
        settings=changed_settings({}, checked_settings({} if settings is None else settings)),
        created_by=creator,
    )
    # The lock makes leaving the organization at the same moment take its turn.
    members = Membership.objects.in_organization(organization.pk).select_for_update(no_key=True)
    membership = members.filter(user=creator).first() if creator is not None else None
    role = next((role for role in ProjectRole if PROJECT_ROLE_SCOPES[role] <= giver), None)
    if membership is not None and role is not None:
        ProjectMembership.objects.create(organization=organization, project=project, membership=membership, role=role)
    record_of(Action.PROJECT_CREATED, project, actor, name=name, settings=project.settings)
    return project


@transaction.atomic
def update_project(
    *,
    project: Project,
    actor: Actor,
    name: str | None = None,
    description: str | None = None,
    settings: dict[str, Any] | None = None,
    replace: bool = False,
) -> Project:
    """
    Change what is given. `replace`: `settings` are all there are from now on; otherwise they are merged.

    Raises BadRequest for wrong settings, Conflict (`project_archived`) for an archived project,
    NotFound for one that was deleted a moment ago.
    """
    project = lock_active(project)
    wanted: dict[str, Any] = {"name": name, "description": description}
    if settings is not None:
        wanted["settings"] = changed_settings({} if replace else project.settings, checked_settings(settings))
    before = {field: getattr(project, field) for field in wanted}
    changes = {field: [before[field], after] for field, after in wanted.items() if after not in (None, before[field])}
    if changes:
        _write(project, **{field: after for field, (_, after) in changes.items()})
        record_of(Action.PROJECT_UPDATED, project, actor, **changes)
    return project


@transaction.atomic
def archive_project(*, project: Project, actor: Actor) -> Project:
    """Make a project read-only. Doing it twice keeps the first date. Raises Conflict for the default project."""
    project = _lock(project)
    _check_not_default(project)
    if not project.is_archived:
        _write(project, archived_at=timezone.now())
        record_of(Action.PROJECT_ARCHIVED, project, actor, status=["active", "archived"])
    return project


@transaction.atomic
def unarchive_project(*, project: Project, actor: Actor) -> Project:
    """Open an archived project again."""
    project = _lock(project)
    if project.is_archived:
        _write(project, archived_at=None)
        record_of(Action.PROJECT_UNARCHIVED, project, actor, status=["archived", "active"])
    return project


@transaction.atomic
def delete_project(*, project: Project, actor: Actor) -> None:
    """
    Delete a project: gone for everybody, keys and all, within two seconds; purged after PROJECT_PURGE_DAYS.

    Raises Conflict for the default project, NotFound for one that was deleted a moment ago.
    """
    project = _lock(project)
    _check_not_default(project)
    _write(project, deleted_at=timezone.now())
    record_of(Action.PROJECT_DELETED, project, actor, name=project.name)


def purge_projects() -> int:
    """Remove what was deleted PROJECT_PURGE_DAYS ago. The ledger and the audit log stay. Returns how many."""
    limit = timezone.now() - datetime.timedelta(days=configured.PROJECT_PURGE_DAYS)
    purged = 0
    overdue = Project.objects.filter(deleted_at__lt=limit)
    while ids := list(overdue.values_list("pk", flat=True)[:_PURGE_AT_ONCE]):
        for project_id in ids:
            overdue.filter(pk=project_id).delete()
        purged += len(ids)
    return purged


def lock_active(project: Project) -> Project:
    """
    Return the project as it is now, locked until the transaction ends: nothing is written into an archived one.

    Raises Conflict (`project_archived`), or NotFound for one that was deleted a moment ago.
    """
    locked = _lock(project)
    if locked.is_archived:
        raise Conflict("The project is archived, so it can only be read.", code="project_archived")
    return locked


def record_of(action: Action, project: Project, actor: Actor, **details: Any) -> None:
    """Write an event of a project itself. Called in the transaction of the change."""
    record(
        action,
        actor=actor,
        organization=project.organization.public_id,
        project=project.public_id,
        target_kind="project",
        target_id=project.public_id,
        **details,
    )


def _lock(project: Project) -> Project:
    rows = Project.objects.present().select_related("organization", "created_by")
    locked: Project | None = rows.select_for_update(no_key=True, of=("self",)).filter(pk=project.pk).first()
    if locked is None:
        raise NotFound("There is no such project.", code="project_not_found")
    return locked


def _check_not_default(project: Project) -> None:
    if project.is_default:
        raise Conflict("The default project can be neither archived nor deleted.", code="default_project")


def _write(project: Project, **fields: Any) -> None:
    for name, value in fields.items():
        setattr(project, name, value)
    project.save(update_fields=[*fields, "updated_at"])

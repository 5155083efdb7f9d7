"""What can be done with service accounts. Their keys make them work, so that this is not in `apps.projects`."""

from __future__ import annotations

import datetime
from typing import Any

from django.db import transaction

from apps.accounts.models import User
from apps.api_keys.models import ApiKey
from apps.api_keys.services import Giver, Holder, create_key, revoke_key
from apps.api_keys.tokens import KeyKind
from apps.audit.services import Action, Actor, record
from apps.core.errors import NotFound
from apps.organizations.roles import ProjectRole
from apps.projects.members import check_role
from apps.projects.models import NO_ROLE, Project, ServiceAccount
from apps.projects.project_services import lock_active

# What OpenAI calls the first key of an account.
FIRST_KEY = "Secret Key"


@transaction.atomic
def create_service_account(
    *, project: Project, name: str, role: str, creator: User | None, giver: Giver, actor: Actor
) -> ServiceAccount:
    """
    Make a service account, without a key. `role`: a role in the project, or `none`.

    `giver`: what the caller can hand on there. Raises Forbidden for a role of more than that, Conflict
    for an archived project.
    """
    _check_role(role, giver)
    project = lock_active(project)
    account = ServiceAccount.objects.create(
        organization=project.organization, project=project, name=name, role=role, created_by=creator
    )
    _record(Action.SERVICE_ACCOUNT_CREATED, account, actor, name=name, role=str(role))
    return account


@transaction.atomic
def create_account_with_key(
    *, expires_at: datetime.datetime | None, giver: Giver, actor: Actor, **wanted: Any
) -> tuple[ServiceAccount, ApiKey, str]:
    """Make a service account and its first key, and return both with the secret. Raises what the two of them raise."""
    account = create_service_account(giver=giver, actor=actor, **wanted)
    key, secret = create_account_key(account=account, name=FIRST_KEY, giver=giver, actor=actor, expires_at=expires_at)
    return account, key, secret


@transaction.atomic
def update_service_account(
    *, account: ServiceAccount, giver: Giver, actor: Actor, name: str | None = None, role: str | None = None
) -> ServiceAccount:
    """
    Change what is given; its keys have the rights of the new role within two seconds.

    Raises Forbidden if its role, or the new one, is more than the caller can hand on; Conflict for an
    archived project; NotFound for an account that was deleted a moment ago.
    """
    account = _locked(account)
    _check_role(account.role, giver)
    if role is not None:
        _check_role(role, giver)
    wanted = {"name": name, "role": role}
    before = {field: str(getattr(account, field)) for field in wanted}
    changes = {
        field: [before[field], str(value)] for field, value in wanted.items() if value not in (None, before[field])
    }
    if changes:
        for field, (_, after) in changes.items():
            setattr(account, field, after)
        account.save(update_fields=list(changes))
        _record(Action.SERVICE_ACCOUNT_UPDATED, account, actor, **changes)
    return account


@transaction.atomic
def delete_service_account(*, account: ServiceAccount, giver: Giver, actor: Actor) -> None:
    """
    Delete a service account and revoke its keys, everywhere within two seconds. The ledger keeps its id.

    Raises Forbidden for one of more rights than the caller can hand on, Conflict and NotFound as above.
    """
    account = _locked(account)
    _check_role(account.role, giver)
    for key in ApiKey.objects.in_project(account.project_id).filter(service_account=account, revoked_at=None):
        revoke_key(key=key, actor=actor)
    account.is_active = False
    account.save(update_fields=["is_active"])
    _record(Action.SERVICE_ACCOUNT_DELETED, account, actor, name=account.name)


@transaction.atomic
def create_account_key(
    *, account: ServiceAccount, name: str, giver: Giver, actor: Actor, **wanted: Any
) -> tuple[ApiKey, str]:
    """
    Make a key of a service account and return it with its secret; `wanted` is what `create_key` takes.

    Raises what `create_key` raises, Forbidden for an account of more rights than the caller can hand
    on, and NotFound for one that was deleted a moment ago.
    """
    account = _locked(account)
    _check_role(account.role, giver)
    return create_key(
        kind=KeyKind.SERVICE_ACCOUNT,
        name=name,
        place=account.project,
        holder=Holder(service_account=account),
        giver=giver,
        actor=actor,
        **wanted,
    )


def no_such_account() -> NotFound:
    return NotFound("There is no such service account.", code="service_account_not_found")


def _check_role(role: str, giver: Giver) -> None:
    if role != NO_ROLE:
        check_role(ProjectRole(role), giver.scopes)


def _locked(account: ServiceAccount) -> ServiceAccount:
    project = lock_active(account.project)
    locked: ServiceAccount | None = (
        ServiceAccount.objects.active_in(project).select_for_update(no_key=True).filter(pk=account.pk).first()
    )
    if locked is None:
        raise no_such_account()
    locked.project = project
    return locked


def _record(action: Action, account: ServiceAccount, actor: Actor, **details: Any) -> None:
    record(
        action,
        actor=actor,
        organization=account.project.organization.public_id,
        project=account.project.public_id,
        target_kind="service_account",
        target_id=account.public_id,
        **details,
    )

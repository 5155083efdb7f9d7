"""Writing the audit log. `record` runs inside the transaction of the change it tells of."""

from __future__ import annotations

from contextvars import ContextVar
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple

from django.db import transaction

from apps.audit.chain import link
from apps.audit.models import AuditEvent
from apps.core import logs
from apps.core.before_commit import before_commit
from apps.core.wall import reaching


class Action(StrEnum):
    """What can have happened, in OpenAI's words where it has one."""

    LOGIN_SUCCEEDED = "login.succeeded"
    LOGIN_FAILED = "login.failed"
    LOGOUT_SUCCEEDED = "logout.succeeded"
    TOKEN_REUSED = "token.reused"  # noqa: S105  an event
    TOKEN_REVOKED = "token.revoked"  # noqa: S105  an event
    USER_ADDED = "user.added"
    USER_UPDATED = "user.updated"
    USER_DELETED = "user.deleted"
    USER_UPGRADED = "user.upgraded"
    USER_DELETION_REQUESTED = "user.deletion_requested"
    DATA_EXPORT_CREATED = "data_export.created"
    DATA_EXPORT_DOWNLOADED = "data_export.downloaded"
    PASSWORD_CHANGED = "user.password_changed"  # noqa: S105  an event
    INVITE_SENT = "invite.sent"
    INVITE_ACCEPTED = "invite.accepted"
    INVITE_DELETED = "invite.deleted"
    SESSIONS_ENDED = "user.sessions_ended"
    MFA_RESET = "user.mfa_reset"
    MFA_ADDED = "user.mfa_added"
    MFA_REMOVED = "user.mfa_removed"
    EMAIL_VERIFIED = "user.email_verified"
    IDENTITY_DISCONNECTED = "user.identity_disconnected"
    IMPERSONATION_STARTED = "impersonation.started"
    IMPERSONATION_ENDED = "impersonation.ended"
    RATE_LIMIT_UPDATED = "rate_limit.updated"
    RATE_LIMIT_DELETED = "rate_limit.deleted"
    API_KEY_CREATED = "api_key.created"
    API_KEY_UPDATED = "api_key.updated"
    API_KEY_ROTATED = "api_key.rotated"
    API_KEY_DELETED = "api_key.deleted"
    ORGANIZATION_CREATED = "organization.created"
    ORGANIZATION_UPDATED = "organization.updated"
    ORGANIZATION_TRANSFERRED = "organization.transferred"
    ORGANIZATION_DELETED = "organization.deleted"
    ORGANIZATION_RESTORED = "organization.restored"
    ORGANIZATION_PURGED = "organization.purged"
    GROUP_CREATED = "group.created"
    GROUP_UPDATED = "group.updated"
    GROUP_DELETED = "group.deleted"
    ROLE_CREATED = "role.created"
    ROLE_UPDATED = "role.updated"
    ROLE_DELETED = "role.deleted"
    ROLE_ASSIGNMENT_CREATED = "role.assignment.created"
    ROLE_ASSIGNMENT_DELETED = "role.assignment.deleted"
    PROJECT_CREATED = "project.created"
    PROJECT_UPDATED = "project.updated"
    PROJECT_ARCHIVED = "project.archived"
    PROJECT_UNARCHIVED = "project.unarchived"
    PROJECT_DELETED = "project.deleted"
    CONVERSATION_OPENED = "conversation.opened"
    CONVERSATION_ARCHIVED = "conversation.archived"
    CONVERSATION_UNARCHIVED = "conversation.unarchived"
    CONVERSATION_DELETED = "conversation.deleted"
    CHAT_PROJECT_ARCHIVED = "chat_project.archived"
    CHAT_PROJECT_UNARCHIVED = "chat_project.unarchived"
    CHAT_PROJECT_DELETED = "chat_project.deleted"
    SHARE_CREATED = "share.created"
    SHARE_DELETED = "share.deleted"
    SERVICE_ACCOUNT_CREATED = "service_account.created"
    SERVICE_ACCOUNT_UPDATED = "service_account.updated"
    SERVICE_ACCOUNT_DELETED = "service_account.deleted"
    IDENTITY_PROVIDER_CREATED = "identity_provider.created"
    IDENTITY_PROVIDER_UPDATED = "identity_provider.updated"
    IDENTITY_PROVIDER_DELETED = "identity_provider.deleted"
    IDENTITY_CONNECTED = "user.identity_connected"
    SSO_DOMAIN_CREATED = "sso_domain.created"
    SSO_DOMAIN_UPDATED = "sso_domain.updated"
    SSO_DOMAIN_DELETED = "sso_domain.deleted"
    STAFF_ROLE_CREATED = "staff_role.created"
    STAFF_ROLE_UPDATED = "staff_role.updated"
    STAFF_ROLE_DELETED = "staff_role.deleted"
    PROVIDER_CREATED = "provider.created"
    PROVIDER_UPDATED = "provider.updated"
    PROVIDER_DELETED = "provider.deleted"
    MODEL_CREATED = "model.created"
    MODEL_UPDATED = "model.updated"
    MODEL_DELETED = "model.deleted"
    ROUTE_CREATED = "route.created"
    ROUTE_UPDATED = "route.updated"
    ROUTE_DELETED = "route.deleted"
    MODEL_ALIAS_CREATED = "model_alias.created"
    MODEL_ALIAS_UPDATED = "model_alias.updated"
    MODEL_ALIAS_DELETED = "model_alias.deleted"


class Actor(NamedTuple):
    """Who did it: a `user`, an `api_key`, or the `system` itself. `id` is a public id."""

    kind: str
    id: str = ""
    label: str = ""
    impersonator_id: str = ""


SYSTEM = Actor("system")

# The operator behind the request being served, while acting as the user who seems to make it.
impersonator: ContextVar[str] = ContextVar("impersonator", default="")


@transaction.atomic(savepoint=False)
def record(
    action: Action,
    *,
    actor: Actor,
    organization: str = "",
    project: str = "",
    target_kind: str = "",
    target_id: str = "",
    **details: Any,
) -> None:
    """
    Add an event. `organization`, `project` and `target_id` are public ids; `details` are JSON values, never secrets.

    The client's address, the request id and the operator acting as the user are those of the request being served.
    The event joins its organization's chain when the transaction commits.
    """
    event = AuditEvent(
        action=action,
        organization=organization,
        project=project,
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_label=actor.label,
        impersonator_id=actor.impersonator_id or impersonator.get(),
        target_kind=target_kind,
        target_id=target_id,
        details=details,
        address=logs.client_address.get() or "",
        request_id=logs.request_id.get() or "",
    )
    with reaching(organization, "an event of another organization or the platform"):
        event.save(force_insert=True)
    before_commit(("audit", organization), partial(link, organization), event.pk)

"""What a role may do: a table for organizations and one for projects, read everywhere and printed in the docs."""

from __future__ import annotations

from enum import StrEnum


class Scope(StrEnum):
    """
    A right that a route asks for and a credential carries.

    A right is held at a place. Held at an organization it holds in every project of it; held in a
    project it holds there and nowhere else, so the same word serves both: `members.write` in a
    project changes that project's members.
    """

    INFERENCE = "inference"
    MODELS_READ = "models.read"
    CONVERSATIONS_READ = "conversations.read"
    CONVERSATIONS_WRITE = "conversations.write"
    API_KEYS_READ = "api_keys.read"
    API_KEYS_WRITE = "api_keys.write"
    ORGANIZATION_READ = "organization.read"
    ORGANIZATION_WRITE = "organization.write"
    ORGANIZATION_DELETE = "organization.delete"
    MEMBERS_READ = "members.read"
    MEMBERS_WRITE = "members.write"
    INVITES_READ = "invites.read"
    INVITES_WRITE = "invites.write"
    GROUPS_READ = "groups.read"
    GROUPS_WRITE = "groups.write"
    ROLES_READ = "roles.read"
    ROLES_WRITE = "roles.write"
    PROJECTS_READ = "projects.read"
    PROJECTS_WRITE = "projects.write"
    ADMIN_KEYS_READ = "admin_keys.read"
    ADMIN_KEYS_WRITE = "admin_keys.write"
    SERVICE_ACCOUNTS_READ = "service_accounts.read"
    SERVICE_ACCOUNTS_WRITE = "service_accounts.write"
    RATE_LIMITS_READ = "rate_limits.read"
    RATE_LIMITS_WRITE = "rate_limits.write"
    USAGE_READ = "usage.read"
    AUDIT_LOGS_READ = "audit_logs.read"


class Role(StrEnum):
    """A member's role in an organization."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"


class ProjectRole(StrEnum):
    """A member's role in one project."""

    OWNER = "owner"
    MEMBER = "member"
    VIEWER = "viewer"


ALL = frozenset(Scope)
# Nothing changes and nothing is spent.
READING = frozenset(scope for scope in Scope if scope.endswith(".read"))

_EVERYBODY = frozenset({Scope.ORGANIZATION_READ, Scope.MEMBERS_READ, Scope.MODELS_READ})

# What a role holds at the organization. Members and viewers have the rest in their projects.
ROLE_SCOPES: dict[Role, frozenset[Scope]] = {
    Role.OWNER: ALL,
    Role.ADMIN: ALL - {Scope.ORGANIZATION_DELETE},
    Role.MEMBER: _EVERYBODY,
    Role.VIEWER: _EVERYBODY,
}

_PROJECT_VIEWER = frozenset(
    {
        Scope.MODELS_READ,
        Scope.CONVERSATIONS_READ,
        Scope.API_KEYS_READ,
        Scope.PROJECTS_READ,
        Scope.MEMBERS_READ,
        Scope.SERVICE_ACCOUNTS_READ,
        Scope.RATE_LIMITS_READ,
        Scope.USAGE_READ,
    }
)
_PROJECT_MEMBER = _PROJECT_VIEWER | {Scope.INFERENCE, Scope.CONVERSATIONS_WRITE, Scope.API_KEYS_WRITE}

# What a role holds in its project.
PROJECT_ROLE_SCOPES: dict[ProjectRole, frozenset[Scope]] = {
    ProjectRole.OWNER: _PROJECT_MEMBER
    | {
        Scope.PROJECTS_WRITE,
        Scope.MEMBERS_WRITE,
        Scope.SERVICE_ACCOUNTS_WRITE,
        Scope.GROUPS_READ,
        Scope.ROLES_READ,
        Scope.ROLES_WRITE,
    },
    ProjectRole.MEMBER: _PROJECT_MEMBER,
    ProjectRole.VIEWER: _PROJECT_VIEWER,
}

# Everybody in an organization is in its default project, as this.
DEFAULT_PROJECT_ROLES: dict[Role, ProjectRole] = {
    Role.OWNER: ProjectRole.OWNER,
    Role.ADMIN: ProjectRole.OWNER,
    Role.MEMBER: ProjectRole.MEMBER,
    Role.VIEWER: ProjectRole.VIEWER,
}

# A guest owns its organization and still mints and manages nothing.
GUEST_SCOPES = READING | {Scope.INFERENCE, Scope.CONVERSATIONS_WRITE}

# What can still be done in an archived project: look, and bring it back.
ARCHIVED_SCOPES = READING | {Scope.PROJECTS_WRITE}


class Permission(StrEnum):
    """The words for what a key may do, where clients need no finer ones."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


_ADMINISTERING = frozenset(
    {
        Scope.ORGANIZATION_WRITE,
        Scope.ORGANIZATION_DELETE,
        Scope.MEMBERS_WRITE,
        Scope.INVITES_WRITE,
        Scope.GROUPS_WRITE,
        Scope.ROLES_WRITE,
        Scope.ADMIN_KEYS_WRITE,
        Scope.RATE_LIMITS_WRITE,
    }
)

# Writing includes reading, administering includes both.
PERMISSION_SCOPES: dict[Permission, frozenset[Scope]] = {
    Permission.READ: READING,
    Permission.WRITE: ALL - _ADMINISTERING,
    Permission.ADMIN: ALL,
}


def permissions_of(scopes: frozenset[Scope]) -> list[Permission]:
    """Return the words for these rights: `read` if some of them read, `write` or `admin` if some do more."""
    writing = PERMISSION_SCOPES[Permission.WRITE] - READING
    words = ((Permission.READ, READING), (Permission.WRITE, writing), (Permission.ADMIN, _ADMINISTERING))
    return [word for word, those in words if scopes & those]

"""What a role may do: one table, read by every transport and printed in the docs."""

from __future__ import annotations

from enum import StrEnum


class Scope(StrEnum):
    """A right that a route asks for and a credential carries."""

    INFERENCE = "inference"
    MODELS_READ = "models.read"
    API_KEYS_READ = "api_keys.read"
    API_KEYS_WRITE = "api_keys.write"


class Role(StrEnum):
    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"


_MEMBER = frozenset({Scope.INFERENCE, Scope.MODELS_READ, Scope.API_KEYS_READ, Scope.API_KEYS_WRITE})

ROLE_SCOPES: dict[Role, frozenset[Scope]] = {
    Role.OWNER: _MEMBER,
    Role.ADMIN: _MEMBER,
    Role.MEMBER: _MEMBER,
    Role.VIEWER: frozenset({Scope.MODELS_READ, Scope.API_KEYS_READ}),
}


class Permission(StrEnum):
    """The two words for what a key may do, where clients need no finer ones."""

    READ = "read"
    WRITE = "write"


# Writing includes reading. A scope that is not listed under READ changes or costs something.
PERMISSION_SCOPES: dict[Permission, frozenset[Scope]] = {
    Permission.READ: frozenset({Scope.MODELS_READ, Scope.API_KEYS_READ}),
    Permission.WRITE: frozenset(Scope),
}

# A guest owns its organization and still mints nothing.
NOT_FOR_GUESTS = frozenset({Scope.API_KEYS_WRITE})


def scopes_of(role: str, *, is_guest: bool = False) -> frozenset[Scope]:
    """Return the rights of a role. A guest's are fewer."""
    scopes = ROLE_SCOPES[Role(role)]
    return scopes - NOT_FOR_GUESTS if is_guest else scopes


def permissions_of(scopes: frozenset[Scope]) -> list[Permission]:
    """Return the words for these rights: `read` if some of them read, `write` if some do more."""
    reading = PERMISSION_SCOPES[Permission.READ]
    return [word for word, some in ((Permission.READ, scopes & reading), (Permission.WRITE, scopes - reading)) if some]

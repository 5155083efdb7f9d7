"""Who is calling: one shape for HTTP, WebSocket and everything later."""

from __future__ import annotations

import msgspec

from apps.core.errors import Forbidden
from apps.organizations.roles import Scope


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """
    The caller, and the one (organization, project) it acts in.

    Made by `apps.api_keys.authentication.resolve` and nowhere else. It holds ids, not rows, so
    a cache may keep it. `is_guest`: has a guest's rights and limits, as an account also has until
    its address is confirmed. `expires_at` is unix seconds, None for a credential without an end.
    """

    user_id: str
    is_guest: bool
    organization_id: int
    organization_public_id: str
    project_id: int
    project_public_id: str
    scopes: frozenset[Scope]
    auth_method: str
    key_id: int | None = None
    key_public_id: str | None = None
    key_kind: str | None = None
    expires_at: float | None = None

    def require(self, scope: Scope) -> None:
        """Raise Forbidden unless the caller carries `scope`."""
        if scope not in self.scopes:
            raise Forbidden(f"This credential lacks the scope '{scope}'.", details={"required_scope": scope.value})

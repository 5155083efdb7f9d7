"""The default permission of every view: no declared scope, no entry."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from apps.core import wall
from apps.core.errors import Forbidden, Unauthenticated
from apps.organizations.principal import Principal

# For `required_scope`: any credential will do. For views that answer "who am I".
ANY_CREDENTIAL = "any credential"


def unauthenticated() -> Unauthenticated:
    """Return the refusal of a call without credentials."""
    return Unauthenticated(
        "No credential was sent. Send an API key as 'X-API-Key' or 'Authorization: Bearer <key>', "
        "or an access token as Bearer.",
        code="missing_credentials",
    )


def principal_of(request: Request) -> Principal:
    """Return the caller of a view that `HasScope` admitted."""
    if not isinstance(request.auth, Principal):
        raise unauthenticated()
    return request.auth


class HasScope(BasePermission):
    """
    Allow callers that carry the scope the view declares for the method.

    Where they must carry it is the view's word: `OrganizationView` asks at the organization,
    `ProjectView` in the project its path names, any other view in the caller's own project.
    From then on the database shows the caller's organization only. Views for any credential answer
    what a person is, which is a matter of all its organizations, so they see on.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        declared = getattr(view, "required_scope", None)
        scope = declared.get(request.method) if isinstance(declared, dict) else declared
        if scope is None:
            raise Forbidden("This route admits nobody.", code="closed")
        principal = principal_of(request)
        if scope != ANY_CREDENTIAL:
            require = getattr(view, "require", None)
            if require is None:
                principal.require(scope)
            else:
                require(principal, scope)
            wall.narrow(principal.organization_id, principal.organization_public_id)
        return True

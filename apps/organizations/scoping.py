"""What views of an organization's own things have in common."""

from __future__ import annotations

from rest_framework.views import APIView

from apps.core.errors import NotFound
from apps.organizations.models import Organization
from apps.organizations.permissions import principal_of
from apps.organizations.principal import Principal
from apps.organizations.roles import Scope


class OrganizationView(APIView):
    """
    A view of the organization the caller acts in, which is the one a path names if it does.

    `required_scope` must be held at the organization. Whoever serves it reads rows through
    `in_organization(self.organization_id)`.
    """

    def require(self, principal: Principal, scope: Scope) -> None:
        """Raise Forbidden unless the caller may do this at its organization."""
        if scope not in principal.organization_scopes:
            raise principal.refusal(scope)

    @property
    def principal(self) -> Principal:
        return principal_of(self.request)

    @property
    def organization_id(self) -> int:
        return self.principal.organization_id

    @property
    def organization(self) -> Organization:
        """Read the organization. Raises NotFound if it was deleted a moment ago."""
        found = Organization.objects.present().filter(pk=self.organization_id).first()
        if found is None:
            raise NotFound("There is no such organization.", code="organization_not_found")
        return found

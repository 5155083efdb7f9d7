"""What callers of the API can hand on: no more rights than they have at that place."""

from __future__ import annotations

from apps.organizations.members import Giver
from apps.organizations.principal import Principal
from apps.projects.models import default_project
from apps.projects.rights import NOTHING, grants_of


def giver_at_organization(principal: Principal) -> Giver:
    """Return what a caller can hand on at its organization."""
    default = default_project(principal.organization_id)
    return Giver(grants_of(principal, None), grants_of(principal, default) if default else NOTHING)

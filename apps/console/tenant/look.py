"""What stands at the top of the owners' site."""

from __future__ import annotations

from django.http import HttpRequest

from apps.console.tenant.tenancy import tenancy_of


def header(request: HttpRequest) -> str:
    """Return the organization's name."""
    tenancy = tenancy_of(request)
    return tenancy.organization.name if tenancy else "Jan Server"


def subheader(request: HttpRequest) -> str:
    """Return what the user is there."""
    tenancy = tenancy_of(request)
    return f"You are its {tenancy.membership.role}" if tenancy else ""

from __future__ import annotations

from django import template

from apps.accounts.models import User
from apps.console.tenant.tenancy import managed_by

register = template.Library()


@register.simple_tag
def manages_organizations(user: User) -> bool:
    """Say whether the owners' site has anything for a user."""
    return bool(managed_by(user))

"""What can be done with organizations' projects."""

from __future__ import annotations

from django.db import transaction

from apps.accounts.models import User
from apps.organizations.models import Membership, Organization
from apps.organizations.roles import Role
from apps.projects.models import Project

DEFAULT_PROJECT_NAME = "Default project"


@transaction.atomic
def create_organization(*, name: str, owner: User, is_personal: bool = False) -> Organization:
    """Make an organization with its owner and its default project."""
    organization = Organization.objects.create(name=name, is_personal=is_personal)
    Membership.objects.create(user=owner, organization=organization, role=Role.OWNER)
    Project.objects.create(organization=organization, name=DEFAULT_PROJECT_NAME, is_default=True)
    return organization


def provision_personal_tenant(user: User) -> Organization:
    """Give a new account what every account has: an organization of its own with a default project."""
    return create_organization(name=f"{user.get_short_name()}'s organization"[:128], owner=user, is_personal=True)

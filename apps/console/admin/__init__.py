"""Tenancy in the admin: organizations, who is in them, and what they have."""

from apps.console.admin import (
    conversations,
    groups,
    invites,
    limits,
    members,
    organizations,
    project_members,
    projects,
    roles,
    service_accounts,
    shares,
)

__all__ = [
    "conversations",
    "groups",
    "invites",
    "limits",
    "members",
    "organizations",
    "project_members",
    "projects",
    "roles",
    "service_accounts",
    "shares",
]

"""Tenancy in the admin: organizations, who is in them, and what they have."""

from apps.console.admin import invites, members, organizations, project_members, projects

__all__ = ["invites", "members", "organizations", "project_members", "projects"]

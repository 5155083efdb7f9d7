"""Routes of members, groups and roles, at organizations and in projects."""

from __future__ import annotations

from django.urls import URLPattern, path

from apps.projects.group_views import GroupsView, GroupUsersView, GroupUserView, GroupView
from apps.projects.organization_user_views import OrganizationUsersView, OrganizationUserView
from apps.projects.organization_views import LeaveView, TransferView
from apps.projects.project_group_views import ProjectGroupsView, ProjectGroupView
from apps.projects.role_assignment_views import (
    GroupRolesView,
    GroupRoleView,
    ProjectGroupRolesView,
    ProjectGroupRoleView,
    ProjectUserRolesView,
    ProjectUserRoleView,
    UserRolesView,
    UserRoleView,
)
from apps.projects.role_views import ProjectRolesView, ProjectRoleView, RolesView, RoleView

organization_urlpatterns: list[URLPattern] = [
    path("transfer", TransferView.as_view()),
    path("leave", LeaveView.as_view()),
    path("users", OrganizationUsersView.as_view()),
    path("users/<str:user_id>", OrganizationUserView.as_view()),
    path("users/<str:user_id>/roles", UserRolesView.as_view()),
    path("users/<str:user_id>/roles/<str:role_id>", UserRoleView.as_view()),
    path("groups", GroupsView.as_view()),
    path("groups/<str:group_id>", GroupView.as_view()),
    path("groups/<str:group_id>/users", GroupUsersView.as_view()),
    path("groups/<str:group_id>/users/<str:user_id>", GroupUserView.as_view()),
    path("groups/<str:group_id>/roles", GroupRolesView.as_view()),
    path("groups/<str:group_id>/roles/<str:role_id>", GroupRoleView.as_view()),
    path("roles", RolesView.as_view()),
    path("roles/<str:role_id>", RoleView.as_view()),
    path("projects/<str:project_id>/groups", ProjectGroupsView.as_view()),
    path("projects/<str:project_id>/groups/<str:group_id>", ProjectGroupView.as_view()),
]
# OpenAI's SDK looks for the roles of projects outside of the organization.
project_urlpatterns: list[URLPattern] = [
    path("<str:project_id>/roles", ProjectRolesView.as_view()),
    path("<str:project_id>/roles/<str:role_id>", ProjectRoleView.as_view()),
    path("<str:project_id>/users/<str:user_id>/roles", ProjectUserRolesView.as_view()),
    path("<str:project_id>/users/<str:user_id>/roles/<str:role_id>", ProjectUserRoleView.as_view()),
    path("<str:project_id>/groups/<str:group_id>/roles", ProjectGroupRolesView.as_view()),
    path("<str:project_id>/groups/<str:group_id>/roles/<str:role_id>", ProjectGroupRoleView.as_view()),
]

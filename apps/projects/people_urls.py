"""Routes of members, groups and roles, at organizations and in projects."""

from __future__ import annotations

from django.urls import URLPattern, path

from apps.projects.organization_user_views import OrganizationUsersView, OrganizationUserView
from apps.projects.organization_views import LeaveView, TransferView

organization_urlpatterns: list[URLPattern] = [
    path("transfer", TransferView.as_view()),
    path("leave", LeaveView.as_view()),
    path("users", OrganizationUsersView.as_view()),
    path("users/<str:user_id>", OrganizationUserView.as_view()),
]
project_urlpatterns: list[URLPattern] = []

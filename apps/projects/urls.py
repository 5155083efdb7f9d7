from django.urls import URLPattern, path

from apps.projects.project_views import ArchiveView, ProjectDetailView, ProjectsView, UnarchiveView
from apps.projects.views import UpgradeView

auth_urlpatterns = [path("upgrade", UpgradeView.as_view())]
organization_urlpatterns: list[URLPattern] = [
    path("projects", ProjectsView.as_view()),
    path("projects/<str:project_id>", ProjectDetailView.as_view()),
    path("projects/<str:project_id>/archive", ArchiveView.as_view()),
    path("projects/<str:project_id>/unarchive", UnarchiveView.as_view()),
]
# OpenAI's SDK looks for the roles of projects outside of the organization.
project_urlpatterns: list[URLPattern] = []

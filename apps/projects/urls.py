from django.urls import URLPattern, path

from apps.projects.views import UpgradeView

auth_urlpatterns = [path("upgrade", UpgradeView.as_view())]
organization_urlpatterns: list[URLPattern] = []
# OpenAI's SDK looks for the roles of projects outside of the organization.
project_urlpatterns: list[URLPattern] = []

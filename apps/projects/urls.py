from django.urls import path

from apps.projects.views import UpgradeView

auth_urlpatterns = [path("upgrade", UpgradeView.as_view())]

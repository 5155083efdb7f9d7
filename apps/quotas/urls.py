from django.urls import path

from apps.quotas.views import RateLimitsView, RateLimitView

organization_urlpatterns = [
    path("projects/<str:project_id>/rate_limits", RateLimitsView.as_view()),
    path("projects/<str:project_id>/rate_limits/<str:rate_limit_id>", RateLimitView.as_view()),
]

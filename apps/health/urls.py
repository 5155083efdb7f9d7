from django.urls import path

from apps.health.views import (
    HealthcheckView,
    HealthView,
    LivenessView,
    MetricsView,
    ReadinessView,
    StatusView,
    VersionView,
)

# At the root.
root_urlpatterns = [
    path("health", HealthView.as_view()),
    path("healthz", LivenessView.as_view()),
    path("healthcheck", HealthcheckView.as_view()),
    path("readyz", ReadinessView.as_view()),
    path("metrics", MetricsView.as_view()),
]

# Below /v1.
urlpatterns = [
    path("healthz", LivenessView.as_view()),
    path("readyz", ReadinessView.as_view()),
    path("version", VersionView.as_view()),
    path("status", StatusView.as_view()),
]

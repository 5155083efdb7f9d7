from django.urls import URLPattern, path

from apps.api_keys.identity_views import MeView, UserProfileView, ValidateApiKeyView, ValidateView
from apps.api_keys.views import (
    ApiKeysView,
    ApiKeyView,
    RotationView,
    UserApiKeysView,
    UserApiKeyView,
    UserRotationView,
)

auth_urlpatterns = [
    path("me", MeView.as_view()),
    path("validate", ValidateView.as_view()),
    path("validate-api-key", ValidateApiKeyView.as_view()),
    path("api-keys", ApiKeysView.as_view()),
    path("api-keys/<str:key_id>", ApiKeyView.as_view()),
    path("api-keys/<str:key_id>/rotate", RotationView.as_view()),
]
user_urlpatterns = [
    path("profile", UserProfileView.as_view()),
    path("api-keys", UserApiKeysView.as_view()),
    path("api-keys/<str:key_id>", UserApiKeyView.as_view()),
    path("api-keys/<str:key_id>/rotate", UserRotationView.as_view()),
]
organization_urlpatterns: list[URLPattern] = []

from django.urls import path

from apps.api_keys.views import ApiKeysView, ApiKeyView, MeView

auth_urlpatterns = [
    path("me", MeView.as_view()),
    path("api-keys", ApiKeysView.as_view()),
    path("api-keys/<str:key_id>", ApiKeyView.as_view()),
]

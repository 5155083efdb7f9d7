from django.urls import path

from apps.usage.views import CompletionsUsageView, EmbeddingsUsageView

organization_urlpatterns = [
    path("usage/completions", CompletionsUsageView.as_view()),
    path("usage/embeddings", EmbeddingsUsageView.as_view()),
]

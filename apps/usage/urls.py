from django.urls import path

from apps.usage import pages
from apps.usage.views import CompletionsUsageView, EmbeddingsUsageView

organization_urlpatterns = [
    path("usage/completions", CompletionsUsageView.as_view()),
    path("usage/embeddings", EmbeddingsUsageView.as_view()),
]
# Under accounts/.
page_urlpatterns = [path("usage/", pages.own_usage, name="account_usage")]

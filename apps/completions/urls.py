from django.urls import URLPattern, path

from apps.completions.views import CompletionMessagesView, CompletionsView, CompletionView

# POST on the first one is a model call, which the edge serves.
urlpatterns: list[URLPattern] = [
    path("chat/completions", CompletionsView.as_view()),
    path("chat/completions/<str:completion_id>", CompletionView.as_view()),
    path("chat/completions/<str:completion_id>/messages", CompletionMessagesView.as_view()),
]

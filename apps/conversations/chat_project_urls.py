from django.urls import URLPattern, path

from apps.conversations.chat_project_views import ChatProjectConversationsView, ChatProjectsView, ChatProjectView

# Beside the roles of an organization's projects, which OpenAI's SDK looks for below /v1/projects/{id}/.
urlpatterns: list[URLPattern] = [
    path("projects", ChatProjectsView.as_view()),
    path("projects/<str:project_id>", ChatProjectView.as_view()),
    path("projects/<str:project_id>/conversations", ChatProjectConversationsView.as_view()),
]

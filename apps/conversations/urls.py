from django.urls import path

from apps.conversations.branch_views import BranchActivationView, BranchesView, BranchView
from apps.conversations.item_views import ItemsView, ItemView, MessagesView, MessageView
from apps.conversations.views import ConversationsView, ConversationView

# Under conversations.
conversation_urlpatterns = [
    path("conversations", ConversationsView.as_view()),
    path("conversations/<str:conversation_id>", ConversationView.as_view()),
    path("conversations/<str:conversation_id>/items", ItemsView.as_view()),
    path("conversations/<str:conversation_id>/items/<str:item_id>", ItemView.as_view()),
    path("conversations/<str:conversation_id>/messages", MessagesView.as_view()),
    path("conversations/<str:conversation_id>/messages/<str:item_id>", MessageView.as_view()),
    path("conversations/<str:conversation_id>/branches", BranchesView.as_view()),
    path("conversations/<str:conversation_id>/branches/<str:name>", BranchView.as_view()),
    path("conversations/<str:conversation_id>/branches/<str:name>/activate", BranchActivationView.as_view()),
]

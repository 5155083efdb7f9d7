from django.urls import path

from apps.conversations.consumers import ConversationConsumer

websocket_urlpatterns = [path("ws/v1/conversations/<str:conversation_id>", ConversationConsumer.as_asgi())]

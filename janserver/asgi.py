"""The one ASGI application: the edge in front of Channels and Django."""

import os
from typing import cast

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "janserver.settings.embedded")

from channels.routing import URLRouter
from django.core.asgi import get_asgi_application

django = get_asgi_application()

from apps.chat import routing as chat
from apps.conversations import routing as conversations
from apps.edge.app import App, Edge
from apps.edge.lifespan import Application

sockets = URLRouter([*chat.websocket_urlpatterns, *conversations.websocket_urlpatterns])
application = Application(Edge(cast(App, django), cast(App, sockets)))

"""The one ASGI application: the edge in front of Channels and Django."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "janserver.settings.embedded")

from channels.routing import URLRouter
from django.core.asgi import get_asgi_application

django = get_asgi_application()

from apps.chat.routing import websocket_urlpatterns
from apps.edge.app import Edge
from apps.edge.lifespan import Application

application = Application(Edge(django, URLRouter(websocket_urlpatterns)))

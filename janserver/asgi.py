"""The one ASGI application: the edge in front of Channels and Django."""

import os
from typing import cast

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "janserver.settings.embedded")

from channels.routing import URLRouter
from django.core.asgi import get_asgi_application

django = get_asgi_application()

from apps.chat.routing import websocket_urlpatterns
from apps.edge.app import App, Edge
from apps.edge.lifespan import Application

application = Application(Edge(cast(App, django), cast(App, URLRouter(websocket_urlpatterns))))

"""The Celery application. Messages are doorbells: what has to be done is always a row."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "janserver.settings.embedded")

app = Celery("janserver")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
# Without this, pool threads of a worker inside the web process retry against a default AMQP broker.
app.set_default()

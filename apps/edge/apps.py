from django.apps import AppConfig


class EdgeConfig(AppConfig):
    name = "apps.edge"
    verbose_name = "Edge"

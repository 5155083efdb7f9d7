from importlib import import_module

from django.apps import AppConfig


class SSOConfig(AppConfig):
    name = "apps.sso"
    verbose_name = "Single sign-on"

    def ready(self) -> None:
        import_module("apps.sso.events")

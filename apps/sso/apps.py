from django.apps import AppConfig


class SSOConfig(AppConfig):
    name = "apps.sso"
    verbose_name = "Single sign-on"

from django.apps import AppConfig


class UserSettingsConfig(AppConfig):
    name = "apps.user_settings"
    verbose_name = "User settings"

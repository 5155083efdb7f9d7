from django.apps import AppConfig


class PromptingConfig(AppConfig):
    name = "apps.prompting"
    verbose_name = "Prompting"

from django.apps import AppConfig


class ApiKeysConfig(AppConfig):
    name = "apps.api_keys"
    verbose_name = "API keys"

    def ready(self) -> None:
        # Registers itself with drf-spectacular when it is imported.
        import apps.api_keys.openapi  # noqa: F401, PLC0415

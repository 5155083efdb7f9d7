from importlib import import_module

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "apps.accounts"
    verbose_name = "Accounts"

    def ready(self) -> None:
        import_module("apps.accounts.checks")
        import_module("apps.accounts.events")
        import_module("apps.accounts.mfa_events")

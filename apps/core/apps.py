from django.apps import AppConfig
from django.core.checks import Tags, register
from django.db.models import Field
from django.db.models.signals import post_migrate

from apps.core.lookups import BeginsWith
from apps.core.policies import check_role, install_policies


class CoreConfig(AppConfig):
    name = "apps.core"
    verbose_name = "Core"

    def ready(self) -> None:
        post_migrate.connect(install_policies, sender=self)
        register(check_role, Tags.database)
        Field.register_lookup(BeginsWith)

from django.apps import AppConfig
from django.db.models.signals import post_migrate

from apps.conversations.search_index import install_search


class ConversationsConfig(AppConfig):
    name = "apps.conversations"

    def ready(self) -> None:
        post_migrate.connect(install_search, sender=self)

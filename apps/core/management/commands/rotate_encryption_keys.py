from typing import Any

from django.core.management.base import BaseCommand

from apps.core.sealing import rotate_data_keys


class Command(BaseCommand):
    help = "Wrap every data key with the first key of MODEL_PROVIDER_SECRET. Afterwards the older ones can go."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{rotate_data_keys()} data keys were wrapped anew.")

from typing import Any

from django.core.management.base import BaseCommand

from apps.accounts import signing_keys


class Command(BaseCommand):
    help = (
        "Make a new key that signs tokens. Tokens signed with the older ones stay good until they expire. "
        "Where the keys are in the environment, prints the value to set."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        value = signing_keys.rotate()
        if value is None:
            ring = signing_keys.key_ring()
            self.stdout.write(f"New tokens are signed with {ring.newest.kid}; {len(ring.keys) - 1} older keys verify.")
        else:
            self.stdout.write(value)

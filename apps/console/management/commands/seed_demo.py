import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.console.demo_world import build
from apps.core.errors import AppError


class Command(BaseCommand):
    help = (
        "Make two organizations with people, projects, keys of every kind and a month of usage, and print their "
        "secrets. Can be run again, also beside the running server: then every key has a new secret."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", dest="as_json", help="Print one JSON object.")

    def handle(self, *args: Any, as_json: bool, **options: Any) -> None:
        try:
            world = build()
        except AppError as problem:
            raise CommandError(problem.message) from problem
        if as_json:
            self.stdout.write(json.dumps(world))
        else:
            self._print(world)

    def _print(self, world: dict[str, Any]) -> None:
        self.stdout.write(world["base_url"])
        for organization in world["organizations"]:
            self.stdout.write(f"\n{organization['name']} ({organization['id']})")
            for user in organization["users"]:
                self.stdout.write(f"  {user['role']:16} {user['email']}\n    {user['access_token']}")
            for key in organization["keys"]:
                self.stdout.write(f"  {key['name']:16} {key['key']}")

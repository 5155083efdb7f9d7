"""`manage.py provider add|list|sync|test`."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.catalog.models import Provider, ProviderKind
from apps.catalog.services import ProviderDoesNotAnswer, add_provider, sync_provider, test_provider
from apps.core.errors import AppError
from apps.organizations.models import Organization


class Command(BaseCommand):
    help = "Manage the providers that answer model calls."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        add = actions.add_parser("add", help="register a provider and read its models")
        add.add_argument("--name", required=True)
        kinds = [kind.value for kind in ProviderKind if kind != ProviderKind.DEMO]
        add.add_argument("--kind", choices=kinds, default=ProviderKind.CUSTOM.value)
        add.add_argument("--base-url", required=True, help="up to and including /v1")
        add.add_argument("--api-key", default="", help="'-' reads it from standard input")
        add.add_argument("--organization", help="an org_ id; without it the provider serves everybody")
        add.add_argument("--enable-models", action="store_true", help="models can be called at once")
        actions.add_parser("list", help="show the providers")
        for action, text in (("sync", "read the models again"), ("test", "ask whether it answers")):
            actions.add_parser(action, help=text).add_argument("name", help="a provider's name or prov_ id")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        try:
            {"add": self._add, "list": self._list, "sync": self._sync, "test": self._test}[action](options)
        except (AppError, ProviderDoesNotAnswer) as problem:
            raise CommandError(str(problem)) from None

    def _add(self, options: dict[str, Any]) -> None:
        api_key = sys.stdin.readline().strip() if options["api_key"] == "-" else options["api_key"]
        provider = add_provider(
            name=options["name"],
            kind=ProviderKind(options["kind"]),
            base_url=options["base_url"],
            credential=api_key,
            organization=_organization(options["organization"]),
            enables_new_models=options["enable_models"],
        )
        self.stdout.write(f"Added {provider.public_id}.")
        self._report(provider)

    def _list(self, options: dict[str, Any]) -> None:
        for provider in Provider.objects.select_related("organization"):
            state = "active" if provider.is_active else "inactive"
            owner = provider.organization.public_id if provider.organization else "platform"
            facts = (provider.public_id, provider.name, provider.kind, provider.base_url or "-", state, owner)
            self.stdout.write("  ".join(facts))

    def _sync(self, options: dict[str, Any]) -> None:
        self._report(_provider(options["name"]))

    def _test(self, options: dict[str, Any]) -> None:
        result = test_provider(_provider(options["name"]))
        if not result.ok:
            raise CommandError(result.message)
        self.stdout.write(f"{result.message} ({result.milliseconds} ms)")

    def _report(self, provider: Provider) -> None:
        result = sync_provider(provider)
        self.stdout.write(
            f"Models: {len(result.added)} added, {len(result.updated)} known, {len(result.missing)} gone."
        )


def _organization(public_id: str | None) -> Organization | None:
    if public_id is None:
        return None
    found: Organization | None = Organization.objects.filter(public_id=public_id).first()
    if found is None:
        raise CommandError(f"There is no organization {public_id}.")
    return found


def _provider(name: str) -> Provider:
    """Find a provider by its public id, or by a name only it has. The demo is no server to ask."""
    served = Provider.objects.exclude(kind=ProviderKind.DEMO)
    found: list[Provider] = list(served.filter(public_id=name) or served.filter(name=name))
    if not found:
        raise CommandError(f"There is no provider {name}. `manage.py provider list` shows them.")
    if len(found) > 1:
        raise CommandError(f"There are {len(found)} providers named {name}. Use the prov_ id.")
    return found[0]

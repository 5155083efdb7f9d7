import asyncio
from typing import Any
from urllib.parse import urlsplit

from django.core.management.base import BaseCommand, CommandParser

from apps.core.egress import addresses_of, check_url, judge
from apps.core.errors import BadRequest


class Command(BaseCommand):
    help = "Say whether the guarded client would call a URL, and why. Connects to nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("url")

    def handle(self, *args: Any, url: str, **options: Any) -> None:
        try:
            check_url(url)
        except (BadRequest, ValueError) as problem:
            self.stdout.write(f"deny {url}: {problem}")
            return
        parts = urlsplit(url)
        host = parts.hostname or ""
        try:
            addresses = asyncio.run(addresses_of(host, parts.port or (443 if parts.scheme == "https" else 80)))
        except OSError as problem:
            self.stdout.write(f"deny {host}: does not resolve ({problem})")
            return
        for address in addresses:
            verdict = judge(address)
            self.stdout.write(f"{'allow' if verdict.allowed else 'deny'} {host} -> {address}: {verdict.rule}")

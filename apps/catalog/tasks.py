from __future__ import annotations

import logging

from celery import shared_task

from apps.catalog.models import Provider, ProviderKind
from apps.catalog.services import ProviderDoesNotAnswer, sync_provider

log = logging.getLogger("jan.catalog")


@shared_task(name="apps.catalog.tasks.sync_providers", ignore_result=True)  # type: ignore[untyped-decorator]  # no types
def sync_providers() -> None:
    """Hourly: bring the models of every active provider in line. One that is away is logged and passed over."""
    for provider in Provider.objects.filter(is_active=True).exclude(kind=ProviderKind.DEMO):
        try:
            sync_provider(provider)
        except ProviderDoesNotAnswer as problem:
            log.warning("provider %s was not synced: %s", provider, problem)

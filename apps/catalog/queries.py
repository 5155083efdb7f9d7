"""What a caller can call."""

from __future__ import annotations

from typing import NamedTuple

from django.db.models import Prefetch, Q

from apps.catalog.models import Model, ModelAlias, ProviderKind, Route


class Listed(NamedTuple):
    """A name a caller can use, and the model behind it."""

    name: str
    model: Model
    is_demo: bool


def callable_models(organization_id: int | None) -> list[Listed]:
    """
    Return every name that can be called: the platform's, and the organization's own, which win.

    Three queries, however many models there are. None: the platform's only.
    """
    owner = Q(organization=None) | Q(organization_id=organization_id) if organization_id else Q(organization=None)
    routes = Route.objects.callable().select_related("provider").order_by("priority", "id")
    models = Model.objects.filter(owner, is_active=True).prefetch_related(Prefetch("routes", queryset=routes))
    names: dict[str, Listed] = {}
    by_pk: dict[int, Listed] = {}
    for model in sorted(models, key=lambda each: each.organization_id is not None):
        reachable = list(model.routes.all())
        if reachable:
            listed = Listed(model.model_id, model, reachable[0].provider.kind == ProviderKind.DEMO)
            names[model.model_id] = by_pk[model.pk] = listed
    for alias in ModelAlias.objects.filter(owner):
        target = by_pk.get(alias.model_id)
        if target is not None:
            names.setdefault(alias.alias, target._replace(name=alias.alias))
    return [names[name] for name in sorted(names)]

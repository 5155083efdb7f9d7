"""What a caller can call."""

from __future__ import annotations

from typing import NamedTuple

from django.db.models import Prefetch, Q

from apps.api_keys.authentication import Credentials, resolve
from apps.catalog.models import Capability, Model, ModelAlias, ProviderKind, Route
from apps.core.errors import AppError


class Listed(NamedTuple):
    """A name a caller can use, and the model behind it."""

    name: str
    model: Model
    is_demo: bool


def name_to_try(token: str) -> str:
    """
    Return what whoever holds a key can call first: its project's default model, or else one that talks.

    Empty if there is none, or if the key was ended just now.
    """
    try:
        principal = resolve(Credentials(api_key=token))
    except AppError:
        principal = None
    if principal is None:
        return ""
    names = [
        listed.name
        for listed in callable_models(principal.organization_id)
        if principal.may_call(listed.name, listed.model.model_id)
        and Capability.CHAT in (listed.model.capabilities or [Capability.CHAT])
    ]
    return principal.default_model if principal.default_model in names else next(iter(names), "")


def callable_models(organization_id: int | None) -> list[Listed]:
    """
    Return every name that can be called: the organization's own models and aliases, then the platform's.

    A name stands for what a call to it reaches. Three queries, however many models there are.
    None: the platform's only.
    """
    owner = Q(organization=None) | Q(organization_id=organization_id) if organization_id else Q(organization=None)
    routes = Route.objects.callable().select_related("provider").order_by("priority", "id")
    models = Model.objects.filter(owner, is_active=True).prefetch_related(Prefetch("routes", queryset=routes))
    by_pk: dict[int, Listed] = {}
    for model in models:
        reachable = list(model.routes.all())
        if reachable:
            by_pk[model.pk] = Listed(model.model_id, model, reachable[0].provider.kind == ProviderKind.DEMO)
    aliases = [alias for alias in ModelAlias.objects.filter(owner) if alias.model_id in by_pk]
    names: dict[str, Listed] = {}
    for owner_id in (organization_id, None):  # like the routing table: one's own first, models before aliases
        for listed in by_pk.values():
            if listed.model.organization_id == owner_id:
                names.setdefault(listed.name, listed)
        for alias in aliases:
            if alias.organization_id == owner_id:
                names.setdefault(alias.alias, by_pk[alias.model_id]._replace(name=alias.alias))
    return [names[name] for name in sorted(names)]

"""Which limits a model call counts in, over HTTP and WebSocket alike."""

from __future__ import annotations

from apps.catalog.snapshot import Routing
from apps.core.errors import NotFound
from apps.gateway.calls import Call
from apps.gateway.runtime import Runtime
from apps.organizations.principal import Principal
from apps.quotas.models import ALL_MODELS
from apps.quotas.snapshot import Place
from apps.ratelimit.policy import Caller, Window, windows_for


def windows_of_call(runtime: Runtime, principal: Principal, call: Call, path: str, address: str) -> tuple[Window, ...]:
    """
    Return the table's windows, and those set for the caller's organization, project and key. No query.

    `path` is the canonical one that was called.
    """
    # What a key's ephemeral ones use is used by it.
    place = Place(principal.organization_id, principal.project_id, principal.parent_key_id or principal.key_id)
    caller = Caller(
        address=address,
        user_id=principal.user_id,
        key_id=principal.key_public_id,
        is_guest=principal.is_guest,
        has_own_limits=runtime.quotas.has_own(place.key_id),
    )
    model = _model_of(runtime.routing, principal.organization_id, call.model)
    return windows_for("POST", path, caller) + runtime.quotas.windows_of(place, model)


def _model_of(routing: Routing, organization_id: int, name: str) -> str:
    try:
        return routing.find(organization_id, name).model_id
    except NotFound:
        return ALL_MODELS

"""An event as OpenAI's audit log shows it, with what proves its place in the chain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from apps.audit.chain import content_of
from apps.audit.event_types import type_of
from apps.audit.models import AuditEvent

# What OpenAI calls a field that we call otherwise.
_THEIR_WORDS = {"project": {"name": "title"}, "group": {"name": "group_name"}, "role": {"name": "role_name"}}


class Known(NamedTuple):
    """What an event only has the ids of: names of projects, and the holders of keys as OpenAI shows them."""

    projects: Mapping[str, str]
    holders: Mapping[str, dict[str, Any]]


def document(event: AuditEvent, effective_at: int | str | None, known: Known) -> dict[str, Any]:
    """Return an event with its `link` read along. `record` is what its hash covers, word for word."""
    kind, link = type_of(event.action), getattr(event, "link", None)
    return {
        "id": event.public_id,
        "object": "organization.audit_log",
        "type": kind,
        "type_detail": event.action,
        "effective_at": effective_at,
        "actor": _actor(event, known.holders),
        "project": {"id": event.project, "name": known.projects.get(event.project)} if event.project else None,
        kind: _payload(event, kind),
        "request_id": event.request_id or None,
        "sequence": link.sequence if link else None,
        "previous_hash": link.previous_hash if link else None,
        "hash": link.hash if link else None,
        "record": content_of(event),
    }


def _actor(event: AuditEvent, holders: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    address = event.address or None
    if event.actor_kind == "user":
        email = event.actor_label if "@" in event.actor_label else None
        session = {"user": {"id": event.actor_id, "email": email}, "ip_address": address}
        return {"type": "session", "session": {**session, "impersonator_id": event.impersonator_id or None}}
    if event.actor_kind == "api_key":
        key = {"id": event.actor_id, "name": event.actor_label, "ip_address": address}
        return {"type": "api_key", "api_key": {**key, **holders.get(event.actor_id, {"type": None})}}
    # OpenAI knows no third type, but an actor without one.
    return {"type": None, "kind": event.actor_kind}


def _payload(event: AuditEvent, kind: str) -> dict[str, Any]:
    if kind != event.action:
        return {"id": event.target_id, "data": event.details}
    words = _THEIR_WORDS.get(event.action.partition(".")[0], {})
    if event.action.endswith(".updated"):
        return {"id": event.target_id, **_changes(event.details, words)}
    details = {
        **event.details,
        **{theirs: event.details[ours] for ours, theirs in words.items() if ours in event.details},
    }
    if event.action.startswith("role."):
        # OpenAI's events of roles have no `data`.
        return {"id": event.target_id, "resource_id": event.project or event.organization, **details}
    return {"id": event.target_id, "data": details}


def _changes(details: dict[str, Any], words: dict[str, str]) -> dict[str, Any]:
    """Return what was asked for and what was there before; what is no change is a fact beside them."""
    pairs = {field: pair for field, pair in details.items() if isinstance(pair, list) and len(pair) == 2}
    before = {field: pair[0] for field, pair in pairs.items()}
    after = {field: pair[1] for field, pair in pairs.items()}
    asked = _in_both_words(after, words)
    if isinstance(after.get("permissions"), list):
        old, new = set(before["permissions"] or ()), set(after["permissions"])
        asked.update(permissions_added=sorted(new - old), permissions_removed=sorted(old - new))
    facts = {field: value for field, value in details.items() if field not in pairs}
    return {"changes_requested": asked, "changes_from": before, "data": facts}


def _in_both_words(fields: dict[str, Any], words: dict[str, str]) -> dict[str, Any]:
    return {**fields, **{theirs: fields[ours] for ours, theirs in words.items() if ours in fields}}

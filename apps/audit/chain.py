"""The chains of hashes: how events join them, and how to see that nothing was changed since."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from django.db.models import F, OuterRef, Q, QuerySet, Subquery

from apps.audit.models import AuditChain, AuditEvent, AuditLink
from apps.core.wall import reaching

_BATCH = 1000
_MAX_SHOWN = 100


class Break(NamedTuple):
    """A place where a chain does not hold: an event's id or, where there is none, the place's number."""

    organization: str
    place: str
    problem: str


def digest(event: AuditEvent, sequence: int, previous_hash: str) -> str:
    """
    Return the hash of an event at a place.

    It never changes, or every link would be broken. Empty columns are left out, so that one added
    later does not change the hash of the events before it.
    """
    text = json.dumps([content_of(event), sequence, previous_hash], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def content_of(event: AuditEvent) -> dict[str, Any]:
    """Return what an event's hash covers. Not its row's number, so that tenants can be shown all of it."""
    columns = {field.attname: getattr(event, field.attname) for field in event._meta.concrete_fields}
    del columns["id"]
    return {name: _plain(value) for name, value in columns.items() if value not in ("", None, {})}


def _plain(value: Any) -> Any:
    return value.astimezone(datetime.UTC).isoformat() if isinstance(value, datetime.datetime) else value


def link(organization: str, event_ids: list[int]) -> None:
    """Add events to the end of an organization's chain. Locks the chain, so it is the last thing of a transaction."""
    with reaching(organization, "the chain of another organization or the platform"):
        # Read again: what is hashed is what the database holds.
        events = list(AuditEvent.objects.filter(pk__in=event_ids).order_by("pk"))
        chain, links = _locked(organization), []
        for event in events:
            here = AuditLink(event=event, organization=organization, previous_hash=chain.hash)
            chain.sequence = here.sequence = chain.sequence + 1
            chain.hash = here.hash = digest(event, here.sequence, here.previous_hash)
            links.append(here)
        AuditLink.objects.bulk_create(links)
        chain.save(update_fields=["sequence", "hash"])


def _locked(organization: str) -> AuditChain:
    chains = AuditChain.objects.select_for_update().filter(organization=organization)
    if (chain := chains.first()) is None:
        # The very first event. Two transactions may both come here.
        AuditChain.objects.bulk_create([AuditChain(organization=organization)], ignore_conflicts=True)
        chain = chains.get()
    return chain


def verify(organization: str | None = None) -> list[Break]:
    """
    Walk every chain, or one organization's ('' is the platform), and return the first break of each.

    Also returned are events in no chain and links past a chain's end, a hundred of each at most.
    """
    chains, links, events = (
        AuditChain.objects.order_by("organization"),
        AuditLink.objects.all(),
        AuditEvent.objects.all(),
    )
    if organization is not None:
        chains = chains.filter(organization=organization)
        links = links.filter(organization=organization)
        events = events.in_organization(organization)
    breaks = [found for chain in chains.iterator() if (found := _first_break(chain)) is not None]
    return [*breaks, *_beyond(links), *_unlinked(events)]


def _first_break(chain: AuditChain) -> Break | None:
    sequence, previous = 0, ""
    for here in _links_of(chain):
        if here.sequence != sequence + 1:
            break
        if here.event.organization != chain.organization:
            return Break(chain.organization, here.event.public_id, "is in another organization's chain")
        if (here.previous_hash, here.hash) != (previous, digest(here.event, here.sequence, previous)):
            return Break(chain.organization, here.event.public_id, "does not match its hash")
        sequence, previous = here.sequence, here.hash
    if sequence < chain.sequence:
        return Break(chain.organization, str(sequence + 1), "is missing")
    if previous != chain.hash:
        return Break(chain.organization, str(sequence), "is not what the chain ends with")
    return None


def _links_of(chain: AuditChain) -> Iterator[AuditLink]:
    """Return a chain's links up to the end it had when it was read, in batches; none whose event is gone."""
    rows = AuditLink.objects.filter(organization=chain.organization, sequence__lte=chain.sequence)
    rows, last = rows.select_related("event").order_by("sequence"), 0
    while batch := list(rows.filter(sequence__gt=last)[:_BATCH]):
        yield from batch
        last = batch[-1].sequence


def _beyond(links: QuerySet[AuditLink]) -> list[Break]:
    chain = AuditChain.objects.filter(organization=OuterRef("organization")).values("sequence")
    beyond = links.annotate(end=Subquery(chain)).filter(Q(end=None) | Q(sequence__gt=F("end")))
    found = beyond.order_by("organization", "sequence").values_list("organization", "sequence")[:_MAX_SHOWN]
    return [Break(organization, str(sequence), "is past the end of its chain") for organization, sequence in found]


def _unlinked(events: QuerySet[AuditEvent]) -> list[Break]:
    found = events.filter(link=None).order_by("pk").values_list("organization", "public_id")[:_MAX_SHOWN]
    return [Break(organization, public_id, "is in no chain") for organization, public_id in found]

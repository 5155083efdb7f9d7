"""What must always be true. Each check looks at one thing and says where it is not so."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from django.db.models import Count, F, Q, Sum
from django.utils import timezone

from apps.audit.chain import verify
from apps.catalog.models import Provider, Route
from apps.core.logs import redact
from apps.core.sealing import SealBroken
from apps.idempotency.models import IdempotencyRecord
from apps.usage import ledger
from apps.usage.crossings import crossing, links
from apps.usage.journal_files import chunks, claimed, families, parts
from apps.usage.models import JournalOffset, State, UsageQuerySet, UsageRecord

Violation = dict[str, str]

# How long a row may stay open without a living process: the drainer's restart and a few rounds.
GRACE = datetime.timedelta(seconds=60)
MAX_SHOWN = 100
_BATCH = 500
_TOKENS = ("prompt", "completion", "cached", "reasoning")


class Journals:
    """What the journal files say, read once and changed by nobody."""

    def __init__(self, directory: Path, since: datetime.datetime | None) -> None:
        self.pending_lines = 0
        self.moved: set[str] = set()  # ids the drainer has been past
        self.held: set[str] = set()  # ids a living process has open, or whose end waits for the drainer
        for family in families(directory):
            self._read_family(directory, family, since)

    def _read_family(self, directory: Path, family: str, since: datetime.datetime | None) -> None:
        with claimed(directory, family) as is_dead:
            paths = parts(directory, family)
            positions = dict(
                JournalOffset.objects.filter(file__in=[path.name for path in paths]).values_list("file", "position")
            )
            for path in paths:
                position = positions.get(path.name, 0)
                for moved in _lines(path, 0, position):
                    if since is None or moved.row.accepted_at >= since:
                        self.moved.add(moved.row.public_id)
                    if moved.slot is not None and not is_dead:
                        self.held.add(moved.row.public_id)
                for moved in _lines(path, position, None):
                    self.pending_lines += 1
                    if moved.slot is None or not is_dead:
                        self.held.add(moved.row.public_id)


def _lines(path: Path, start: int, stop: int | None) -> Iterator[ledger.Moved]:
    try:
        for chunk in chunks(path, start, stop):
            yield from (moved for line in chunk.lines if (moved := ledger.read(line)) is not None)
    except FileNotFoundError:
        return  # drained and removed meanwhile


def inspect(directory: Path, since: datetime.datetime | None = None) -> dict[str, Any]:
    """
    Check everything; `since` narrows what is looked at in the ledger, by time of acceptance.

    Returns the report of `fsck --json` on it. Lines the drainer has not moved yet are
    counted as `pending_lines`, requests with an Idempotency-Key whose process died as
    `interrupted_keys`; they are no violation.
    """
    rows = UsageRecord.objects.order_by()
    if since is not None:
        rows = rows.filter(accepted_at__gte=since)
    stale = list(_open_too_long(rows).values_list("pk", flat=True))  # before the files: they outlive their open rows
    journals = Journals(directory, since)
    violations = [*accepted_without_row(journals.moved), *open_and_unheld(stale, journals.held)]
    for check in ROW_CHECKS:
        violations += check(rows)
    for look in TENANT_CHECKS:
        violations += look()
    sums = rows.aggregate(**{name: Sum(f"{name}_tokens", default=0) for name in _TOKENS})
    by_state = rows.values_list("state").annotate(count=Count("pk"))
    return {
        "ok": not violations,
        "violations": violations,
        "requests": dict(sorted(by_state)),
        "tokens": {name: int(sums[name]) for name in _TOKENS},
        "pending_lines": journals.pending_lines,
        "interrupted_keys": IdempotencyRecord.objects.interrupted().count(),
    }


def accepted_without_row(ids: set[str]) -> list[Violation]:
    missing: list[str] = []
    remaining = iter(sorted(ids))
    while batch := list(islice(remaining, _BATCH)):
        known = UsageRecord.objects.filter(public_id__in=batch).values_list("public_id", flat=True)
        missing += sorted(set(batch) - set(known))
    return violations_of("accepted_without_row", "was moved out of a journal but is not in the ledger", missing)


def open_and_unheld(stale: list[int], held: set[str]) -> list[Violation]:
    still = UsageRecord.objects.filter(pk__in=stale, state=State.OPEN).values_list("public_id", flat=True)
    return violations_of("open_row", "is open and no living process holds it", sorted(set(still) - held))


def incomplete_end(rows: UsageQuerySet) -> list[Violation]:
    wrong = rows.exclude(state=State.OPEN).filter(Q(ended_at=None) | Q(status=None))
    return violations_of("incomplete_end", "is final but has no end time or no status", _ids(wrong))


def unknown_state(rows: UsageQuerySet) -> list[Violation]:
    wrong = rows.exclude(state__in=[state.value for state in State])
    return violations_of("unknown_state", "is in a state that does not exist", _ids(wrong))


def ended_while_open(rows: UsageQuerySet) -> list[Violation]:
    return violations_of(
        "ended_while_open", "is open but has an end time", _ids(rows.filter(state=State.OPEN).exclude(ended_at=None))
    )


def negative_tokens(rows: UsageQuerySet) -> list[Violation]:
    negative = Q()
    for name in _TOKENS:
        negative |= Q(**{f"{name}_tokens__lt": 0})
    return violations_of("negative_tokens", "has a negative number of tokens", _ids(rows.filter(negative)))


def usage_across_tenants(rows: UsageQuerySet) -> list[Violation]:
    """Rows outlive what they point at, so only what still exists is compared."""
    project = Q(project__organization__isnull=False) & ~Q(project__organization=F("organization"))
    elsewhere = Q(api_key__project__isnull=False) & ~Q(api_key__project=F("project"))
    person = Q(api_key__service_account=None, api_key__user__isnull=False) & ~Q(api_key__user=F("user"))
    account = Q(api_key__service_account__isnull=False) & ~Q(api_key__service_account__public_id=F("user_id"))
    key = elsewhere | person | account
    provider = Q(provider__organization__isnull=False) & ~Q(provider__organization=F("organization"))
    return [
        *violations_of("usage_project", "is of another organization than its project", _ids(rows.filter(project))),
        *violations_of("usage_key", "is of another project or user than its API key", _ids(rows.filter(key))),
        *violations_of("usage_provider", "went to another organization's provider", _ids(rows.filter(provider))),
    ]


def rows_across_tenants() -> list[Violation]:
    found = []
    for link in links():
        what = f"({link}) points at a row of another organization"
        found += violations_of("tenant_boundary", what, crossing(link, MAX_SHOWN + 1))
    return found


def routes_across_tenants() -> list[Violation]:
    foreign = Route.objects.filter(provider__organization__isnull=False).filter(
        Q(model__organization=None) | ~Q(provider__organization=F("model__organization"))
    )
    names = [str(pk) for pk in foreign.values_list("pk", flat=True)[: MAX_SHOWN + 1]]
    return violations_of("route_provider", "leads a model to a provider its organization cannot see", names)


def provider_secrets() -> list[Violation]:
    unopened, plain = [], []
    for provider in Provider.objects.select_related("organization").order_by("pk").iterator():
        try:
            secret = provider.credential
        except (SealBroken, ValueError):
            unopened.append(provider.public_id)
            secret = ""
        texts = (provider.name, provider.base_url, provider.last_error)
        if any(redact(text) != text or (len(secret) >= 8 and secret in text) for text in texts):
            plain.append(provider.public_id)
    return [
        *violations_of("sealed_credential", "has a credential that does not open", unopened),
        *violations_of("plaintext_secret", "has what looks like a secret in a text column", plain),
    ]


def audit_chains() -> list[Violation]:
    return [
        {
            "check": "audit_chain",
            "detail": f"{broke.place} {broke.problem} (audit log of {broke.organization or 'the platform'})",
            "id": broke.place,
        }
        for broke in verify()
    ]


ROW_CHECKS: list[Callable[[UsageQuerySet], list[Violation]]] = [
    incomplete_end,
    unknown_state,
    ended_while_open,
    negative_tokens,
    usage_across_tenants,
]
TENANT_CHECKS: list[Callable[[], list[Violation]]] = [
    rows_across_tenants,
    routes_across_tenants,
    provider_secrets,
    audit_chains,
]


def _open_too_long(rows: UsageQuerySet) -> UsageQuerySet:
    return rows.filter(state=State.OPEN, accepted_at__lt=timezone.now() - GRACE)


def _ids(rows: Any) -> list[str]:
    return list(rows.order_by().values_list("public_id", flat=True)[: MAX_SHOWN + 1])


def violations_of(check: str, what: str, names: Iterable[str]) -> list[Violation]:
    """One violation for each name; a hundred are enough to see what is wrong."""
    shown = list(islice(names, MAX_SHOWN + 1))
    found = [{"check": check, "detail": f"{name} {what}", "id": name} for name in shown[:MAX_SHOWN]]
    if len(shown) > MAX_SHOWN:
        found.append({"check": check, "detail": f"more than {MAX_SHOWN}: {what}", "id": ""})
    return found

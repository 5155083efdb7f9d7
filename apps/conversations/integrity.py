"""
What must always be true of conversations: no item is lost, none is there twice, and branches read what they say.

That a number is given once on a branch, and an id once at all, is a constraint. That rows of one organization point at
none of another's is looked at in all tables alike (`apps.usage.crossings`).
"""

from __future__ import annotations

import datetime
from typing import Any

from django.db.models import Count, F, Max, Min, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from apps.conversations.models import Branch, Conversation, Item
from apps.usage.integrity import GRACE, MAX_SHOWN, Violation, violations_of

_NAME = ("conversation__public_id", "name")


def inspect(since: datetime.datetime | None = None) -> list[Violation]:
    """Check all conversations; `since`: those that changed from then on. A few passes over each table."""
    branches: QuerySet[Any] = Branch.objects.order_by()
    items: QuerySet[Any] = Item.objects.order_by()
    conversations = Conversation.objects.order_by()
    if since is not None:
        branches = branches.filter(conversation__updated_at__gte=since)
        items = items.filter(conversation__updated_at__gte=since)
        conversations = conversations.filter(updated_at__gte=since)
    return [
        *gaps(branches),
        *wrong_counts(branches),
        *wrong_forks(branches),
        *strange_items(items),
        *wrong_states(conversations),
    ]


def expired_turns() -> int:
    """Return how many conversations a dead process holds in name. Whoever writes next takes them over."""
    return Conversation.objects.filter(turn_expires_at__lt=timezone.now() - GRACE).count()


def gaps(branches: QuerySet[Any]) -> list[Violation]:
    """Each number since the fork is an item's, or a deleted one's, and no item has another."""
    counted = branches.annotate(own=Count("items"), lowest=Min("items__sequence"), highest=Max("items__sequence"))
    missing = ~Q(own=F("last_sequence") - F("fork_sequence") - F("deleted_count"))
    wrong = counted.filter(missing | Q(highest__gt=F("last_sequence")) | Q(lowest__lte=F("fork_sequence")))
    return violations_of("branch_gap", "has not the items that its numbers say", _names(wrong))


def wrong_counts(branches: QuerySet[Any]) -> list[Violation]:
    """
    A branch counts what it reads: its own items, and its parent's but for those after the fork.

    So if the first branches count well, and all others as their parents do, all count well.
    """
    own, beyond = (
        _count(branch=OuterRef("pk")),
        _count(branch=OuterRef("parent"), sequence__gt=OuterRef("fork_sequence")),
    )
    first = branches.filter(parent=None).annotate(own=Count("items")).exclude(item_count=F("own"))
    others = branches.filter(parent__isnull=False).annotate(own=own, beyond=beyond)
    wrong = others.exclude(item_count=F("own") + F("parent__item_count") - F("beyond"))
    what = "counts other items than it reads"
    return violations_of("branch_count", what, _names(first) + _names(wrong))


def wrong_forks(branches: QuerySet[Any]) -> list[Violation]:
    begins_late = Q(parent=None) & ~Q(fork_sequence=0)
    elsewhere = Q(parent__isnull=False) & ~Q(parent__conversation=F("conversation"))
    beside = Q(fork_sequence__lt=F("parent__fork_sequence")) | Q(fork_sequence__gt=F("parent__last_sequence"))
    wrong = branches.filter(begins_late | elsewhere | beside)
    return violations_of("branch_fork", "does not begin on an item of its parent", _names(wrong))


def strange_items(items: QuerySet[Any]) -> list[Violation]:
    strange = items.exclude(branch__conversation=F("conversation"))
    ids = list(strange.values_list("public_id", flat=True)[: MAX_SHOWN + 1])
    return violations_of("item_conversation", "is on a branch of another conversation", ids)


def wrong_states(conversations: QuerySet[Any]) -> list[Violation]:
    elsewhere = conversations.filter(Q(active_branch=None) | ~Q(active_branch__conversation=F("pk")))
    ahead = conversations.filter(summary_sequence__gt=F("active_branch__last_sequence"))
    return [
        *violations_of("active_branch", "reads no branch of its own", _ids(elsewhere)),
        *violations_of("summary", "sums up what its branch has not", _ids(ahead)),
    ]


def _count(**where: Any) -> Coalesce:
    counted = Item.objects.filter(**where).order_by().values("branch").annotate(count=Count("pk"))
    return Coalesce(Subquery(counted.values("count")), 0)


def _names(branches: QuerySet[Any]) -> list[str]:
    return [f"{conversation} {name}" for conversation, name in branches.values_list(*_NAME)[: MAX_SHOWN + 1]]


def _ids(conversations: QuerySet[Any]) -> list[str]:
    return list(conversations.values_list("public_id", flat=True)[: MAX_SHOWN + 1])

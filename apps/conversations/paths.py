"""
Which items a branch reads: its own since the fork, its parent's before, and so on.

Numbers grow along a path, so a page of it lies in one segment or in a few neighbouring ones, and each
costs one look into an index, whatever the length of the conversation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from apps.conversations.models import Branch, Item, ItemQuerySet, Segment, Told

# Items read at once where nobody says how many are wanted.
_BATCH = 200


def segments_of(branch: Branch, among: Iterable[Branch] | None = None) -> list[Segment]:
    """
    Return the parts of a branch's path, the newest first.

    `among`: all branches of its conversation. They are read if they are not given and it has a parent.
    """
    if among is None:
        rows = Branch.objects.in_organization(branch.organization_id)
        among = rows.filter(conversation_id=branch.conversation_id) if branch.parent_id is not None else ()
    branches = {**{other.pk: other for other in among}, branch.pk: branch}
    segments, last, at = [], branch.last_sequence, branch
    while True:
        segments.append(Segment(at.pk, at.fork_sequence, min(last, at.last_sequence)))
        if at.parent_id is None:
            return segments
        last = min(last, at.fork_sequence)
        at = branches[at.parent_id]


def page_of(
    branch: Branch,
    *,
    limit: int,
    descending: bool,
    above: int = 0,
    below: int | None = None,
    skip: int = 0,
    kind: str | None = None,
) -> list[Item]:
    """
    Return up to `limit` items of a path with numbers above `above` and below `below`, after leaving out `skip`.

    `kind`: of this type only.
    """
    found: list[Item] = []
    segments = segments_of(branch)
    for segment in segments if descending else reversed(segments):
        last = segment.last if below is None else min(segment.last, below - 1)
        rows = items_on(branch, segment._replace(first=max(segment.first, above), last=last), kind)
        if skip:
            there = rows.count()
            if skip >= there:
                skip -= there
                continue
        ordered = rows.order_by("-sequence" if descending else "sequence")
        found += ordered[skip : skip + limit - len(found)]
        skip = 0
        if len(found) == limit:
            break
    return found


def newest(branch: Branch, *, below: int | None = None) -> Iterator[Told]:
    """Yield what a path tells a model, from the newest item to the oldest, read in batches as it is asked for."""
    for segment in segments_of(branch):
        last = segment.last if below is None else min(segment.last, below - 1)
        while batch := _told(items_on(branch, segment._replace(last=last))):
            yield from batch
            last = batch[-1].sequence - 1


def _told(items: ItemQuerySet) -> list[Told]:
    return [Told(*row) for row in items.order_by("-sequence").values_list(*Told._fields)[:_BATCH]]


def count_on(branch: Branch, kind: str, most: int) -> int:
    """Return how many items of this type a path has, `most` at most."""
    found = 0
    for segment in segments_of(branch):
        found += items_on(branch, segment, kind).order_by()[: most - found].count()
    return found


def items_on(branch: Branch, segment: Segment, kind: str | None = None) -> ItemQuerySet:
    """Return the items of a segment of a branch's path, of this type if one is named."""
    found: ItemQuerySet = Item.objects.in_organization(branch.organization_id).on(segment)
    return found if kind is None else found.of_type(kind)


def item_with(branch: Branch, public_id: str) -> Item | None:
    """Return the item of this id, if it is on the branch's path."""
    item: Item | None = Item.objects.in_organization(branch.organization_id).with_public_id(public_id)
    if item is None or item.conversation_id != branch.conversation_id:
        return None
    return item if any(segment.holds(item) for segment in segments_of(branch)) else None

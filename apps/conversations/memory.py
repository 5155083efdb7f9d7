"""What a conversation keeps in short: a title, and a summary of what no longer fits into a model."""

from __future__ import annotations

from typing import NamedTuple

from apps.conversations.happenings import Happening, tell
from apps.conversations.models import Conversation
from apps.conversations.paths import page_of
from apps.conversations.titles import shortened

# What a title is made of, and what a summary is made of at once, in characters.
BEGINNING = 2000
PART = 24_000
MAX_SUMMARY = 8000
# Items that have to have fallen out since the last summary before there is a new one.
WORTH_IT = 4
_AT_ONCE = 200


class Part(NamedTuple):
    """What is to be summed up: the summary before and what followed it, up to and with item `last` of a branch."""

    text: str
    branch_id: int
    last: int


def beginning_of(conversation: Conversation) -> str:
    """Return the first thing a person says in a conversation, in BEGINNING characters at most."""
    now = _now(conversation)
    if now is None:
        return ""
    items = page_of(now.branch, limit=_AT_ONCE, descending=False)
    return next((item.text for item in items if item.role == "user" and item.text.strip()), "")[:BEGINNING]


def entitle(conversation: Conversation, said: str) -> None:
    """Give a title that a model wrote. Somebody who chose one meanwhile keeps it."""
    title = shortened(said.strip().strip("\"'“”*#").strip())
    rows = Conversation.objects.in_organization(conversation.organization_id).filter(has_given_title=False)
    if title and rows.filter(pk=conversation.pk).update(title=title):
        tell(conversation.pk, Happening.UPDATED)


def forgotten(conversation: Conversation, begins_at: int) -> Part | None:
    """Return what fell out before item number `begins_at` and is in no summary, or None if it is not worth one."""
    now = _now(conversation)
    if now is None:
        return None
    after = now.summary_sequence
    items = page_of(now.branch, limit=_AT_ONCE, descending=False, above=after, below=begins_at)
    if len(items) < WORTH_IT:
        return None
    lines = [f"Summary of what was before: {now.summary}"] if now.summary else []
    size, last = sum(map(len, lines)), after
    for item in items:
        line = f"{item.role or item.type}: {item.text}"[:PART]
        if size + len(line) > PART and last > after:
            break
        lines.append(line)
        size, last = size + len(line), item.sequence
    return Part("\n\n".join(lines), now.branch.pk, last)


def remember(conversation: Conversation, part: Part, summary: str) -> None:
    """Store a summary, if the conversation still reads the same branch and has no newer one."""
    rows = Conversation.objects.in_organization(conversation.organization_id)
    rows.filter(pk=conversation.pk, active_branch_id=part.branch_id, summary_sequence__lt=part.last).update(
        summary=summary[:MAX_SUMMARY], summary_sequence=part.last
    )


def _now(conversation: Conversation) -> Conversation | None:
    """Return the conversation as it is now, None if it was deleted."""
    rows = Conversation.objects.in_organization(conversation.organization_id).filter(pk=conversation.pk)
    found: Conversation | None = rows.with_branch().first()
    return found

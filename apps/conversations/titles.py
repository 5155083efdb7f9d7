"""A conversation's title when nobody gave one."""

from __future__ import annotations

from collections.abc import Iterable

from apps.conversations.models import Item

# As long as a title made of a message may be, in characters.
LENGTH = 60


def title_from(items: Iterable[Item]) -> str:
    """Return a title made of the first thing a person says in `items`, cut at a word; empty if nobody says anything."""
    said = next((item.text for item in items if item.role == "user" and item.text.strip()), "")
    return shortened(said)


def shortened(text: str) -> str:
    """Return a text on one line, of LENGTH characters at most, cut at a word."""
    words = " ".join(text.split())
    if len(words) <= LENGTH:
        return words
    cut = words[: LENGTH - 1]
    head, _, _ = cut.rpartition(" ")
    return f"{head or cut}…"

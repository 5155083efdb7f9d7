"""
What of a conversation is shown in a share: a list of entries, the oldest first.

An entry has a `type`, `created_at` and what that type has: `message` (`role`, `parts`), `reasoning` (`text`),
`tool_call` (`name`, `text`), `tool_result` (`text`). A part is a `text`, an `image` (`url` where it is one of the
web, `file_id`), or a `file` (`filename`, `file_id`). What was uploaded stays where it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from apps.conversations.models import Branch, Item
from apps.conversations.paths import page_of
from apps.core.errors import BadRequest

Entry = dict[str, Any]

MAX_ENTRIES = 2000
MAX_CHARACTERS = 2_000_000
_SAYING = ("user", "assistant")
_RESULTS = "_output"
# Where the types of calls have what they ask for.
_ASKED = ("arguments", "input", "queries", "action", "code")


class Wish(NamedTuple):
    """What is to be shown beside messages."""

    reasoning: bool = False
    tools: bool = False


def snapshot_of(branch: Branch, wish: Wish, last: Item | None = None) -> list[Entry]:
    """
    Return what a branch shows, up to and with its item `last`.

    Raises BadRequest (`share_too_large`) for more than a page can show.
    """
    below = last.sequence + 1 if last is not None else None
    items = page_of(branch, limit=MAX_ENTRIES + 1, descending=False, below=below)
    entries = entries_of(items, wish)
    if len(items) > MAX_ENTRIES or len(json.dumps(entries, ensure_ascii=False)) > MAX_CHARACTERS:
        raise BadRequest(
            f"A share shows {MAX_ENTRIES} items and {MAX_CHARACTERS} characters at most. Name an earlier item.",
            code="share_too_large",
            param="item_id",
        )
    return entries


def entries_of(items: Iterable[Item], wish: Wish) -> list[Entry]:
    """Return what these items show. Instructions never show, and nothing shows that has no words."""
    return [
        {**shown, "created_at": int(item.created_at.timestamp())}
        for item in items
        if (shown := _shown(item, wish)) is not None
    ]


def _shown(item: Item, wish: Wish) -> Entry | None:
    if item.type == "message":
        parts = [part for part in map(_part, item.data.get("content") or ()) if part is not None]
        return {"type": "message", "role": item.role, "parts": parts} if item.role in _SAYING and parts else None
    if item.type == "reasoning":
        texts = [_words(part) for name in ("summary", "content") for part in item.data.get(name) or ()]
        said = "\n\n".join(text for text in texts if text)
        return {"type": "reasoning", "text": said} if wish.reasoning and said else None
    return _tool(item) if wish.tools else None


def _tool(item: Item) -> Entry:
    if item.type.endswith(_RESULTS):
        return {"type": "tool_result", "text": _plain(item.data.get("output"))}
    asked = next((item.data[name] for name in _ASKED if item.data.get(name)), "")
    return {"type": "tool_call", "name": str(item.data.get("name") or item.type), "text": _plain(asked)}


def _part(part: Any) -> Entry | None:
    if not isinstance(part, dict):
        return None
    kind = str(part.get("type") or "")
    if kind.endswith("image"):
        return {"type": "image", **_reference(part.get("image_url"), part.get("file_id"))}
    if kind.endswith(("file", "audio")):
        name = part.get("filename")
        named = {"filename": name[:255]} if isinstance(name, str) and name else {}
        return {"type": "file", **named, **_reference(None, part.get("file_id"))}
    words = _words(part)
    return {"type": "text", "text": words} if words else None


def _reference(url: Any, file_id: Any) -> Entry:
    found: Entry = {}
    if isinstance(url, dict):
        url = url.get("url")
    # Of an image that is in the message itself nothing is shown but that it was there.
    if isinstance(url, str) and url.lower().startswith(("https://", "http://")):
        found["url"] = url
    if isinstance(file_id, str) and file_id:
        found["file_id"] = file_id
    return found


def _words(part: Any) -> str:
    if not isinstance(part, dict):
        return ""
    words = part.get("text") or part.get("refusal") or ""
    return words if isinstance(words, str) else ""


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(part, dict) and "text" in part for part in value):
        return "\n".join(_words(part) for part in value)
    return json.dumps(value, ensure_ascii=False) if value else ""

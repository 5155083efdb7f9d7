"""Token counts out of what a provider reports, which may be missing or mad."""

from __future__ import annotations

from typing import Any

import msgspec

from apps.usage.journal import Tokens

MAX_COUNT = 2**53


def tokens_of(raw: msgspec.Raw) -> Tokens | None:
    """Return the counts of a usage object, or None if it holds none that can be believed."""
    try:
        usage = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return None
    if not isinstance(usage, dict):
        return None
    prompt, completion = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    if prompt is None and completion is None:
        return None
    return Tokens(
        prompt=prompt or 0,
        completion=completion or 0,
        cached=_detail(usage, "prompt_tokens_details", "cached_tokens"),
        reasoning=_detail(usage, "completion_tokens_details", "reasoning_tokens"),
        raw=raw,
    )


def _detail(usage: dict[str, Any], group: str, name: str) -> int:
    details = usage.get(group)
    return _count(details.get(name)) or 0 if isinstance(details, dict) else 0


def _count(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_COUNT:
        return None
    return value

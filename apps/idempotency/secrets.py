"""Answers without what is shown once: a replay has null there."""

from __future__ import annotations

from typing import Any

import msgspec

from apps.core.logs import MASK, redact

# Fields that hold nothing but secrets, and fields that hold one if it looks like one.
_ALWAYS = frozenset({"access_token", "refresh_token", "id_token", "client_secret", "password"})
_BY_SHAPE = frozenset({"key", "value", "token", "secret", "api_key"})


def without_secrets(body: bytes) -> bytes:
    """Return a JSON answer with null for each secret; the same bytes where there is none."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return body
    return msgspec.json.encode(document) if _strip(document) else body


def _strip(value: Any) -> bool:
    """Take secrets out in place. Returns whether there were any."""
    found = False
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        if isinstance(item, (dict, list)):
            found |= _strip(item)
        elif isinstance(item, str) and (name in _ALWAYS or (name in _BY_SHAPE and redact(item) == MASK)):
            value[name] = None
            found = True
    return found

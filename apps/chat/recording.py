"""An answer put together from its chunks, for whoever keeps it."""

from __future__ import annotations

from typing import Any

import msgspec

from apps.usage.journal import Tokens

_TEXTS = ("content", "reasoning_content", "reasoning", "refusal")


class Recording:
    """Takes chunks as the client gets them and gives back the `chat.completion` they make."""

    def __init__(self) -> None:
        self._head: dict[str, Any] = {}
        self._messages: dict[int, dict[str, Any]] = {}
        self._reasons: dict[int, str | None] = {}

    def take(self, payload: bytes) -> None:
        """Add a chunk. It was checked to be one."""
        chunk = msgspec.json.decode(payload)
        if not self._head:
            names = ("id", "created", "model", "system_fingerprint", "service_tier")
            self._head = {name: chunk[name] for name in names if chunk.get(name) is not None}
        for choice in chunk.get("choices") or ():
            index = choice.get("index") or 0
            message = self._messages.setdefault(index, {"role": "assistant", "content": None, "refusal": None})
            self._reasons[index] = choice.get("finish_reason") or self._reasons.get(index)
            _add(message, choice.get("delta") or {})

    def document(self, tokens: Tokens) -> dict[str, Any]:
        """Return the answer so far; a choice that has not said why it ended has no `finish_reason`."""
        choices = [
            {"index": index, "message": message, "finish_reason": self._reasons[index], "logprobs": None}
            for index, message in sorted(self._messages.items())
        ]
        return {**self._head, "object": "chat.completion", "choices": choices, "usage": usage_of(tokens)}


def says_something(message: dict[str, Any]) -> bool:
    """Say whether there is a word, a thought or a call in a message."""
    return any(value for name, value in message.items() if name != "role")


def usage_of(tokens: Tokens) -> dict[str, int]:
    """Return token counts as OpenAI's usage object."""
    return {
        "prompt_tokens": tokens.prompt,
        "completion_tokens": tokens.completion,
        "total_tokens": tokens.prompt + tokens.completion,
    }


def _add(message: dict[str, Any], delta: dict[str, Any]) -> None:
    for name in _TEXTS:
        if isinstance(piece := delta.get(name), str):
            message[name] = (message.get(name) or "") + piece
    for piece in delta.get("tool_calls") or ():
        calls = message.setdefault("tool_calls", [])
        index = piece.get("index")
        index = len(calls) if index is None else min(index, len(calls))
        if index == len(calls):
            calls.append({"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
        _add_call(calls[index], piece)
    if delta.get("annotations"):
        message.setdefault("annotations", []).extend(delta["annotations"])


def _add_call(call: dict[str, Any], piece: dict[str, Any]) -> None:
    call["id"] = piece.get("id") or call["id"]
    function = piece.get("function") or {}
    call["function"]["name"] += function.get("name") or ""
    call["function"]["arguments"] += function.get("arguments") or ""

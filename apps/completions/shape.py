"""What is stored of a call, and what OpenAI's SDK needs of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from apps.core.errors import BadRequest

Message = dict[str, Any]

MAX_PAIRS, MAX_NAME, MAX_TEXT = 16, 64, 512
# What OpenAI shows of a stored call's request, beside its messages.
_PARAMETERS = (
    "frequency_penalty", "presence_penalty", "reasoning_effort", "response_format", "seed", "temperature",
    "tool_choice", "tools", "top_p",
)  # fmt: skip
# What of an answer says nothing of what was said.
_OUTSIDE = ("created", "model", "service_tier", "system_fingerprint", "usage")


def string_pairs(given: Any) -> dict[str, str]:
    """
    Return metadata as OpenAI has them, pairs of texts; other values are written as JSON.

    None is none. Raises BadRequest naming what is wrong.
    """
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise BadRequest("'metadata' must be an object.", param="metadata")
    if len(given) > MAX_PAIRS:
        raise BadRequest(f"'metadata' may hold {MAX_PAIRS} pairs at most.", param="metadata")
    pairs = {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in given.items()
    }
    for name, text in pairs.items():
        if not 0 < len(name) <= MAX_NAME:
            raise BadRequest(f"A name in 'metadata' must have 1 to {MAX_NAME} characters.", param="metadata")
        if len(text) > MAX_TEXT:
            where = f"metadata.{name}"
            raise BadRequest(f"A value in 'metadata' may have {MAX_TEXT} characters at most.", param=where)
    return pairs


def parameters_of(request: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept of a request beside its messages."""
    return {name: request[name] for name in _PARAMETERS if request.get(name) is not None}


def whole_answer(answer: dict[str, Any]) -> dict[str, Any]:
    """Return a `chat.completion` with everything that the SDK needs, whatever its provider left out."""
    choices = [each for each in answer.get("choices") or () if isinstance(each, dict)]
    return {**answer, "object": "chat.completion", "choices": [_choice(*each) for each in enumerate(choices)]}


def _choice(index: int, choice: dict[str, Any]) -> dict[str, Any]:
    message = choice.get("message") if isinstance(choice.get("message"), dict) else {}
    return {
        "logprobs": None,
        "index": index,
        **choice,
        "finish_reason": choice.get("finish_reason") or "stop",
        "message": {"content": None, "refusal": None, **(message or {}), "role": "assistant"},
    }


def answer_without_text(answer: dict[str, Any]) -> dict[str, Any]:
    """Return what of a whole answer may be kept where only metadata may be."""
    choices = [
        {
            "index": choice["index"],
            "finish_reason": choice["finish_reason"],
            "logprobs": None,
            "message": {"role": "assistant", "content": None, "refusal": None},
        }
        for choice in answer["choices"]
    ]
    outside = {name: answer[name] for name in _OUTSIDE if name in answer}
    return {**outside, "object": "chat.completion", "choices": choices}


def messages_without_text(messages: Iterable[Message]) -> list[Message]:
    """Return who spoke, and nothing of what was said."""
    return [{"role": str(message.get("role") or "user"), "content": None} for message in messages]


def shown_message(completion_id: str, index: int, message: Message) -> dict[str, Any]:
    """
    Return a message of a request as the SDK lists it: its text as `content`, and parts as `content_parts`.

    The role is the message's own, although the SDK's type knows only `assistant`; OpenAI's API does the same.
    """
    content = message.get("content")
    parts = [part for part in map(_part, content) if part] if isinstance(content, list) else None
    if parts is not None:
        content = "\n".join(part["text"] for part in parts if part["type"] == "text") or None
    shown: dict[str, Any] = {
        "id": f"{completion_id}-{index}",
        "role": message.get("role"),
        "content": content if isinstance(content, str) else None,
        "content_parts": parts,
        "name": _text(message, "name"),
        "refusal": _text(message, "refusal"),
    }
    if isinstance(message.get("tool_calls"), list):
        shown["tool_calls"] = [_call(call) for call in message["tool_calls"] if isinstance(call, dict)]
    if isinstance(message.get("tool_call_id"), str):
        shown["tool_call_id"] = message["tool_call_id"]
    return shown


def _text(holder: dict[str, Any], name: str) -> str | None:
    value = holder.get(name)
    return value if isinstance(value, str) else None


def _part(part: Any) -> dict[str, Any] | None:
    """Return a part of a type that the SDK knows here: text, or an image."""
    if not isinstance(part, dict):
        return None
    if part.get("type") == "text":
        return {"type": "text", "text": str(part.get("text") or "")}
    image = part.get("image_url")
    if isinstance(image, str):
        image = {"url": image}
    if part.get("type") != "image_url" or not isinstance(image, dict) or not isinstance(image.get("url"), str):
        return None
    detail = image.get("detail") if image.get("detail") in ("auto", "low", "high") else "auto"
    return {"type": "image_url", "image_url": {"url": image["url"], "detail": detail}}


def _call(call: dict[str, Any]) -> dict[str, Any]:
    function = call.get("function") if isinstance(call.get("function"), dict) else {}
    assert isinstance(function, dict)
    custom = call.get("custom")
    shown: dict[str, Any] = {"id": str(call.get("id") or "")}
    if call.get("type") == "custom" and isinstance(custom, dict):
        named = {"name": str(custom.get("name") or ""), "input": str(custom.get("input") or "")}
        return {**shown, "type": "custom", "custom": named}
    named = {"name": str(function.get("name") or ""), "arguments": str(function.get("arguments") or "")}
    return {**shown, "type": "function", "function": named}

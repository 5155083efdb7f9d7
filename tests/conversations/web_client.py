"""
What the Jan web client shows of a conversation: the rules of its parser, told anew.

It knows messages alone. Text comes out of parts by their type, thoughts go before it in `<think>`, calls of tools
stand on an item of the assistant, and what a tool said comes with an item of the role `tool`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Shown:
    role: str
    text: str
    images: list[str] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)


def nested(value: Any) -> str:
    if isinstance(value, str):
        return value
    return (value or {}).get("text") or (value or {}).get("value") or ""


def told_by(part: dict[str, Any]) -> tuple[str, str, str]:
    """The text, the thought and the picture of a part."""
    kind = part.get("type")
    image = (part.get("image") or {}).get("url", "")
    spoken = (part.get("output_text") or {}).get("text", "")
    if kind == "input_text":
        return part.get("input_text") or nested(part.get("text")), "", ""
    if kind == "text":
        return nested(part.get("text")), "", ""
    if kind == "output_text":
        return spoken, "", ""
    if kind == "reasoning_content":
        return "", part.get("reasoning_content", ""), ""
    if kind == "reasoning_text":
        return "", nested(part.get("text")) or part.get("reasoning_content", ""), ""
    if kind in ("image", "image_url"):
        return "", "", image
    if kind == "tool_result":
        return ((part.get("tool_result") or {}).get("output_text") or {}).get("text", ""), "", ""
    return nested(part.get("text")) or spoken, part.get("reasoning_content", ""), image


def message_of(item: dict[str, Any]) -> Shown:
    texts, thoughts, images = [], [], []
    for part in item.get("content") or []:
        for found, kept in zip(told_by(part), (texts, thoughts, images), strict=True):
            if found:
                kept.append(found)
    said = "\n".join(texts)
    if thoughts:
        thought = "<think>" + "\n".join(thoughts) + "</think>"
        said = f"{thought}\n{said}" if said else thought
    if not said:
        said = json.dumps(item["content"]) if item.get("content") else "(no content)"
    role = item["role"] if item.get("role") in ("user", "assistant") else "assistant"
    calls = [
        {
            "id": call["id"],
            "name": call["function"]["name"],
            "arguments": call["function"]["arguments"],
            "response": None,
        }
        for call in item.get("tool_calls") or []
    ]
    return Shown(role, said, images, calls)


def said_by_tool(part: dict[str, Any]) -> str:
    result = part.get("tool_result") or {}
    listed = "\n".join(entry.get("text", "") for entry in result.get("content") or [])
    return (
        nested(part.get("text")) or (part.get("output_text") or {}).get("text") or part.get("input_text")
        or part.get("text_result") or (result.get("output_text") or {}).get("text") or listed or json.dumps(part)
    )  # fmt: skip


def shown(items: list[dict[str, Any]]) -> list[Shown]:
    """What the client shows of items, the oldest first."""
    items = sorted(items, key=lambda item: item["created_at"])
    responses = {}
    for item in items:
        if item.get("role") == "tool":
            for part in item.get("content") or []:
                responses[item.get("tool_call_id") or part.get("tool_call_id") or item["id"]] = said_by_tool(part)
    messages = [message_of(item) for item in items if item.get("role") != "tool"]
    for message in messages:
        for call in message.calls:
            key = call["id"] if call["id"] in responses else next(iter(responses), None)
            call["response"] = responses.pop(key, None)
    return messages

"""
What an item holds, and how it and the messages of a chat completion turn into each other.

An item's `data` is in OpenAI's spelling (Responses API): a message has `content`, a list of typed
parts; a call of a tool has `call_id`, `name` and `arguments`; its output `call_id` and `output`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec

from apps.conversations.models import Item, Status, Told
from apps.conversations.tokens import PER_IMAGE, PER_ITEM, count_text

Message = dict[str, Any]
Part = dict[str, Any]


class NewItem(msgspec.Struct, kw_only=True):
    """An item before it has its place. `data` is as in `Item`."""

    type: str
    data: dict[str, Any]
    role: str = ""
    status: str = Status.COMPLETED
    metadata: dict[str, Any] = {}
    model: str = ""
    usage: dict[str, Any] | None = None
    request_id: str = ""


def text_of(data: dict[str, Any]) -> str:
    """Return all that an item says, for searching and for counting."""
    return "\n".join(text for text in _texts(data) if text)


def tokens_of(data: dict[str, Any]) -> int:
    """Return about how many tokens a model reads in an item."""
    parts = data.get("content") if isinstance(data.get("content"), list) else []
    images = sum(1 for part in parts or [] if isinstance(part, dict) and part.get("type") == "input_image")
    return count_text(text_of(data)) + images * PER_IMAGE + PER_ITEM


def _texts(data: dict[str, Any]) -> Iterable[str]:
    for name in ("content", "summary"):
        for part in data.get(name) or ():
            if isinstance(part, dict):
                yield str(part.get("text") or part.get("refusal") or "")
    for name in ("name", "arguments", "output"):
        value = data.get(name)
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            yield from (str(part.get("text") or "") for part in value if isinstance(part, dict))


# --- From messages to items ---------------------------------------------------------------------


def items_of_message(message: Message) -> list[NewItem]:
    """
    Return the items that a chat message is stored as; none for instructions (`system`, `developer`).

    A message of a tool becomes the output of its call; calls of an assistant become items of their own.
    """
    role = message.get("role")
    if role in ("system", "developer"):
        return []
    if role in ("tool", "function"):
        call_id = str(message.get("tool_call_id") or message.get("name") or "")
        output = _plain(message.get("content"))
        return [NewItem(type="function_call_output", data={"call_id": call_id, "output": output})]
    if role == "assistant":
        return items_of_answer(message)
    return [NewItem(type="message", role="user", data={"content": _input_parts(message.get("content"))})]


def items_of_answer(message: Message, *, status: str = Status.COMPLETED) -> list[NewItem]:
    """Return the items of what a model answered: what it thought, what it said, what it called."""
    items = []
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    if isinstance(reasoning, str) and reasoning:
        part = {"type": "reasoning_text", "text": reasoning}
        items.append(NewItem(type="reasoning", status=status, data={"summary": [], "content": [part]}))
    calls = _calls(message)
    content = _output_parts(message)
    if content or not calls:
        items.append(NewItem(type="message", role="assistant", status=status, data={"content": content}))
    return items + [NewItem(type="function_call", status=status, data=call) for call in calls]


def _input_parts(content: Any) -> list[Part]:
    if isinstance(content, str):
        return [{"type": "input_text", "text": content}]
    return [_input_part(part) for part in content or () if isinstance(part, dict)]


def _input_part(part: Part) -> Part:
    kind = part.get("type")
    if kind == "text":
        return {"type": "input_text", "text": str(part.get("text") or "")}
    if kind == "image_url":
        image = part.get("image_url")
        url, detail = (image.get("url"), image.get("detail")) if isinstance(image, dict) else (image, None)
        return {"type": "input_image", "image_url": url, "detail": detail or "auto"}
    if kind == "file" and isinstance(part.get("file"), dict):
        return {"type": "input_file", **part["file"]}
    return part


def _output_parts(message: Message) -> list[Part]:
    content = message.get("content")
    parts: list[Part] = []
    if isinstance(content, list):
        content = "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    if content:
        parts.append({"type": "output_text", "text": content, "annotations": message.get("annotations") or []})
    if message.get("refusal"):
        parts.append({"type": "refusal", "refusal": message["refusal"]})
    return parts


def _calls(message: Message) -> list[dict[str, Any]]:
    calls = []
    for call in message.get("tool_calls") or ():
        function = call.get("function") or call.get("custom") or {} if isinstance(call, dict) else {}
        arguments = function.get("arguments") or function.get("input") or ""
        calls.append({"call_id": str(call.get("id") or ""), "name": str(function.get("name") or ""),
                      "arguments": arguments if isinstance(arguments, str) else json.dumps(arguments)})  # fmt: skip
    return calls


def _plain(content: Any) -> str:
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    return str(content or "")


# --- From items to messages ---------------------------------------------------------------------


def messages_of(items: Iterable[Item | Told | NewItem]) -> list[Message]:
    """
    Return what a model is told of these items, in order: chat messages.

    Calls stand in the message of the assistant before them, outputs follow as messages of the tool.
    What no chat message can say (reasoning, calls of tools that ran elsewhere) is left out, and so is
    a call without its output or the reverse, which providers refuse.
    """
    kept = list(items)
    called = {item.data.get("call_id") for item in kept if item.type == "function_call"}
    answered = {item.data.get("call_id") for item in kept if item.type == "function_call_output"}
    paired = called & answered
    messages: list[Message] = []
    for item in kept:
        if item.type == "message":
            if (message := _message(item)) is not None:
                messages.append(message)
        elif item.type == "function_call" and item.data.get("call_id") in paired:
            _add_call(messages, item.data)
        elif item.type == "function_call_output" and item.data.get("call_id") in paired:
            content = _plain(item.data.get("output"))
            messages.append({"role": "tool", "tool_call_id": item.data["call_id"], "content": content})
    return messages


def _message(item: Item | Told | NewItem) -> Message | None:
    parts = item.data.get("content") or []
    if item.role == "assistant":
        text = "".join(str(part.get("text") or part.get("refusal") or "") for part in parts)
        return {"role": "assistant", "content": text} if text else None
    content = [part for part in map(_chat_part, parts) if part is not None]
    if not content:
        return None
    if all(part["type"] == "text" for part in content):
        return {"role": item.role, "content": "\n".join(part["text"] for part in content)}
    return {"role": item.role, "content": content}


def _chat_part(part: Part) -> Part | None:
    kind = part.get("type")
    if kind in ("input_text", "output_text", "text", "summary_text"):
        return {"type": "text", "text": str(part.get("text") or "")}
    if kind == "input_image" and part.get("image_url"):
        return {"type": "image_url", "image_url": {"url": part["image_url"], "detail": part.get("detail") or "auto"}}
    if kind == "input_file":
        return {"type": "file", "file": {name: value for name, value in part.items() if name != "type"}}
    if kind == "input_audio":
        return part
    return None


def _add_call(messages: list[Message], call: dict[str, Any]) -> None:
    function = {"name": call.get("name"), "arguments": call.get("arguments") or ""}
    entry = {"id": call["call_id"], "type": "function", "function": function}
    if not messages or messages[-1]["role"] != "assistant":
        messages.append({"role": "assistant", "content": None})
    messages[-1].setdefault("tool_calls", []).append(entry)

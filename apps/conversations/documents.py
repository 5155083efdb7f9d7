"""
Conversations and items as they go out.

An item is OpenAI's object of its type. Beside that it carries what the Jan web client reads, which knows messages
only: each part its text in a second spelling, calls of tools and their outputs as messages of the assistant and the
tool.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rest_framework.request import Request

from apps.conversations.item_types import MESSAGE, statuses_of
from apps.conversations.models import Branch, Conversation, Item, Status
from apps.conversations.parts import Part, citation_of
from apps.core.http.moments import moment

# The web client shows "(no content)" for a message without a text; what is shown of a call is the call.
_NOTHING = [{"type": "text", "text": " "}]


def conversation_document(request: Request, conversation: Conversation) -> dict[str, Any]:
    """Return a conversation as its owner sees it. It must have been read `with_branch`."""
    folder = conversation.folder
    description = conversation.metadata.get("description")
    return {
        "id": conversation.public_id,
        "object": "conversation",
        "created_at": moment(request, conversation.created_at),
        "updated_at": moment(request, conversation.updated_at),
        "title": conversation.title,
        "description": description if isinstance(description, str) else None,
        "model": conversation.model or None,
        "metadata": conversation.metadata,
        "project_id": folder.public_id if folder else None,
        "instruction": folder.instruction or None if folder else None,
        "item_count": conversation.branch.item_count,
        "branch": conversation.branch.name,
        "user_id": conversation.user_id,
        "archived": conversation.is_archived,
        "archived_at": moment(request, conversation.archived_at),
        "referrer": conversation.referrer or None,
    }


def branch_document(branch: Branch, created_at: int | str | None) -> dict[str, Any]:
    """Return a branch as `apps.conversations.branches` reads it. `created_at` is as the caller wants times."""
    return {
        "object": "conversation.branch",
        "name": branch.name,
        "is_active": branch.pk == branch.conversation.active_branch_id,
        "parent": branch.parent.name if branch.parent else None,
        "forked_after": branch.forked_after,
        "item_count": branch.item_count,
        "created_at": created_at,
    }


def item_document(request: Request, conversation: Conversation, item: Item) -> dict[str, Any]:
    """Return an item of a conversation."""
    return {
        "id": item.public_id,
        "object": "conversation.item",
        "type": item.type,
        **_content_of(item),
        "status": _status_of(item),
        "conversation_id": conversation.public_id,
        "created_at": moment(request, item.created_at),
        "sequence_number": item.sequence,
        "metadata": item.metadata,
        "rating": item.rating or None,
        "model": item.model or None,
        "usage": item.usage,
    }


def _status_of(item: Item) -> str:
    """Return how far an item came, in a word that its type has."""
    words = statuses_of(item.type)
    finer = item.data.get("status")
    if finer in words:
        return str(finer)
    if item.status in words:
        return item.status
    return "failed" if "failed" in words and item.status == Status.INCOMPLETE else Status.COMPLETED


def _content_of(item: Item) -> dict[str, Any]:
    data = item.data
    if item.type == MESSAGE:
        content = [part_document(part) for part in data.get("content") or ()]
        return {**data, "role": item.role, "content": content, "text": item.text}
    if item.type == "reasoning":
        content = [part_document(part) for part in data.get("content") or ()]
        return {**data, "role": "assistant", "summary": data.get("summary") or [], "content": content}
    projected = _PROJECTIONS.get(item.type)
    if projected is not None:
        return {**data, **projected(data)}
    return {**data, "role": item.role or "assistant", "content": _NOTHING}


def _call(data: dict[str, Any]) -> dict[str, Any]:
    function = {"name": data.get("name"), "arguments": data.get("arguments", data.get("input"))}
    call = {"id": data.get("call_id"), "type": "function", "function": function}
    return {"role": "assistant", "tool_calls": [call], "content": _NOTHING}


def _output(data: dict[str, Any]) -> dict[str, Any]:
    output, call_id = data.get("output"), data.get("call_id")
    parts = [part_document(part) for part in output] if isinstance(output, list) else None
    said = output if parts is None else "\n".join(part["text"] for part in parts if part.get("text"))
    result = {
        "type": "tool_result",
        "text": said or " ",
        "tool_call_id": call_id,
        "tool_result": {"content": [{"type": "text", "text": said or " "}], "output_text": {"text": said or " "}},
    }
    answer = {"role": "tool", "tool_call_id": call_id, "content": [result]}
    return answer if parts is None else {**answer, "output": parts}


_PROJECTIONS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "function_call": _call,
    "custom_tool_call": _call,
    "function_call_output": _output,
    "custom_tool_call_output": _output,
}


def part_document(part: Part) -> Part:
    """Return a part in both spellings."""
    show = _SHOWN.get(str(part.get("type")))
    return show(part) if show else {"type": "text", "text": str(part.get("text") or "")}


def _spoken(part: Part) -> Part:
    annotations = [found for each in part.get("annotations") or () if (found := citation_of(each)) is not None]
    text = part.get("text") or ""
    return {**part, "annotations": annotations, "output_text": {"text": text, "annotations": annotations}}


def _picture(part: Part) -> Part:
    shown = {"file_id": None, "detail": "auto", **part}
    return {**shown, "image": {"url": part["image_url"]}} if part.get("image_url") else shown


def _sound(part: Part) -> Part:
    """OpenAI's messages have no sound, so it goes out as a file."""
    sound = part.get("input_audio") or {}
    kind = sound.get("format") or "wav"
    data = f"data:audio/{kind};base64,{sound.get('data') or ''}"
    return {"type": "input_file", "filename": f"audio.{kind}", "file_data": data, "input_audio": sound}


_SHOWN: dict[str, Callable[[Part], Part]] = {
    "input_text": lambda part: {**part, "input_text": part.get("text") or ""},
    "output_text": _spoken,
    "reasoning_text": lambda part: {**part, "reasoning_content": part.get("text") or ""},
    "refusal": lambda part: {**part, "text": part.get("refusal") or ""},
    "summary_text": lambda part: part,
    "input_image": _picture,
    "computer_screenshot": _picture,
    "input_file": lambda part: part,
    "input_audio": _sound,
}

"""Items as clients write them, in every spelling, turned into what is stored."""

from __future__ import annotations

import json
from typing import Any

from apps.conversations.content import NewItem
from apps.conversations.item_types import MESSAGE, TYPES, check, statuses_of
from apps.conversations.models import Status
from apps.conversations.parts import parse_content, parse_part
from apps.core.errors import BadRequest

MAX_ITEMS = 20
MAX_METADATA_BYTES = 16 * 1024
MAX_CALLS = 16
_ROLES = ("user", "assistant", "system", "developer", "tool", "critic", "discriminator", "unknown")
# What this server says of an item and nobody sets: ignored, so that what was read can be sent back.
_READ_ONLY = frozenset(
    {"id", "object", "conversation_id", "created_at", "text", "branch", "sequence_number", "rating", "model", "usage"}
)
# What it says of calls and their outputs, for clients that know messages only.
_PROJECTED = frozenset({"role", "content", "tool_calls", "tool_call_id"})
# What the output of a tool can hold.
_OUTPUT_PARTS = ("input_text", "input_image", "input_file")
_OF_MESSAGES = frozenset(
    {"type", "role", "content", "status", "metadata", "phase", "refusal", "annotations"}
    | {"tool_calls", "tool_call_id", "reasoning_content", "reasoning"}
)


def parse_items(body: Any) -> list[NewItem]:
    """Return the items of a body: `{"items": [...]}`, or a single item. Raises BadRequest naming what is wrong."""
    if not isinstance(body, dict):
        raise BadRequest("The body must be a JSON object.")
    if "items" not in body:
        if not body:
            raise BadRequest("'items' is missing.", code="missing_required_parameter", param="items")
        return parse_item(body, "")
    for name in body:
        if name != "items":
            raise _unknown(name)
    if body["items"] == []:
        raise BadRequest(f"'items' must have 1 to {MAX_ITEMS} items.", param="items")
    return parse_list(body["items"])


def parse_list(given: Any) -> list[NewItem]:
    """Return items of a list, which may be empty. Raises BadRequest naming what is wrong."""
    if not isinstance(given, list) or len(given) > MAX_ITEMS:
        raise BadRequest(f"'items' must be a list of {MAX_ITEMS} items at most.", param="items")
    return [item for at, each in enumerate(given) for item in parse_item(each, f"items[{at}].")]


def parse_item(given: Any, where: str) -> list[NewItem]:
    """
    Return what one item is stored as: more than one for a message that calls tools, as chat completions write it.

    `where` is put before the names of fields in errors.
    """
    if not isinstance(given, dict):
        raise BadRequest("An item must be an object.", param=where.rstrip(".") or None)
    kind = given.get("type", MESSAGE if "role" in given else None)
    if kind is None:
        raise BadRequest(f"'{where}type' is missing.", code="missing_required_parameter", param=f"{where}type")
    if kind != MESSAGE and (not isinstance(kind, str) or kind not in TYPES):
        raise BadRequest(f"'{where}type' must be one of {', '.join([MESSAGE, *TYPES])}.", param=f"{where}type")
    own = TYPES[kind].__struct_encode_fields__ if kind != MESSAGE else ()
    item = {name: value for name, value in given.items() if name in own or name not in _READ_ONLY}
    metadata = parse_metadata(item.get("metadata"), f"{where}metadata")
    found = _message(item, where) if kind == MESSAGE else [_other(kind, item, where)]
    for each in found:
        each.metadata = metadata
    return found


def parse_metadata(given: Any, where: str = "metadata") -> dict[str, Any]:
    """Return metadata, which is any JSON object that is not too large; None is an empty one."""
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise BadRequest(f"'{where}' must be an object.", param=where)
    if len(json.dumps(given, ensure_ascii=False).encode()) > MAX_METADATA_BYTES:
        raise BadRequest(f"'{where}' may have {MAX_METADATA_BYTES // 1024} KB at most.", param=where)
    return given


def _message(item: dict[str, Any], where: str) -> list[NewItem]:
    for name in item:
        if name not in _OF_MESSAGES:
            raise _unknown(f"{where}{name}")
    role = item.get("role")
    if role not in _ROLES:
        code = "missing_required_parameter" if role is None else None
        raise BadRequest(f"'{where}role' must be one of {', '.join(_ROLES)}.", code=code, param=f"{where}role")
    status = _status(MESSAGE, item, where)
    if role == "tool" and item.get("tool_call_id") is not None:
        return [_output(item, status, where)]
    calls = _calls(item.get("tool_calls"), where)
    content = _content(item, role, where, may_lack=bool(calls))
    found = _reasoning(item, status, where)
    if content or not calls:
        data: dict[str, Any] = {"content": content}
        if item.get("phase") is not None:
            data["phase"] = _phase(item["phase"], where)
        found.append(NewItem(type=MESSAGE, role=role, status=status, data=data))
    return found + [NewItem(type="function_call", status=status, data=call) for call in calls]


def _content(item: dict[str, Any], role: str, where: str, *, may_lack: bool) -> list[dict[str, Any]]:
    content, refusal = item.get("content"), item.get("refusal")
    if content is None and refusal is None and not may_lack:
        raise BadRequest(f"'{where}content' is missing.", code="missing_required_parameter", param=f"{where}content")
    if content == "" and may_lack:
        content = None
    parts = [] if content is None else parse_content(content, role, f"{where}content")
    if item.get("annotations") and parts and parts[-1]["type"] == "output_text":
        parts[-1] = parse_part({**parts[-1], "annotations": item["annotations"]}, role, f"{where}content")
    if refusal is not None:
        parts.append(parse_part({"type": "refusal", "refusal": refusal}, role, where.rstrip(".") or "refusal"))
    return parts


def _reasoning(item: dict[str, Any], status: str, where: str) -> list[NewItem]:
    said = item.get("reasoning_content") or item.get("reasoning")
    if said is None:
        return []
    part = parse_part({"type": "reasoning_text", "text": said}, "assistant", f"{where}reasoning_content")
    return [NewItem(type="reasoning", status=status, data={"summary": [], "content": [part]})]


def _calls(given: Any, where: str) -> list[dict[str, Any]]:
    """Return the data of the calls in `tool_calls` as chat completions write them."""
    name = f"{where}tool_calls"
    if given is None:
        return []
    if not isinstance(given, list) or len(given) > MAX_CALLS:
        raise BadRequest(f"'{name}' must be a list of {MAX_CALLS} calls at most.", param=name)
    calls = []
    for at, call in enumerate(given):
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict):
            raise BadRequest(f"'{name}[{at}].function' is missing.", param=f"{name}[{at}].function")
        arguments = function.get("arguments", "")
        data = {
            "call_id": call.get("id"),
            "name": function.get("name"),
            "arguments": arguments if isinstance(arguments, str) else json.dumps(arguments),
        }
        check("function_call", data, f"{name}[{at}].")
        calls.append(data)
    return calls


def _output(item: dict[str, Any], status: str, where: str) -> NewItem:
    """Return the output of a call that chat completions write as a message of the tool."""
    parts = _output_parts(item.get("content") or "", f"{where}content")
    output: Any = parts
    if all(part["type"] == "input_text" for part in parts):
        output = "\n".join(part["text"] for part in parts)
    data = {"call_id": item["tool_call_id"], "output": output}
    check("function_call_output", data, where)
    return NewItem(type="function_call_output", status=status, data=data)


def _output_parts(given: Any, where: str) -> list[dict[str, Any]]:
    parts = parse_content(given, "user", where)
    for at, part in enumerate(parts):
        if part["type"] not in _OUTPUT_PARTS:
            name = f"{where}[{at}].type"
            raise BadRequest(f"'{name}' must be one of {', '.join(_OUTPUT_PARTS)}.", param=name)
    return parts


def _phase(given: Any, where: str) -> str:
    if given not in ("commentary", "final_answer"):
        raise BadRequest(f"'{where}phase' must be commentary or final_answer.", param=f"{where}phase")
    return str(given)


def _other(kind: str, item: dict[str, Any], where: str) -> NewItem:
    """Return an item that is no message, as its type has it."""
    ignored = {"type", "metadata", *(_PROJECTED - set(TYPES[kind].__struct_encode_fields__))}
    data = {name: value for name, value in item.items() if name not in ignored}
    word = _status(kind, data, where)
    data.pop("status", None)
    _normalize(kind, data, where)
    check(kind, data, where)
    role = data.pop("role", "")
    # A finer word than ours stands beside it.
    if word not in list(Status):
        return NewItem(type=kind, role=role, status=_NEAREST.get(word, Status.COMPLETED), data={**data, "status": word})
    return NewItem(type=kind, role=role, status=word, data=data)


_NEAREST = {
    "searching": Status.IN_PROGRESS, "generating": Status.IN_PROGRESS, "interpreting": Status.IN_PROGRESS,
    "calling": Status.IN_PROGRESS, "failed": Status.INCOMPLETE,
}  # fmt: skip


def _normalize(kind: str, data: dict[str, Any], where: str) -> None:
    """Bring the parts of an item into one spelling."""
    if kind == "reasoning":
        data.setdefault("summary", [])
        if isinstance(data.get("content"), list):
            data["content"] = parse_content(data["content"], "assistant", f"{where}content")
    elif isinstance(data.get("output"), list) and kind in ("function_call_output", "custom_tool_call_output"):
        data["output"] = _output_parts(data["output"], f"{where}output")


def _status(kind: str, item: dict[str, Any], where: str) -> str:
    word = item.get("status")
    words = statuses_of(kind)
    if word is None:
        return Status.COMPLETED
    if word not in words:
        raise BadRequest(f"'{where}status' must be one of {', '.join(words)}.", param=f"{where}status")
    return str(word)


def _unknown(name: str) -> BadRequest:
    return BadRequest(f"Unknown parameter: {name}.", code="unknown_parameter", param=name)

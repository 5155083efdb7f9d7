"""
OpenAI's types of items beside messages: what each has, and of what type.

What goes out must be what strict clients of OpenAI expect, so what comes in is checked by these. They name
what stands beside `id` and `type`.
"""

from __future__ import annotations

from functools import cache
from typing import Any, get_args

import msgspec
from msgspec import inspect

from apps.conversations.item_types import machines, talk, tools
from apps.conversations.item_types.shared import Strict
from apps.conversations.models import Status
from apps.core.errors import BadRequest

MESSAGE = "message"
TYPES: dict[str, type[Strict]] = {
    "function_call": talk.FunctionCall,
    "function_call_output": talk.FunctionCallOutput,
    "custom_tool_call": talk.CustomToolCall,
    "custom_tool_call_output": talk.CustomToolCallOutput,
    "reasoning": talk.Reasoning,
    "compaction": talk.Compaction,
    "configuration_update": talk.ConfigurationUpdate,
    "file_search_call": talk.FileSearchCall,
    "web_search_call": talk.WebSearchCall,
    "mcp_list_tools": talk.McpListTools,
    "mcp_approval_request": talk.McpApprovalRequest,
    "mcp_approval_response": talk.McpApprovalResponse,
    "mcp_call": talk.McpCall,
    "additional_tools": tools.AdditionalTools,
    "tool_search_call": tools.ToolSearchCall,
    "tool_search_output": tools.ToolSearchOutput,
    "image_generation_call": machines.ImageGenerationCall,
    "computer_call": machines.ComputerCall,
    "computer_call_output": machines.ComputerCallOutput,
    "code_interpreter_call": machines.CodeInterpreterCall,
    "program": machines.Program,
    "program_output": machines.ProgramOutput,
    "local_shell_call": machines.LocalShellCall,
    "local_shell_call_output": machines.LocalShellCallOutput,
    "shell_call": machines.ShellCall,
    "shell_call_output": machines.ShellCallOutput,
    "apply_patch_call": machines.ApplyPatchCall,
    "apply_patch_call_output": machines.ApplyPatchCallOutput,
}
# What of an item says how it belongs to others, which is kept where no text is.
_LINKS = ("call_id", "approval_request_id")


def check(kind: str, given: dict[str, Any], where: str) -> None:
    """Raise BadRequest naming what is not as an item of this type has it. `where` is its place in the body."""
    shape = TYPES[kind]
    for name in given:
        if name not in shape.__struct_encode_fields__:
            unknown = f"{where}{name}"
            raise BadRequest(f"Unknown parameter: {unknown}.", code="unknown_parameter", param=unknown)
    try:
        msgspec.convert(given, shape, strict=True)
    except msgspec.ValidationError as problem:
        what, _, path = str(problem).partition(" - at `$")
        inside = path.rstrip("`").lstrip(".") or _missing(what)
        code = "missing_required_parameter" if "missing required field" in what else "invalid_value"
        param = f"{where}{inside}".rstrip(".") or None
        raise BadRequest(f"Invalid '{kind}' item: {what}.", code=code, param=param) from None


def _missing(what: str) -> str:
    """The field of `Object missing required field `name``."""
    return what.rpartition("field `")[2].rstrip("`") if "required field" in what else ""


@cache
def statuses_of(kind: str) -> tuple[str, ...]:
    """Return the words an item of this type may have as its status."""
    if kind == MESSAGE:
        return tuple(Status)
    field = next((field for field in msgspec.structs.fields(TYPES[kind]) if field.name == "status"), None)
    if field is None:
        return tuple(Status)
    return tuple(word for choice in get_args(field.type) for word in get_args(choice))


def without_text(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    """Return what is left of an item where no text is kept: what its type has to have, and what it belongs to."""
    if kind == MESSAGE:
        return {"content": []}
    shape = inspect.type_info(TYPES[kind])
    assert isinstance(shape, inspect.StructType)
    links = {name: data[name] for name in _LINKS if data.get(name)}
    return {**_blank(shape), **links}


def _blank(shape: inspect.Type) -> Any:
    """Return the least value of a type."""
    if isinstance(shape, inspect.StructType):
        least = {field.encode_name: _blank(field.type) for field in shape.fields if field.required}
        return {shape.tag_field: shape.tag, **least} if shape.tag_field else least
    if isinstance(shape, inspect.UnionType):
        return _blank(shape.types[0])
    if isinstance(shape, inspect.LiteralType):
        return shape.values[0]
    return _LEAST[type(shape)]


_LEAST: dict[type[inspect.Type], Any] = {
    inspect.StrType: "",
    inspect.ListType: [],
    inspect.DictType: {},
    inspect.BoolType: False,
    inspect.IntType: 0,
    inspect.AnyType: {},
}

"""What is said beside messages: calls of the caller's tools, thoughts, searches, MCP."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import field

from apps.conversations.item_types.shared import Caller, Count, Status, Strict, Tagged


class _ReasoningPart(Tagged, tag="reasoning_text"):
    text: str


class _SummaryPart(Tagged, tag="summary_text"):
    text: str


class FunctionCall(Strict):
    call_id: str
    name: str
    arguments: str
    is_async: bool | None = field(default=None, name="async")
    namespace: str | None = None
    caller: Caller = None
    created_by: str | None = None
    status: Status | None = None


class FunctionCallOutput(Strict):
    call_id: str
    output: str | list[Any]  # parts of messages
    name: str | None = None
    namespace: str | None = None
    caller: Caller = None
    created_by: str | None = None
    status: Status | None = None


class CustomToolCall(Strict):
    call_id: str
    name: str
    input: str
    is_async: bool | None = field(default=None, name="async")
    namespace: str | None = None
    caller: Caller = None
    status: Status | None = None


class CustomToolCallOutput(Strict):
    call_id: str
    output: str | list[Any]  # parts of messages
    caller: Caller = None
    status: Status | None = None


class Reasoning(Strict):
    summary: list[_SummaryPart]
    content: list[_ReasoningPart] | None = None
    encrypted_content: str | None = None
    status: Status | None = None


class Compaction(Strict):
    encrypted_content: str
    created_by: str | None = None


class _Effort(Strict):
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None


class _TextFormat(Tagged, tag="text"):
    pass


class _SchemaFormat(Tagged, tag="json_schema"):
    name: str
    schema: dict[str, Any]
    description: str | None = None
    strict: bool | None = None


class _Text(Strict):
    format: _TextFormat | _SchemaFormat


class ConfigurationUpdate(Strict):
    reasoning: _Effort | None = None
    text: _Text | None = None


class _FileResult(Strict):
    attributes: dict[str, str | float | bool] | None = None
    file_id: str | None = None
    filename: str | None = None
    score: float | None = None
    text: str | None = None


class FileSearchCall(Strict):
    queries: list[str]
    results: list[_FileResult] | None = None
    status: Literal["in_progress", "searching", "completed", "incomplete", "failed"] | None = None


class _Source(Tagged, tag="url"):
    url: str


class _Search(Tagged, tag="search"):
    query: str | None = None
    queries: list[str] | None = None
    sources: list[_Source] | None = None


class _OpenPage(Tagged, tag="open_page"):
    url: str | None = None


class _Find(Tagged, tag="find_in_page"):
    pattern: str
    url: str


class WebSearchCall(Strict):
    action: _Search | _OpenPage | _Find
    status: Literal["in_progress", "searching", "completed", "failed", "incomplete"] | None = None


class _McpListedTool(Strict):
    name: str
    input_schema: Any
    annotations: Any = None
    description: str | None = None


class McpListTools(Strict):
    server_label: str
    tools: list[_McpListedTool]
    error: str | None = None


class McpApprovalRequest(Strict):
    server_label: str
    name: str
    arguments: str


class McpApprovalResponse(Strict):
    approval_request_id: str
    approve: bool
    reason: str | None = None


class _ProtocolError(Tagged, tag="mcp_protocol_error"):
    code: Count
    message: str


class _ExecutionError(Tagged, tag="mcp_tool_execution_error"):
    content: Any


class _HttpError(Tagged, tag="http_error"):
    code: Count
    message: str


class McpCall(Strict):
    server_label: str
    name: str
    arguments: str
    output: str | None = None
    error: _ProtocolError | _ExecutionError | _HttpError | None = None
    approval_request_id: str | None = None
    status: Literal["in_progress", "completed", "incomplete", "calling", "failed"] | None = None

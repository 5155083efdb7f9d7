"""Tools that a conversation is given on its way, and the search for them."""

from __future__ import annotations

from typing import Any, Literal

from apps.conversations.item_types.shared import Count, Role, Status, Strict, Tagged


class _FunctionTool(Tagged, tag="function"):
    name: str
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    description: str | None = None


class _CustomTool(Tagged, tag="custom"):
    name: str
    description: str | None = None


class _FileSearchTool(Tagged, tag="file_search"):
    vector_store_ids: list[str]
    max_num_results: Count | None = None


class _WebSearchTool(Tagged, tag="web_search"):
    search_context_size: Literal["low", "medium", "high"] | None = None


class _DatedWebSearchTool(_WebSearchTool, tag="web_search_2025_08_26"):
    pass


class _WebSearchPreviewTool(_WebSearchTool, tag="web_search_preview"):
    pass


class _DatedWebSearchPreviewTool(_WebSearchTool, tag="web_search_preview_2025_03_11"):
    pass


class _McpTool(Tagged, tag="mcp"):
    server_label: str
    server_url: str | None = None
    server_description: str | None = None
    allowed_tools: list[str] | None = None
    require_approval: Literal["always", "never"] | None = None


class _Container(Tagged, tag="auto"):
    file_ids: list[str] | None = None


class _CodeInterpreterTool(Tagged, tag="code_interpreter"):
    container: str | _Container


class _ImageGenerationTool(Tagged, tag="image_generation"):
    model: str | None = None
    size: str | None = None


class _LocalShellTool(Tagged, tag="local_shell"):
    pass


class _ShellTool(Tagged, tag="shell"):
    pass


class _ApplyPatchTool(Tagged, tag="apply_patch"):
    pass


class _ComputerTool(Tagged, tag="computer"):
    pass


class _ComputerPreviewTool(Tagged, tag="computer_use_preview"):
    display_height: Count
    display_width: Count
    environment: Literal["windows", "mac", "linux", "ubuntu", "browser"]


class _ProgrammaticTool(Tagged, tag="programmatic_tool_calling"):
    pass


class _NamespaceTool(Tagged, tag="namespace"):
    name: str
    description: str
    tools: list[_FunctionTool | _CustomTool]


class _ToolSearchTool(Tagged, tag="tool_search"):
    description: str | None = None
    execution: Literal["server", "client"] | None = None
    parameters: Any = None


Tool = (
    _FunctionTool
    | _CustomTool
    | _FileSearchTool
    | _WebSearchTool
    | _DatedWebSearchTool
    | _WebSearchPreviewTool
    | _DatedWebSearchPreviewTool
    | _McpTool
    | _CodeInterpreterTool
    | _ImageGenerationTool
    | _LocalShellTool
    | _ShellTool
    | _ApplyPatchTool
    | _ComputerTool
    | _ComputerPreviewTool
    | _ProgrammaticTool
    | _NamespaceTool
    | _ToolSearchTool
)


class AdditionalTools(Strict):
    role: Role
    tools: list[Tool]


class ToolSearchCall(Strict):
    arguments: Any
    execution: Literal["server", "client"]
    call_id: str | None = None
    created_by: str | None = None
    status: Status | None = None


class ToolSearchOutput(Strict):
    execution: Literal["server", "client"]
    tools: list[Tool]
    call_id: str | None = None
    created_by: str | None = None
    status: Status | None = None

"""A request as it is for people who want no tools."""

from __future__ import annotations

from typing import Any

_OF_TOOLS = frozenset({"tools", "tool_choice", "parallel_tool_calls", "functions", "function_call"})


def without_tools(document: dict[str, Any]) -> dict[str, Any]:
    """Return a chat request that offers the model no tools. Calls of the past, in its messages, stay."""
    return {name: value for name, value in document.items() if name not in _OF_TOOLS}

from __future__ import annotations

from typing import Any

from apps.prompting.tools import without_tools

PLAIN: dict[str, Any] = {
    "model": "m",
    "messages": [
        {"role": "assistant", "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f"}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "42"},
    ],
    "stream": True,
}


def test_no_tools_are_offered_and_nothing_else_changes():
    offering = {
        **PLAIN,
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "functions": [{"name": "f"}],
        "function_call": {"name": "f"},
    }
    before = {**offering}
    assert without_tools(offering) == PLAIN
    assert offering == before


def test_a_request_without_tools_is_the_same():
    assert without_tools(PLAIN) == PLAIN

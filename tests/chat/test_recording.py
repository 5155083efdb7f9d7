from __future__ import annotations

import json
from typing import Any

import pytest

from apps.chat.keeping import is_answer
from apps.chat.recording import Recording
from apps.usage.journal import Tokens


def recorded(*deltas: dict[str, Any], finish: str | None = "stop") -> dict[str, Any]:
    recording = Recording()
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    for delta in deltas:
        recording.take(json.dumps({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}).encode())
    recording.take(json.dumps({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}).encode())
    return recording.document(Tokens(prompt=3, completion=2))


def test_pieces_become_an_answer():
    answer = recorded(
        {"role": "assistant", "content": ""}, {"reasoning_content": "h"}, {"reasoning_content": "m"}, {"content": "Hel"},
        {"content": "lo"},
    )  # fmt: skip
    assert answer == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello", "refusal": None, "reasoning_content": "hm"},
                "finish_reason": "stop",
                "logprobs": None,
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }


def test_calls_of_tools_are_put_together_by_their_place():
    def call(index: int, **function: str) -> dict[str, Any]:
        return {"tool_calls": [{"index": index, "function": function}]}

    first = {"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "add", "arguments": ""}}]}
    second = {"tool_calls": [{"index": 1, "id": "b", "type": "function", "function": {"name": "sub", "arguments": ""}}]}
    answer = recorded(first, call(0, arguments='{"x":'), second, call(1, arguments="{}"), call(0, arguments="1}"))
    assert answer["choices"][0]["message"]["tool_calls"] == [
        {"id": "a", "type": "function", "function": {"name": "add", "arguments": '{"x":1}'}},
        {"id": "b", "type": "function", "function": {"name": "sub", "arguments": "{}"}},
    ]


def test_an_answer_that_broke_off_has_no_reason_to_have_ended():
    assert recorded({"content": "Hel"}, finish=None)["choices"][0]["finish_reason"] is None


@pytest.mark.parametrize(
    ("answer", "is_one"),
    [
        ({"choices": [{"message": {"content": "x"}}]}, True),
        ({}, False),
        ({"choices": []}, False),
        ({"choices": "x"}, False),
        ({"choices": [{}]}, False),
        ({"choices": [{"message": "x"}]}, False),
        ({"choices": ["x"]}, False),
    ],
)
def test_what_can_be_kept(answer: dict[str, Any], is_one: bool):
    assert is_answer(answer) is is_one

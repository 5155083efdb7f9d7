"""
`jan-demo`: the built-in model that answers when no real one is connected.

It does not think and says so. It shows that the server works: it streams, counts tokens (one for
each word and each mark), and calls a tool when it is given one. Pure functions, no I/O.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import struct
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

from apps.core.ids import random_base62

MODEL = "jan-demo"
FINGERPRINT = "jan-demo"
DIMENSIONS = 64
MAX_CHOICES = 8
# Tokens of a text that its vector is made of: pure Python must not hold the event loop for long.
MAX_EMBEDDED = 2048
_TOKEN = re.compile(r"\w+|[^\w\s]")
_PIECE = re.compile(r"\s*\S+|\s+$")
# Values an argument example may have; schemas can refer to themselves.
_MAX_VALUES = 200

_HOW = (
    "This is Jan Server's built-in demo, not a language model: it only shows that the server works. "
    "To connect a real one, start the server with `JAN_INFERENCE_MODEL_URL=http://host:port/v1 make up`, "
    "or add it in the admin under Catalog > Providers."
)


def answer(endpoint: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return the whole answer to a call of `chat/completions`, `completions` or `embeddings`."""
    if endpoint == "embeddings":
        return _embeddings(body)
    is_chat = endpoint == "chat/completions"
    reply = _reply(endpoint, body)
    choices: list[dict[str, Any]] = []
    for index in range(_choices(body)):
        choice: dict[str, Any] = {"index": index, "logprobs": None, "finish_reason": reply["finish_reason"]}
        if is_chat:
            choice["message"] = {"role": "assistant", "content": reply["text"], "refusal": None}
            if reply["tool_call"]:
                choice["message"]["tool_calls"] = [reply["tool_call"]]
        else:
            choice["text"] = reply["text"]
        choices.append(choice)
    return {
        **_frame(endpoint, "chat.completion" if is_chat else "text_completion"),
        "choices": choices,
        "usage": _usage(body, reply),
    }


def stream(endpoint: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the answer's chunks, the last one with the usage."""
    is_chat = endpoint == "chat/completions"
    frame = _frame(endpoint, "chat.completion.chunk" if is_chat else "text_completion")
    reply = _reply(endpoint, body)
    for index in range(_choices(body)):
        if is_chat:
            yield _chunk(frame, index, delta={"role": "assistant", "content": None if reply["tool_call"] else ""})
        for delta in _deltas(reply, is_chat=is_chat):
            yield _chunk(frame, index, **delta)
        end: dict[str, Any] = {"delta": {}} if is_chat else {"text": ""}
        yield _chunk(frame, index, finish_reason=reply["finish_reason"], **end)
    yield {**frame, "choices": [], "usage": _usage(body, reply)}


def _choices(body: dict[str, Any]) -> int:
    asked = body.get("n")
    return min(asked, MAX_CHOICES) if isinstance(asked, int) and asked > 0 else 1


def _frame(endpoint: str, kind: str) -> dict[str, Any]:
    prefix = "chatcmpl" if endpoint == "chat/completions" else "cmpl"
    return {
        "id": f"{prefix}-{random_base62(24)}",
        "object": kind,
        "created": int(time.time()),
        "model": MODEL,
        "system_fingerprint": FINGERPRINT,
    }


def _chunk(frame: dict[str, Any], index: int, *, finish_reason: str | None = None, **content: Any) -> dict[str, Any]:
    return {**frame, "choices": [{"index": index, **content, "logprobs": None, "finish_reason": finish_reason}]}


def _deltas(reply: dict[str, Any], *, is_chat: bool) -> Iterator[dict[str, Any]]:
    call = reply["tool_call"]
    if call:
        head = {**call, "function": {"name": call["function"]["name"], "arguments": ""}}
        yield {"delta": {"tool_calls": [{"index": 0, **head}]}}
        for piece in _PIECE.findall(call["function"]["arguments"]):
            yield {"delta": {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}}
        return
    for piece in _PIECE.findall(reply["text"]):
        yield {"delta": {"content": piece}} if is_chat else {"text": piece}


# --- What it says -------------------------------------------------------------------------------


def _reply(endpoint: str, body: dict[str, Any]) -> dict[str, Any]:
    if endpoint != "chat/completions":
        return _finished(f"{_HOW} You wrote: {_quoted(_text_of(body.get('prompt')))}", body)
    last = (body.get("messages") or [{}])[-1]
    if last.get("role") == "tool":
        return _finished(f"The tool answered: {_quoted(_text_of(last.get('content')))} ({_HOW})", body)
    tool = _wanted_tool(body) if last.get("role") == "user" else None
    if tool is not None:
        example = _Example(tool.get("parameters"), _text_of(last.get("content")))
        arguments = json.dumps(example.value(), ensure_ascii=False)
        function = {"name": str(tool.get("name", "")), "arguments": arguments}
        call = {"id": f"call_{random_base62(24)}", "type": "function", "function": function}
        return {"text": None, "tool_call": call, "finish_reason": "tool_calls", "spoken": arguments}
    return _finished(f"{_HOW} You wrote: {_quoted(_text_of(last.get('content')))}", body)


def _finished(text: str, body: dict[str, Any]) -> dict[str, Any]:
    """Cut a text at the caller's `stop` words and token limit."""
    reason = "stop"
    stops = body.get("stop")
    for stop in stops if isinstance(stops, list) else [stops]:
        if isinstance(stop, str) and stop:
            text = text.split(stop, 1)[0]
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    if isinstance(limit, int) and 0 < limit < count_tokens(text):
        text, reason = text[: [found.end() for found in _TOKEN.finditer(text)][limit - 1]], "length"
    return {"text": text, "tool_call": None, "finish_reason": reason, "spoken": text}


def _quoted(text: str) -> str:
    text = " ".join(text.split())
    return f"“{text[:200]}…”" if len(text) > 200 else f"“{text}”"


def _text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, dict) else part for part in content]
        return " ".join(part for part in parts if isinstance(part, str))
    return ""


def _wanted_tool(body: dict[str, Any]) -> dict[str, Any] | None:
    """Return the function to call: the one `tool_choice` names, else the first."""
    tools = body.get("tools")
    listed = [tool.get("function") for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []
    functions: list[dict[str, Any]] = [function for function in listed if isinstance(function, dict)]
    choice = body.get("tool_choice")
    if choice == "none" or not functions:
        return None
    if isinstance(choice, dict) and isinstance(choice.get("function"), dict):
        return next((each for each in functions if each.get("name") == choice["function"].get("name")), None)
    return functions[0]


class _Example:
    """A value that fits a JSON schema: enums first, strings from the user's words, required properties only."""

    def __init__(self, schema: Any, words: str) -> None:
        self._schema = schema if isinstance(schema, dict) else {}
        self._left = _MAX_VALUES
        self._simple = {"string": words[:100], "integer": 1, "number": 1, "boolean": True, "null": None}

    def value(self) -> Any:
        return self._of(self._schema, 0)

    def _of(self, schema: Any, depth: int) -> Any:
        self._left -= 1
        schema = self._resolved(schema)
        if depth > 5 or self._left < 0:
            return {}
        if "const" in schema:
            return schema["const"]
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            return schema["enum"][0]
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = next((each for each in kind if each != "null"), None)
        if isinstance(kind, str) and kind in self._simple:
            return self._simple[kind]
        if kind == "array":
            return [self._of(schema.get("items"), depth + 1)]
        return self._object(schema, depth)

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties")
        if not isinstance(properties, dict):
            return {}
        required = schema.get("required")
        names = required if isinstance(required, list) else list(properties)
        wanted = [name for name in names[:_MAX_VALUES] if isinstance(name, str)]
        return {name: self._of(properties.get(name), depth + 1) for name in wanted}

    def _resolved(self, schema: Any) -> dict[str, Any]:
        """Follow one choice (`anyOf`, `oneOf`) and one reference into the schema's own definitions."""
        chosen: dict[str, Any] = schema if isinstance(schema, dict) else {}
        options = chosen.get("anyOf") or chosen.get("oneOf")
        if isinstance(options, list):
            chosen = next((each for each in options if isinstance(each, dict) and each.get("type") != "null"), {})
        place, _, name = str(chosen.get("$ref", "")).removeprefix("#/").partition("/")
        if place not in ("$defs", "definitions"):
            return chosen
        definitions = self._schema.get(place)
        found = definitions.get(name) if isinstance(definitions, dict) else None
        return found if isinstance(found, dict) else {}


# --- What it counts -----------------------------------------------------------------------------


def count_tokens(text: str) -> int:
    """One for each word and each mark."""
    return len(_TOKEN.findall(text))


def _usage(body: dict[str, Any], reply: dict[str, Any]) -> dict[str, int]:
    said = body.get("messages") or [{"content": body.get("prompt")}]
    prompt = sum(count_tokens(_text_of(message.get("content"))) for message in said)
    completion = count_tokens(reply["spoken"]) * _choices(body)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


# --- Embeddings ---------------------------------------------------------------------------------


def _embeddings(body: dict[str, Any]) -> dict[str, Any]:
    texts = _inputs(body.get("input"))
    data = []
    for index, text in enumerate(texts):
        vector = _vector(text)
        encoded: Any = vector
        if body.get("encoding_format") == "base64":
            encoded = base64.b64encode(struct.pack(f"<{DIMENSIONS}f", *vector)).decode()
        data.append({"object": "embedding", "index": index, "embedding": encoded})
    tokens = sum(count_tokens(text) for text in texts)
    return {
        "object": "list",
        "model": MODEL,
        "data": data,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        "system_fingerprint": FINGERPRINT,
    }


def _inputs(given: Any) -> list[str]:
    """Return the texts of an `input`: a text, texts, or lists of token numbers, which count as words."""
    if isinstance(given, str):
        return [given]
    if not isinstance(given, list):
        return [""]
    if given and all(isinstance(each, int) for each in given):
        given = [given]
    return [" ".join(map(str, each)) if isinstance(each, list) else str(each) for each in given]


def _vector(text: str) -> list[float]:
    """A unit vector made of hashed words: equal texts are equal, shared words bring texts nearer. Nothing more."""
    vector = [0.0] * DIMENSIONS
    for word in islice(_TOKEN.finditer(text.lower()), MAX_EMBEDDED):
        digest = hashlib.sha256(word[0].encode()).digest()
        vector[digest[0] % DIMENSIONS] += 1.0 if digest[1] & 1 else -1.0
    length = sum(value * value for value in vector) ** 0.5 or 1.0
    return [value / length for value in vector]

"""
A scripted OpenAI-compatible provider on a real socket.

The model's name says what to do: `plain`, `c20-d5` (20 chunks 5 ms apart), or one of the
misbehaviours below. It remembers every request (`requests`) and keeps a ledger of the tokens it
sent under the X-Request-Id it was given (`ledger`).
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Self

PROMPT_TOKENS = 7
MODELS = [
    "plain", "org/plain", "text-embedding-small", "tools", "refusal", "reasoning", "hang-headers", "hang-stream",
    "reset", "fin", "truncated", "status-400", "status-401", "status-429", "status-500", "status-503", "mad-usage",
    "no-usage", "bad-json", "crlf", "split", "odd-lines", "comments", "no-choices", "after-done", "no-done",
    "no-done-cut", "multi-line", "empty-data", "huge", "error-event", "html", "slow", "c5-d1", "c20-d5", "c40-d20",
    "c60-d100", "c100-d20", "c300-d20", "open-end",
]  # fmt: skip
_PACE = re.compile(r"c(\d+)-d(\d+)")


@dataclass
class Received:
    path: str
    headers: dict[str, str]
    body: Any
    raw: bytes


@dataclass
class Sent:
    """What was sent for one request."""

    prompt: int = 0
    completion: int = 0
    is_complete: bool = False
    is_gone: bool = False


@dataclass
class Turn:
    """One request being answered."""

    received: Received
    writer: asyncio.StreamWriter
    sent: Sent
    provider: Provider
    started: bool = field(default=False)

    @property
    def model(self) -> str:
        return str(self.received.body.get("model"))

    async def whole(self, status: int, body: bytes, headers: str = "") -> None:
        head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n{headers}\r\n"
        self.writer.write(head.encode() + body)
        await self.writer.drain()

    async def start(self) -> None:
        self.writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        await self.writer.drain()

    async def raw(self, data: bytes) -> None:
        self.writer.write(b"%x\r\n%s\r\n" % (len(data), data))
        await self.writer.drain()

    async def event(self, document: Any) -> None:
        await self.raw(b"data: " + json.dumps(document).encode() + b"\n\n")

    async def delta(self, text: str) -> None:
        await self.event(self.chunk({"content": text}))
        self.sent.completion += 1

    def chunk(self, delta: dict[str, Any], finish: str | None = None, index: int = 0) -> dict[str, Any]:
        choice: dict[str, Any] = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
        kind = "chat.completion.chunk"
        if "chat" not in self.received.path:
            choice, kind = {**choice, "text": delta.get("content") or ""}, "text_completion"
            del choice["delta"]
        return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": self.model, "choices": [choice]}

    def usage(self) -> dict[str, Any]:
        return {
            "prompt_tokens": self.sent.prompt,
            "completion_tokens": self.sent.completion,
            "total_tokens": self.sent.prompt + self.sent.completion,
            "prompt_tokens_details": {"cached_tokens": 3},
            "completion_tokens_details": {"reasoning_tokens": 2},
        }

    async def end(self, finish: str = "stop") -> None:
        await self.event(self.chunk({}, finish))
        if (self.received.body.get("stream_options") or {}).get("include_usage"):
            await self.event({**self.chunk({}), "choices": [], "usage": self.usage()})
        self.sent.is_complete = True
        await self.raw(b"data: [DONE]\n\n")
        await self.close_body()

    async def close_body(self) -> None:
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()


Script = Callable[[Turn], Coroutine[Any, Any, None]]


class Provider:
    """`with Provider() as provider:` serves in a thread of its own."""

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self.ledger: dict[str, Sent] = {}
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._listener.close()

    def of(self, request_id: str) -> Received:
        return next(each for each in self.requests if each.headers.get("x-request-id") == request_id)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(asyncio.start_server(self._serve, sock=self._listener, limit=2**24, backlog=1024))
        self._loop.call_soon(self._ready.set)
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (received := await _read(reader)) is not None:
                await self._answer(received, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _answer(self, received: Received, writer: asyncio.StreamWriter) -> None:
        self.requests.append(received)
        sent = Sent()
        turn = Turn(received, writer, sent, self)
        if received.path.endswith("/models"):
            data = [{"id": name, "object": "model", "created": 1, "owned_by": "tests"} for name in MODELS]
            await turn.whole(200, json.dumps({"object": "list", "data": data}).encode())
            return
        self.ledger[received.headers.get("x-request-id", "")] = sent
        sent.prompt = PROMPT_TOKENS
        try:
            await SCRIPTS.get(turn.model, _default)(turn)
        except ConnectionError:
            sent.is_gone = True
            raise


async def _read(reader: asyncio.StreamReader) -> Received | None:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:-2])}
    raw = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(lines[0].split(" ")[1], headers, json.loads(raw) if raw else {}, raw)


# --- What it does -------------------------------------------------------------------------------


async def _default(turn: Turn) -> None:
    if turn.received.path.endswith("/embeddings"):
        return await _embeddings(turn)
    pace = _PACE.search(turn.model)
    chunks, delay = (int(pace[1]), int(pace[2])) if pace else (5, 0)
    if not turn.received.body.get("stream"):
        await asyncio.sleep(chunks * delay / 1000)
        turn.sent.completion = chunks
        return await _whole_answer(turn, {"role": "assistant", "content": "word " * chunks, "refusal": None})
    await turn.start()
    await turn.event(turn.chunk({"role": "assistant", "content": ""}))
    for number in range(chunks):
        await turn.delta(f"w{number} ")
        if delay:
            await asyncio.sleep(delay / 1000)
    await turn.end()


async def _whole_answer(turn: Turn, message: dict[str, Any], finish: str = "stop", usage: Any = ...) -> None:
    choice: dict[str, Any] = {"index": 0, "finish_reason": finish, "logprobs": None, "message": message}
    kind = "chat.completion"
    if "chat" not in turn.received.path:
        choice, kind = {**choice, "text": message["content"]}, "text_completion"
        del choice["message"]
    document = {
        "id": "chatcmpl-1",
        "object": kind,
        "created": 1,
        "model": turn.model,
        "choices": [choice],
        "usage": turn.usage() if usage is ... else usage,
        "odd": {"provider": [1.50, None]},
    }
    turn.sent.is_complete = True
    await turn.whole(200, json.dumps(document).encode())


async def _embeddings(turn: Turn) -> None:
    vector: Any = [0.5, -0.25]
    if turn.received.body.get("encoding_format") == "base64":
        vector = base64.b64encode(struct.pack("<2f", *vector)).decode()
    document = {
        "object": "list",
        "model": turn.model,
        "data": [{"object": "embedding", "index": 0, "embedding": vector}],
        "usage": {"prompt_tokens": PROMPT_TOKENS, "total_tokens": PROMPT_TOKENS},
    }
    turn.sent.is_complete = True
    await turn.whole(200, json.dumps(document).encode())


def _call(index: int, name: str) -> dict[str, Any]:
    return {"index": index, "id": f"call_{index}", "type": "function", "function": {"name": name, "arguments": ""}}


async def _tools(turn: Turn) -> None:
    if not turn.received.body.get("stream"):
        turn.sent.completion = 2
        calls = [
            {"id": f"call_{i}", "type": "function", "function": {"name": name, "arguments": f'{{"n": {i}}}'}}
            for i, name in enumerate(("first", "second"))
        ]
        return await _whole_answer(turn, {"role": "assistant", "content": None, "tool_calls": calls}, "tool_calls")
    await turn.start()
    for index, name in enumerate(("first", "second")):
        await turn.event(turn.chunk({"role": "assistant", "tool_calls": [_call(index, name)]}))
        for piece in ('{"n"', f": {index}}}"):
            await turn.event(turn.chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}))
    turn.sent.completion = 6
    await turn.end("tool_calls")


async def _refusal(turn: Turn) -> None:
    await turn.start()
    for piece in ("I ", "cannot."):
        await turn.event(turn.chunk({"role": "assistant", "refusal": piece}))
        turn.sent.completion += 1
    await turn.end()


async def _reasoning(turn: Turn) -> None:
    await turn.start()
    await turn.event(turn.chunk({"role": "assistant", "reasoning_content": "hm"}))
    await turn.delta("so")
    await turn.end()


async def _hang_headers(turn: Turn) -> None:
    await asyncio.sleep(3600)


async def _hang_stream(turn: Turn) -> None:
    await turn.start()
    await turn.delta("a")
    await asyncio.sleep(3600)


async def _begin(turn: Turn) -> None:
    await turn.start()
    await turn.delta("a")
    await turn.delta("b")


async def _reset(turn: Turn) -> None:
    await _begin(turn)
    own = turn.writer.get_extra_info("socket")
    own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    turn.writer.transport.abort()


async def _fin(turn: Turn) -> None:
    await _begin(turn)
    await turn.close_body()  # a proper end of the body, without an end of the answer


async def _truncated(turn: Turn) -> None:
    await _begin(turn)
    turn.writer.write(b"100\r\ndata: {")
    await turn.writer.drain()
    turn.writer.close()


def _status(status: int, error: Any, headers: str = "") -> Script:
    async def answer(turn: Turn) -> None:
        await turn.whole(status, json.dumps(error).encode(), headers)

    return answer


def _wire(*parts: bytes, end: bool = True) -> Script:
    async def answer(turn: Turn) -> None:
        await turn.start()
        await turn.delta("a")
        for part in parts:
            await turn.raw(part)
        if end:
            await turn.end()
        else:
            await turn.close_body()

    return answer


async def _split(turn: Turn) -> None:
    await turn.start()
    data = ("data: " + json.dumps(turn.chunk({"content": "hé"}), ensure_ascii=False) + "\n\n").encode()
    for at in range(0, len(data), 3):
        await turn.raw(data[at : at + 3])
    turn.sent.completion = 1
    await turn.end()


async def _no_done(turn: Turn) -> None:
    await _begin(turn)
    await turn.event(turn.chunk({}, "stop"))
    await turn.close_body()


async def _after_done(turn: Turn) -> None:
    await _begin(turn)
    await turn.event(turn.chunk({}, "stop"))
    await turn.raw(b'data: [DONE]\n\ndata: {"choices":[{"index":0,"delta":{"content":"late"}}]}\n\n')
    await turn.close_body()


async def _open_end(turn: Turn) -> None:
    """The answer is whole, its body stays open."""
    await _begin(turn)
    await turn.event(turn.chunk({}, "stop"))
    await turn.raw(b"data: [DONE]\n\n")
    await asyncio.sleep(3600)


async def _crlf(turn: Turn) -> None:
    await turn.start()
    document = json.dumps(turn.chunk({"content": "x"})).encode()
    await turn.raw(b"id: 7\r\nretry: 9\r\nevent: message\r\ndata: " + document + b"\r\n\r")
    await turn.raw(b"\n")
    turn.sent.completion = 1
    await turn.end()


async def _mad_usage(turn: Turn) -> None:
    mad = {"prompt_tokens": -5, "completion_tokens": 1e18, "total_tokens": "many"}
    if not turn.received.body.get("stream"):
        return await _whole_answer(turn, {"role": "assistant", "content": "x"}, usage=mad)
    await _begin(turn)
    await turn.event({**turn.chunk({}, "stop"), "usage": mad})
    await turn.raw(b"data: [DONE]\n\n")
    await turn.close_body()


async def _no_usage(turn: Turn) -> None:
    if not turn.received.body.get("stream"):
        return await _whole_answer(turn, {"role": "assistant", "content": "x"}, usage=None)
    await _begin(turn)
    await turn.event(turn.chunk({}, "stop"))
    await turn.raw(b"data: [DONE]\n\n")
    await turn.close_body()


_SECRET = {"error": {"message": "boom at db-7.internal, key sk-provider-secret-1234"}}
_REFUSED = {"error": {"message": "messages is too long", "code": "context_length_exceeded", "param": "messages"}}

SCRIPTS: dict[str, Script] = {
    "tools": _tools,
    "refusal": _refusal,
    "reasoning": _reasoning,
    "hang-headers": _hang_headers,
    "hang-stream": _hang_stream,
    "reset": _reset,
    "fin": _fin,
    "truncated": _truncated,
    "status-400": _status(400, _REFUSED),
    "status-401": _status(401, _SECRET),
    "status-429": _status(429, _SECRET, "retry-after: 3\r\n"),
    "status-500": _status(500, _SECRET),
    "status-503": _status(503, _SECRET),
    "html": _status(200, "<html>"),
    "mad-usage": _mad_usage,
    "no-usage": _no_usage,
    "bad-json": _wire(b"data: {not json}\n\n"),
    "error-event": _wire(b'data: {"error": {"message": "boom at db-7.internal"}}\n\n', end=False),
    "crlf": _crlf,
    "split": _split,
    "odd-lines": _wire(b"id: 3\n\n", b"retry: 1000\n\n", b"event: ping\n\n", b"nonsense\n\n"),
    "comments": _wire(b": ping\n\n" * 1000),
    "no-choices": _wire(b'data: {"ping": true}\n\n'),
    "after-done": _after_done,
    "open-end": _open_end,
    "no-done": _no_done,
    "no-done-cut": _wire(end=False),
    "multi-line": _wire(b'data: {"choices": [{"index": 0,\ndata: "delta": {"content": "b"}}]}\n\n'),
    "empty-data": _wire(b"data:\n\n", b"data: \n\n"),
    "huge": _wire(b'data: {"choices":[],"pad":"' + b"x" * (17 * 2**20), end=False),
}

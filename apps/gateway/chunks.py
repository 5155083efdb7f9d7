"""What passes through a stream: checked, counted, renamed where an alias was asked for, otherwise untouched."""

from __future__ import annotations

from typing import Any

import msgspec

from apps.core.errors import UpstreamFailed
from apps.gateway.usage_report import tokens_of
from apps.usage.journal import Tokens

DONE = b"[DONE]"
_NULL = msgspec.Raw(b"null")


class _Delta(msgspec.Struct):
    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: Any = None
    tool_calls: Any = None
    function_call: Any = None
    audio: Any = None


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Delta | None = None
    text: str | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: msgspec.Raw = _NULL
    error: Any = None


_decoder = msgspec.json.Decoder(_Chunk)


class ChunkFilter:
    """
    Takes a provider's payloads, gives back what the client gets, and remembers what the ledger needs.

    `rename` is the model name to answer under, None to leave it. `show_usage` says whether the
    client asked for the usage chunk.
    """

    def __init__(self, *, rename: str | None, show_usage: bool) -> None:
        self._rename = rename
        self._show_usage = show_usage
        self._open_choices: set[int] = set()
        self._seen_choice = False
        self.is_done = False
        self.content_chunks = 0
        self.usage: Tokens | None = None

    @property
    def is_finished(self) -> bool:
        """Whether every choice that began has said why it ended."""
        return self._seen_choice and not self._open_choices

    def take(self, payloads: list[bytes]) -> list[bytes]:
        """Return what to send on. Raises UpstreamFailed for what is no chunk."""
        passed = []
        for payload in payloads:
            if self.is_done:
                break
            if payload == DONE:
                self.is_done = True
                passed.append(payload)
            elif self._keep(payload):
                passed.append(payload if self._rename is None else renamed(payload, self._rename))
        return passed

    def _keep(self, payload: bytes) -> bool:
        try:
            chunk = _decoder.decode(payload)
        except (msgspec.DecodeError, RecursionError):
            raise UpstreamFailed("The provider sent something that is not a chunk of an answer.") from None
        if chunk.error:
            raise UpstreamFailed("The provider failed while it was answering.")
        if chunk.usage != _NULL:
            self.usage = tokens_of(chunk.usage) or self.usage
        if chunk.choices is None:
            return False
        for choice in chunk.choices:
            self._follow(choice)
        return bool(chunk.choices) or chunk.usage == _NULL or self._show_usage

    def _follow(self, choice: _Choice) -> None:
        if choice.finish_reason is not None:
            self._seen_choice = True
            self._open_choices.discard(choice.index)
        elif choice.index not in self._open_choices:
            self._seen_choice = True
            self._open_choices.add(choice.index)
        delta = choice.delta
        if choice.text or (
            delta is not None
            and (
                delta.content
                or delta.tool_calls
                or delta.reasoning_content
                or delta.reasoning
                or delta.refusal
                or delta.function_call
                or delta.audio
            )
        ):
            self.content_chunks += 1


def renamed(document: bytes, model: str) -> bytes:
    """Return a JSON object with its `model` replaced."""
    fields = msgspec.json.decode(document, type=dict[str, msgspec.Raw])
    if "model" in fields:
        fields["model"] = msgspec.Raw(msgspec.json.encode(model))
    return msgspec.json.encode(fields)


class _Answer(msgspec.Struct):
    usage: msgspec.Raw = _NULL
    error: Any = None


def read_answer(body: bytes, *, rename: str | None) -> tuple[bytes, Tokens | None]:
    """Return a whole answer as the client gets it, and its token counts. Raises UpstreamFailed for no JSON object."""
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except (msgspec.DecodeError, RecursionError):
        raise UpstreamFailed("The provider's answer is not valid.") from None
    if answer.error:
        raise UpstreamFailed("The provider failed to answer.")
    usage = tokens_of(answer.usage)
    return (body if rename is None else renamed(body, rename)), usage

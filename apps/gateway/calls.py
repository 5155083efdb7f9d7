"""A model call as the edges understood it: what we act on typed, everything else untouched."""

from __future__ import annotations

from typing import Any

import msgspec

from apps.catalog.snapshot import Target
from apps.core.errors import BadRequest

MAX_MESSAGES = 4096
MAX_TOOLS = 128
MAX_CHOICES = 8
MAX_MODEL_NAME = 255


class StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Body(msgspec.Struct):
    """What every endpoint shares. Unknown fields are not ours to judge: they go to the provider."""

    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = None


class ChatBody(_Body, kw_only=True):
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] | None = None


class CompletionBody(_Body, kw_only=True):
    prompt: str | list[Any] | None = None


class EmbeddingBody(_Body, kw_only=True):
    input: str | list[Any]


BODIES: dict[str, type[_Body]] = {
    "chat/completions": ChatBody,
    "completions": CompletionBody,
    "embeddings": EmbeddingBody,
}


class Call:
    """One request to a model."""

    __slots__ = ("document", "endpoint", "include_usage", "model", "raw", "stream")

    def __init__(
        self,
        endpoint: str,
        document: Any,
        raw: bytes,
        default_model: str | None = None,
        *,
        may_say_nothing: bool = False,
    ) -> None:
        """
        Check what we rely on. `raw` is the body as it came, `document` the same, parsed.

        `default_model` is meant by a body that names none. `may_say_nothing`: its messages are not all it will
        say. Raises BadRequest naming the parameter.
        """
        if default_model is not None and isinstance(document, dict) and document.get("model") is None:
            document = {**document, "model": default_model}
            raw = msgspec.json.encode(document)
        body = _checked(endpoint, document, may_say_nothing=may_say_nothing)
        self.endpoint = endpoint
        self.document: dict[str, Any] = document
        self.raw = raw
        self.model = body.model
        self.stream = bool(body.stream) and endpoint != "embeddings"
        self.include_usage = bool(body.stream_options and body.stream_options.include_usage)

    def body_for(self, target: Target) -> bytes:
        """
        Return the body to send to a provider: the client's own bytes whenever nothing has to change.

        Under an alias the model's name changes; a stream is always asked for its usage.
        """
        ask_usage = self.stream and not self.include_usage
        if target.upstream_model == self.model and not ask_usage:
            return self.raw
        document = {**self.document, "model": target.upstream_model}
        if ask_usage:
            document["stream_options"] = {**(self.document.get("stream_options") or {}), "include_usage": True}
        return msgspec.json.encode(document)


def _checked(endpoint: str, document: Any, *, may_say_nothing: bool) -> _Body:
    if not isinstance(document, dict):
        raise BadRequest("The body must be a JSON object.", code="invalid_json")
    kind = BODIES[endpoint]
    for name in kind.__struct_fields__:
        if name in ("model", "messages", "input") and document.get(name) is None:
            raise BadRequest(f"You must provide '{name}'.", code="missing_required_parameter", param=name)
    try:
        body: _Body = msgspec.convert(document, kind, strict=True)
    except msgspec.ValidationError as problem:
        raise _invalid(str(problem)) from None
    _check_bounds(body, fewest=0 if may_say_nothing else 1)
    return body


def _check_bounds(body: _Body, *, fewest: int) -> None:
    if not 0 < len(body.model) <= MAX_MODEL_NAME:
        raise BadRequest(f"'model' must have 1 to {MAX_MODEL_NAME} characters.", param="model")
    if body.n is not None and not 1 <= body.n <= MAX_CHOICES:
        raise BadRequest(f"'n' must be from 1 to {MAX_CHOICES}.", param="n")
    if isinstance(body, ChatBody):
        if not fewest <= len(body.messages) <= MAX_MESSAGES:
            raise BadRequest(f"'messages' must hold 1 to {MAX_MESSAGES} messages.", param="messages")
        if body.tools is not None and len(body.tools) > MAX_TOOLS:
            raise BadRequest(f"'tools' may hold {MAX_TOOLS} tools at most.", param="tools")


def _invalid(problem: str) -> BadRequest:
    """msgspec says "Expected `str`, got `int` - at `$.model`"; name the parameter instead."""
    what, _, where = problem.partition(" - at `$")
    param = where.strip("`").lstrip(".") or None
    return BadRequest(f"Invalid value for '{param}': {what}." if param else what, param=param)

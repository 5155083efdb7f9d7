"""Model calls in the OpenAPI file: they are served by the edge, so no view describes them."""

from __future__ import annotations

from typing import Any

# Aliases of the same path without /v1.
_TWICE = frozenset({"/v1/healthz", "/v1/readyz"})

_MODEL = {
    "type": "string",
    "description": "A model's id, or an alias. Left out: the project's default model.",
    "examples": ["jan-demo"],
}
_USAGE = {
    "type": "object",
    "properties": {
        "prompt_tokens": {"type": "integer"},
        "completion_tokens": {"type": "integer"},
        "total_tokens": {"type": "integer"},
    },
}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "code", "param", "request_id"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "code": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "request_id": {"type": ["string", "null"]},
                "details": {"type": "object"},
            },
        }
    },
}
_HELLO = {"model": "jan-demo", "messages": [{"role": "user", "content": "Hello!"}]}
_MESSAGE = {
    "type": "object",
    "required": ["role"],
    "additionalProperties": True,
    "properties": {
        "role": {"type": "string", "enum": ["developer", "system", "user", "assistant", "tool", "function"]},
        "content": {"description": "Text, or an array of typed parts."},
    },
}


def _body(required: list[str], properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": required,
        "additionalProperties": True,
        "description": "Every parameter of the OpenAI API is passed on to the provider, unknown ones too.",
        "properties": {"model": _MODEL, **properties},
    }


def _answer(kind: str, **properties: Any) -> dict[str, Any]:
    base = {"object": {"type": "string", "const": kind}, "model": {"type": "string"}, "usage": _USAGE}
    return {"type": "object", "additionalProperties": True, "properties": {**base, **properties}}


_CHOICES = {"type": "array", "items": {"type": "object", "additionalProperties": True}}
_STREAM = {
    "stream": {"type": "boolean", "default": False, "description": "Answer as server-sent events."},
    "stream_options": {"type": "object", "properties": {"include_usage": {"type": "boolean"}}},
}
_CONVERSATION_ID = {"type": "string", "description": "Left out: a new conversation."}
_INPUT = {"description": "Instead of `messages`: a text, or messages."}
_CHAT_ANSWER = {
    "id": "chatcmpl-123",
    "object": "chat.completion",
    "created": 1763700000,
    "model": "jan-demo",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Hello! How can I help?"}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 9, "completion_tokens": 6, "total_tokens": 15},
}
_CHUNK = (
    'data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1763700000,"model":"jan-demo",'
    '"choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]}\n\ndata: [DONE]\n\n'
)


def _operation(
    name: str, summary: str, body: dict[str, Any], answer: dict[str, Any], examples: dict[str, Any], answered: Any
) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": answer, "example": answered}}
    if "stream" in body["properties"]:
        content["text/event-stream"] = {"schema": {"type": "string"}, "example": _CHUNK}
    failures = {
        status: {"description": text, "content": {"application/json": {"schema": _ERROR}}}
        for status, text in (
            ("400", "A parameter is wrong; `param` names it."),
            ("401", "The credential proves nothing."),
            ("403", "The credential calls no models, or not this one (`model_not_allowed`)."),
            ("404", "There is no such model."),
            ("429", "A limit was met; the message names it."),
            ("502", "The provider failed."),
            ("504", "The provider did not answer in time."),
        )
    }
    return {
        "operationId": name,
        "summary": summary,
        "tags": ["Inference"],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": body,
                    "examples": {title: {"value": value} for title, value in examples.items()},
                }
            },
        },
        "responses": {"200": {"description": "The answer.", "content": content}, **failures},
        "security": [{"apiKey": []}, {"bearer": []}],
    }


_IN_CONVERSATION = {**_CHAT_ANSWER, "conversation_id": "conv_7hG2kQ9sXb4mN1pR5tV8wY3z"}


def _conversational(name: str, summary: str) -> dict[str, Any]:
    """A chat in a conversation: what was said before reaches the model, and the turn is stored."""
    conversation = {"conversation_id": _CONVERSATION_ID, "input": _INPUT}
    return _operation(
        name,
        summary,
        _body([], {"messages": {"type": "array", "items": _MESSAGE}, **conversation, **_STREAM}),
        _answer("chat.completion", id={"type": "string"}, choices=_CHOICES, conversation_id={"type": "string"}),
        {
            "A new conversation": {"model": "jan-demo", "input": "Hello!"},
            "Its next turn": {**_HELLO, "conversation_id": "conv_7hG2kQ9sXb4mN1pR5tV8wY3z"},
        },
        _IN_CONVERSATION,
    )


_BRANCHED = {**_IN_CONVERSATION, "branch": "branch_2sT5vW8yZ1aC4dE7fG0hJ3kL"}
_HERE = [
    {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
    for name in ("conversation_id", "item_id")
]
_OF_CONVERSATION = {**_MODEL, "description": "A model's id, or an alias. Left out: the conversation's."}
_CONTENT = {"description": "What is said instead: a text, or an array of typed parts."}
_REGENERATE = {
    "type": "boolean",
    "default": True,
    "description": "False: no model is called. The answer is the branch.",
}


def _forking(
    name: str, summary: str, about: str, properties: dict[str, Any], examples: dict[str, Any]
) -> dict[str, Any]:
    """A chat on a branch that it begins: an ordinary answer that names the branch."""
    named = {"conversation_id": {"type": "string"}, "branch": {"type": ["string", "null"]}}
    operation = _operation(
        name,
        summary,
        _body([], {**properties, **_STREAM, "model": _OF_CONVERSATION}),
        _answer("chat.completion", id={"type": "string"}, choices=_CHOICES, **named),
        examples,
        _BRANCHED,
    )
    missing = {**operation["responses"]["404"], "description": "There is no such model, conversation or item."}
    busy = {**missing, "description": "Another turn is running (`conversation_locked`), or there are 100 branches."}
    responses = {**operation["responses"], "404": missing, "409": busy}
    return {**operation, "tags": ["Conversations"], "description": about, "parameters": _HERE, "responses": responses}


def _answering_again(suffix: str, shown: str) -> dict[str, Any]:
    operation = _forking(
        f"regenerateConversation{suffix}",
        f"Answer again{shown}",
        "The item is of an answer, or what it answers. The new answer stands on a branch of its own, which becomes the "
        "active one; the old one stays on its branch. If it fails before its first word, all stays as it is.",
        {},
        {"The same model": {}, "Another one": {"model": "jan-demo", "temperature": 1.2, "stream": True}},
    )
    body = {**operation["requestBody"], "required": False}
    return {"post": {**operation, "requestBody": body}}


def _editing(suffix: str, shown: str) -> dict[str, Any]:
    operation = _forking(
        f"editConversation{suffix}",
        f"Edit a message{shown}",
        "Something else is said in the place of the message, and answered, on a branch of its own, which becomes the "
        "active one. What was said and answered before stays on its branch.",
        {"content": _CONTENT, "regenerate": _REGENERATE, "messages": {"type": "array", "items": _MESSAGE}},
        {"Another question": {"content": "And in French?"}, "No answer": {"content": "Bonjour", "regenerate": False}},
    )
    schema = {"type": "object", "additionalProperties": True}
    made = {"description": "The branch, if no model was called.", "content": {"application/json": {"schema": schema}}}
    return {"post": {**operation, "responses": {**operation["responses"], "201": made}}}


INFERENCE_PATHS: dict[str, Any] = {
    "/v1/conv/chat/completions": {"post": _conversational("createConversationTurn", "Chat in a conversation")},
    "/v1/conv/mcp": {"post": _conversational("createConversationToolTurn", "Chat in a conversation, with tools")},
    **{
        f"/v1/conversations/{{conversation_id}}/{items}/{{item_id}}/{verb}": operation(suffix, shown)
        for items, suffix, shown in (("items", "Item", ""), ("messages", "Message", " (messages only)"))
        for verb, operation in (("regenerate", _answering_again), ("edit", _editing))
    },
    "/v1/chat/completions": {
        "post": _operation(
            "createChatCompletion",
            "Chat",
            _body(
                ["messages"],
                {
                    "messages": {"type": "array", "minItems": 1, "items": _MESSAGE},
                    "conversation": {"description": "What it is a turn of: an id, `{id}`, or `{}` for a new one."},
                    **_STREAM,
                },
            ),
            _answer("chat.completion", id={"type": "string"}, choices=_CHOICES),
            {"A question": _HELLO, "Streaming": {**_HELLO, "stream": True}},
            _CHAT_ANSWER,
        )
    },
    "/v1/completions": {
        "post": _operation(
            "createCompletion",
            "Complete a text",
            _body(["prompt"], {"prompt": {"description": "Text, texts or tokens."}, **_STREAM}),
            _answer("text_completion", id={"type": "string"}, choices=_CHOICES),
            {"A beginning": {"model": "jan-demo", "prompt": "Once upon a time"}},
            {
                "id": "cmpl-123",
                "object": "text_completion",
                "created": 1763700000,
                "model": "jan-demo",
                "choices": [{"index": 0, "text": " there was", "finish_reason": "stop", "logprobs": None}],
                "usage": {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6},
            },
        )
    },
    "/v1/embeddings": {
        "post": _operation(
            "createEmbedding",
            "Embed text",
            _body(["input"], {"input": {"description": "Text, texts or tokens."}}),
            _answer("list", data={"type": "array", "items": {"type": "object", "additionalProperties": True}}),
            {"A text": {"model": "jan-demo", "input": "Hello!"}},
            {
                "object": "list",
                "model": "jan-demo",
                "data": [{"object": "embedding", "index": 0, "embedding": [0.1, 0.2]}],
                "usage": {"prompt_tokens": 2, "total_tokens": 2},
            },
        )
    },
}


def add_inference(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """drf-spectacular's post-processing hook: put the edge's routes beside the views', also where a path is both's."""
    paths = result["paths"]
    both = {path: {**INFERENCE_PATHS.get(path, {}), **paths.get(path, {})} for path in {*INFERENCE_PATHS, *paths}}
    result["paths"] = dict(sorted(both.items()))
    return result


def only_canonical(endpoints: list[Any], **_: Any) -> list[Any]:
    """drf-spectacular's pre-processing hook: document each route once, under its canonical prefix."""
    other = ("/api/", "/llm/", "/auth/", "/v1/swagger/", "/v1/organization/{org_id}/")
    return [endpoint for endpoint in endpoints if not endpoint[0].startswith(other) and endpoint[0] not in _TWICE]

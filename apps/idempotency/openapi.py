"""The header in the OpenAPI file, on every POST of somebody with a credential."""

from __future__ import annotations

from typing import Any

from apps.idempotency.models import MAX_KEY
from apps.idempotency.services import HEADER

_PARAMETER = {
    "name": HEADER,
    "in": "header",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": "^[ -~]+$"},
    "example": "3b1f0f5e-9c1d-4d3e-8a57-6f2d1f0c7a10",
    "description": (
        "A word of your own for this request. Sent again within 24 hours with the same body, it is not done again: "
        "the first answer comes again, with `Idempotent-Replayed: true`, streams too. Another body under the same key "
        "is refused with 422 (`idempotency_key_reused`); while the first is still running the answer is 409 with "
        "`Retry-After`."
    ),
}


_REFERENCE = {"$ref": "#/components/parameters/IdempotencyKey"}


def add_header(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Name the header on each POST. A hook of drf-spectacular; it runs when the model calls are there."""
    result["components"].setdefault("parameters", {})["IdempotencyKey"] = _PARAMETER
    result["paths"] = {path: _named(operations) for path, operations in result["paths"].items()}
    return result


def _named(operations: dict[str, Any]) -> dict[str, Any]:
    post = operations.get("post")
    if post is None or {"apiKey": []} not in post.get("security", ()):
        return operations
    return {**operations, "post": {**post, "parameters": [*post.get("parameters", ()), _REFERENCE]}}

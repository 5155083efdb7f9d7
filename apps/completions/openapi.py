"""Shapes and examples of stored completions in the API's description."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers

from apps.organizations import openapi as shapes

COMPLETION = {
    "id": "chatcmpl-4Xn0b1Jq8sT2vW5yZ7aC9dE3",
    "object": "chat.completion",
    "created": 1795253400,
    "model": "jan-v1-4b",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "logprobs": None,
            "message": {"role": "assistant", "content": "Hello!", "refusal": None},
        }
    ],
    "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
    "metadata": {"topic": "greeting"},
    "request_id": "req_6Zq2b1Jq8sT2vW5yZ7aC9dE3",
    "temperature": 0.7,
}
MESSAGE = {
    "id": f"{COMPLETION['id']}-0",
    "role": "user",
    "content": "Hi",
    "content_parts": None,
    "name": None,
    "refusal": None,
}
COMPLETION_EXAMPLE = shapes.answer("A stored completion", COMPLETION)
LABELS_EXAMPLE = shapes.body("Other metadata", {"metadata": {"topic": "small talk"}})
FILTERS = [
    OpenApiParameter("model", OpenApiTypes.STR, description="Only calls of this model."),
    OpenApiParameter(
        "metadata",
        {"type": "object", "additionalProperties": {"type": "string"}},
        style="deepObject",
        explode=True,
        description="Only those with all of these: `metadata[topic]=greeting`.",
    ),
]


class CompletionShape(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = serializers.CharField(default="chat.completion")
    created = serializers.IntegerField()
    model = serializers.CharField()
    choices = serializers.ListField(child=serializers.DictField())
    usage = serializers.DictField(required=False)
    metadata = serializers.DictField(child=serializers.CharField())
    request_id = serializers.CharField()


class CompletionPage(shapes.Page):
    data = CompletionShape(many=True)  # type: ignore[assignment]  # the contract's key shadows DRF's attribute


class CompletionMessageShape(serializers.Serializer[Any]):
    id = serializers.CharField()
    role = serializers.CharField()
    content = serializers.CharField(allow_null=True)
    content_parts = serializers.ListField(child=serializers.DictField(), allow_null=True)
    name = serializers.CharField(allow_null=True)
    refusal = serializers.CharField(allow_null=True)
    tool_calls = serializers.ListField(child=serializers.DictField(), required=False)
    tool_call_id = serializers.CharField(required=False)


class CompletionMessagePage(shapes.Page):
    data = CompletionMessageShape(many=True)  # type: ignore[assignment]  # the contract's key shadows DRF's attribute

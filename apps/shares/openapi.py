"""Shapes and examples of shares in the API's description."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.organizations import openapi as shapes

_SLUG = "7Kq0b1Jq8sT2vW5yZ7aC9dE3fG6hJ8kL"
SHARE = {
    "id": "share_4Xn0b1Jq8sT2vW5yZ7aC9dE3",
    "object": "conversation.share",
    "conversation_id": "conv_5Yp1b1Jq8sT2vW5yZ7aC9dE3",
    "title": "A trip to Lisbon",
    "slug": _SLUG,
    "url": f"http://localhost:8000/share/{_SLUG}",
    "item_count": 2,
    "view_count": 0,
    "expires_at": 1797845400,
    "created_at": 1795253400,
}
_ENTRY = {
    "type": "message",
    "role": "user",
    "parts": [{"type": "text", "text": "Where should I eat?"}],
    "created_at": 1795253400,
}
PUBLIC = {
    "object": "public_share",
    "title": "A trip to Lisbon",
    "items": [_ENTRY],
    "created_at": 1795253400,
    "expires_at": 1797845400,
}
NEW_SHARE_EXAMPLE = shapes.body("For a month", {"title": "A trip to Lisbon", "expires_in_days": 30})
SHARE_EXAMPLE = shapes.answer("A share", SHARE)
PUBLIC_EXAMPLE = shapes.answer("What everybody sees", PUBLIC)


class ShareShape(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = serializers.CharField(default="conversation.share")
    conversation_id = serializers.CharField()
    title = serializers.CharField()
    slug = serializers.CharField(help_text="Whoever has it may read the share.")
    url = serializers.CharField(help_text="The page.")
    item_count = serializers.IntegerField()
    view_count = serializers.IntegerField()
    expires_at = serializers.IntegerField(allow_null=True)
    created_at = serializers.IntegerField()


class SharePage(shapes.Page):
    data = ShareShape(many=True)  # type: ignore[assignment]  # the contract's key shadows DRF's attribute


class PublicShareShape(serializers.Serializer[Any]):
    object = serializers.CharField(default="public_share")
    title = serializers.CharField()
    items = serializers.ListField(
        child=serializers.DictField(), help_text="`message`, `reasoning`, `tool_call` and `tool_result`."
    )
    created_at = serializers.IntegerField()
    expires_at = serializers.IntegerField(allow_null=True)

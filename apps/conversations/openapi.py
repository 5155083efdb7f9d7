"""Shapes and examples of conversations and items in the API's description."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter
from rest_framework import serializers

CURSORS = [
    OpenApiParameter("limit", OpenApiTypes.INT, description="1 to 100, 20 by default."),
    OpenApiParameter("after", OpenApiTypes.STR, description="The last id of the page before."),
    OpenApiParameter("before", OpenApiTypes.STR, description="The first id of the page after."),
    OpenApiParameter("order", OpenApiTypes.STR, enum=["asc", "desc"], description="desc by default."),
    OpenApiParameter("offset", OpenApiTypes.INT, description="Instead of a cursor."),
]
CONVERSATION_FILTERS = [
    OpenApiParameter("project_id", OpenApiTypes.STR, description="Those of a chat project."),
    OpenApiParameter(
        "archived", OpenApiTypes.STR, enum=["true", "false", "all"], description="false by default: not the archive."
    ),
    OpenApiParameter(
        "q",
        OpenApiTypes.STR,
        description="Words, each of which occurs in the title or in one message or other item. The last may be a "
        "beginning.",
    ),
]
EXPAND = OpenApiParameter(
    "expand", OpenApiTypes.STR, enum=["items"], description="`items`: with the newest 100 items, the oldest first."
)
INCLUDE = OpenApiParameter(
    "include[]", OpenApiTypes.STR, many=True, description="Accepted. Everything is included anyway."
)

BRANCH = OpenApiParameter("branch", OpenApiTypes.STR, description="A branch's name. Left out: the active one.")


class ItemShape(serializers.Serializer[Any]):
    """And what OpenAI's object of that type has."""

    id = serializers.CharField()
    object = serializers.CharField(default="conversation.item")
    type = serializers.CharField(help_text="`message`, `function_call`, `reasoning` or another of OpenAI's types")
    status = serializers.CharField()
    role = serializers.CharField(required=False)
    content = serializers.ListField(child=serializers.DictField(), required=False, help_text="Typed parts.")
    text = serializers.CharField(required=False, help_text="What a message says, as plain text.")
    conversation_id = serializers.CharField()
    created_at = serializers.IntegerField()
    sequence_number = serializers.IntegerField(help_text="Its place: grows along the conversation.")
    metadata = serializers.DictField()
    rating = serializers.ChoiceField(choices=["like", "unlike"], allow_null=True)
    model = serializers.CharField(allow_null=True, help_text="Which wrote it.")
    usage = serializers.DictField(allow_null=True)


class ConversationShape(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = serializers.CharField(default="conversation")
    created_at = serializers.IntegerField()
    updated_at = serializers.IntegerField()
    title = serializers.CharField()
    description = serializers.CharField(allow_null=True)
    model = serializers.CharField(allow_null=True)
    metadata = serializers.DictField()
    project_id = serializers.CharField(allow_null=True, help_text="Its chat project.")
    instruction = serializers.CharField(allow_null=True, help_text="What the chat project tells the model.")
    item_count = serializers.IntegerField()
    branch = serializers.CharField(help_text="The branch that is read and written.")
    user_id = serializers.CharField(allow_null=True, help_text="Whose it is; null: the key's project's.")
    archived = serializers.BooleanField()
    archived_at = serializers.IntegerField(allow_null=True)
    referrer = serializers.CharField(allow_null=True)
    items = ItemShape(many=True, required=False, help_text="With `expand=items`: the newest 100, the oldest first.")
    has_more_items = serializers.BooleanField(required=False, help_text="With `expand=items`: there are older ones.")


class ConversationAfterDeletion(ConversationShape):
    deleted = serializers.BooleanField()
    deleted_item_id = serializers.CharField()


class _Page(serializers.Serializer[Any]):
    object = serializers.CharField(default="list")
    first_id = serializers.CharField(allow_null=True)
    last_id = serializers.CharField(allow_null=True)
    has_more = serializers.BooleanField()
    next_after = serializers.CharField(allow_null=True)
    total = serializers.IntegerField(help_text="10000 with `total_capped` if there are more.")
    total_capped = serializers.BooleanField(required=False)
    limit = serializers.IntegerField(required=False, help_text="With `offset`.")
    offset = serializers.IntegerField(required=False, help_text="With `offset`.")


class ConversationPage(_Page):
    data = ConversationShape(many=True)  # type: ignore[assignment]  # the contract's key shadows DRF's attribute
    conversations = ConversationShape(many=True, required=False, help_text="With `offset`: the same as `data`.")


class ItemPage(_Page):
    data = ItemShape(many=True)  # type: ignore[assignment]  # the contract's key shadows DRF's attribute
    items = ItemShape(many=True, required=False, help_text="With `offset`, and of new ones: the same as `data`.")


class MessagePage(_Page):
    data = ItemShape(many=True)  # type: ignore[assignment]  # the contract's key shadows DRF's attribute
    messages = ItemShape(many=True, required=False, help_text="With `offset`, and of new ones: the same as `data`.")


class NewItems(serializers.Serializer[Any]):
    items = serializers.ListField(child=serializers.DictField(), min_length=1, max_length=20)


class DeletedConversation(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = serializers.CharField(default="conversation.deleted")
    deleted = serializers.BooleanField()


class DeletedConversations(serializers.Serializer[Any]):
    object = serializers.CharField(default="conversation.list.deleted")
    deleted = serializers.BooleanField()
    deleted_count = serializers.IntegerField()


def _answer(name: str, value: dict[str, Any]) -> OpenApiExample:
    return OpenApiExample(name, value=value, response_only=True)


def _body(name: str, value: dict[str, Any]) -> OpenApiExample:
    return OpenApiExample(name, value=value, request_only=True)


def _page(row: dict[str, Any]) -> dict[str, Any]:
    ends = {"first_id": row["id"], "last_id": row["id"], "has_more": False, "next_after": None, "total": 1}
    return {"object": "list", "data": [row], **ends}


_CONVERSATION = {
    "id": "conv_4Xn0b1Jq8sT2vW5yZ7aC9dE3",
    "object": "conversation",
    "created_at": 1767225600,
    "updated_at": 1767225660,
    "title": "Machine Learning Discussion",
    "description": None,
    "model": "jan-v1-4b",
    "metadata": {"category": "technical", "tags": ["ai", "ml"]},
    "project_id": None,
    "instruction": None,
    "item_count": 1,
    "branch": "MAIN",
    "user_id": "user_9dE3fG5hJ7kL1mN2pQ4rS6tU",
    "archived": False,
    "archived_at": None,
    "referrer": None,
}
_ITEM = {
    "id": "msg_7aC9dE3fG5hJ7kL1mN2pQ4rS",
    "object": "conversation.item",
    "type": "message",
    "role": "user",
    "content": [{"type": "input_text", "text": "Hello!", "input_text": "Hello!"}],
    "text": "Hello!",
    "status": "completed",
    "conversation_id": _CONVERSATION["id"],
    "created_at": 1767225660,
    "sequence_number": 1,
    "metadata": {},
    "rating": None,
    "model": None,
    "usage": None,
}
CONVERSATION_EXAMPLE = _answer("A conversation", _CONVERSATION)
CONVERSATIONS_EXAMPLE = _answer("A page", _page(_CONVERSATION))
NEW_CONVERSATION_EXAMPLE = _body(
    "A conversation",
    {"title": "Machine Learning Discussion", "model": "jan-v1-4b", "metadata": {"category": "technical"}},
)
CHANGED_CONVERSATION_EXAMPLE = _body("A new title", {"title": "Updated Title", "archived": False})
DELETED_EXAMPLE = _answer("Deleted", {"id": _CONVERSATION["id"], "object": "conversation.deleted", "deleted": True})
ALL_DELETED_EXAMPLE = _answer(
    "All deleted", {"object": "conversation.list.deleted", "deleted": True, "deleted_count": 12}
)
ITEM_EXAMPLE = _answer("A message", _ITEM)
ITEMS_EXAMPLE = _answer("A page", _page(_ITEM))
NEW_ITEMS_EXAMPLE = _body(
    "A message",
    {"items": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello!"}]}]},
)
RATING_EXAMPLE = _body("A rating", {"rating": "like"})
ITEM_DELETED_EXAMPLE = _answer(
    "What is left", {**_CONVERSATION, "item_count": 0, "deleted": True, "deleted_item_id": _ITEM["id"]}
)

"""What callers may say of chat projects, and how they are shown."""

from __future__ import annotations

import unicodedata
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request

from apps.conversations.models import ChatProject
from apps.core.http.moments import moment
from apps.core.http.serializers import StrictSerializer

MAX_INSTRUCTION = 32_768
# Control characters, halves of pairs, and ends of lines and paragraphs. Joiners, which emoji need, are none of these.
_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
# What turns the direction of the text around it.
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class NameField(serializers.CharField):
    """One line of 1 to 120 characters that show."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=120, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        name = super().to_internal_value(data)
        if any(unicodedata.category(each) in _UNPRINTABLE or each in _TURNING for each in name):
            raise serializers.ValidationError("A name is one line of printable characters.")
        if all(unicodedata.category(each)[0] in "CMZ" for each in name):
            raise serializers.ValidationError("A name needs a character that shows.")
        return name


class ChangedChatProject(StrictSerializer):
    """`archived` and `is_archived` are the same."""

    name = NameField(required=False)
    instruction = serializers.CharField(
        max_length=MAX_INSTRUCTION,
        required=False,
        allow_blank=True,
        allow_null=True,
        trim_whitespace=False,
        help_text="What the model is told in every conversation of the project. Null is the same as none.",
    )
    is_favorite = serializers.BooleanField(required=False)
    archived = serializers.BooleanField(required=False)
    is_archived = serializers.BooleanField(required=False, help_text="The same as `archived`.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        given = {attrs.pop(name) for name in ("archived", "is_archived") if name in attrs}
        if len(given) > 1:
            raise serializers.ValidationError({"archived": "'archived' and 'is_archived' differ. Send one of them."})
        if given:
            attrs["is_archived"] = given.pop()
        if attrs.get("instruction", "") is None:
            attrs["instruction"] = ""
        return attrs


class NewChatProject(ChangedChatProject):
    name = NameField()


class ChatProjectShape(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = serializers.CharField(default="project")
    name = serializers.CharField()
    instruction = serializers.CharField()
    is_favorite = serializers.BooleanField()
    archived = serializers.BooleanField()
    is_archived = serializers.BooleanField(help_text="The same.")
    archived_at = serializers.IntegerField(allow_null=True)
    created_at = serializers.IntegerField()
    updated_at = serializers.IntegerField()


def chat_project_document(request: Request, chat_project: ChatProject) -> dict[str, Any]:
    """Return a chat project as clients know it."""
    is_archived = chat_project.archived_at is not None
    return {
        "id": chat_project.public_id,
        "object": "project",
        "name": chat_project.name,
        "instruction": chat_project.instruction,
        "is_favorite": chat_project.is_favorite,
        "archived": is_archived,
        "is_archived": is_archived,
        "archived_at": moment(request, chat_project.archived_at),
        "created_at": moment(request, chat_project.created_at),
        "updated_at": moment(request, chat_project.updated_at),
    }

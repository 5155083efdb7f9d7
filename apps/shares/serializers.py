"""What callers may say of shares, and how they are shown."""

from __future__ import annotations

import datetime
from typing import Any

from django.conf import settings
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request

from apps.conversations.models import MAX_TITLE
from apps.core.http.moments import moment
from apps.core.http.parameters import MAX_SECONDS
from apps.core.http.serializers import StrictSerializer
from apps.core.sealing import Opener
from apps.shares.models import Share

MAX_DAYS = 3650


@extend_schema_field({"oneOf": [{"type": "integer"}, {"type": "string", "format": "date-time"}]})
class MomentField(serializers.Field[Any, Any, Any, Any]):
    """A time to come: unix seconds, or ISO 8601 with its time zone."""

    def to_internal_value(self, data: Any) -> datetime.datetime:
        found = _moment_in(data)
        if found is None:
            raise serializers.ValidationError("Write a time in unix seconds, or in ISO 8601 with its time zone.")
        if found <= timezone.now():
            raise serializers.ValidationError("This time is over.")
        return found


def _moment_in(data: Any) -> datetime.datetime | None:
    if isinstance(data, int) and not isinstance(data, bool):
        return datetime.datetime.fromtimestamp(data, datetime.UTC) if 0 <= data <= MAX_SECONDS else None
    try:
        found = parse_datetime(data) if isinstance(data, str) else None
        return found.astimezone(datetime.UTC) if found is not None and found.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


class NewShare(StrictSerializer):
    title = serializers.CharField(
        max_length=MAX_TITLE, required=False, allow_blank=True, allow_null=True, help_text="The conversation's if none."
    )
    expires_in_days = serializers.IntegerField(min_value=1, max_value=MAX_DAYS, required=False, allow_null=True)
    expires_at = MomentField(required=False, allow_null=True, help_text="Instead: unix seconds, or ISO 8601.")
    item_id = serializers.CharField(
        max_length=64, required=False, allow_null=True, help_text="The last item to show. All are shown if none."
    )
    branch = serializers.CharField(max_length=64, required=False, allow_null=True, help_text="The active one if none.")
    include_reasoning = serializers.BooleanField(required=False)
    include_tools = serializers.BooleanField(required=False, help_text="Calls of tools and what came of them.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        given = {name: value for name, value in attrs.items() if value is not None}
        days = given.pop("expires_in_days", None)
        if days is not None and "expires_at" in given:
            raise serializers.ValidationError({"expires_at": "Use either 'expires_in_days' or 'expires_at'."})
        if days is not None:
            given["expires_at"] = timezone.now() + datetime.timedelta(days=days)
        return given


def share_document(request: Request, share: Share, unsealed: Opener) -> dict[str, Any]:
    """Return a share as its owner sees it."""
    slug = share.slug(unsealed)
    return {
        "id": share.public_id,
        "object": "conversation.share",
        "conversation_id": share.conversation.public_id,
        "title": share.title,
        "slug": slug,
        "url": f"{settings.PUBLIC_URL}/share/{slug}",
        "item_count": len(share.snapshot),
        "view_count": share.view_count,
        "expires_at": moment(request, share.expires_at),
        "created_at": moment(request, share.created_at),
    }


def public_document(request: Request, share: Share) -> dict[str, Any]:
    """Return a share as everybody sees it: nothing says whose it is."""
    return {
        "object": "public_share",
        "title": share.title,
        "items": share.snapshot,
        "created_at": moment(request, share.created_at),
        "expires_at": moment(request, share.expires_at),
    }

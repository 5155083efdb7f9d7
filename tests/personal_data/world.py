"""A person with one of everything that people own."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from apps.completions.models import StoredCompletion
from apps.conversations.models import ChatProject, Conversation, Item
from apps.idempotency.models import IdempotencyRecord
from apps.shares.models import Share
from apps.usage.models import UsageRecord
from apps.user_settings.models import UserSettings
from tests.api_keys.conftest import Caller

CONVERSATIONS = "/v1/conversations"


def furnish(caller: Caller, word: str) -> dict[str, Any]:
    """Make one of everything for somebody, with `word` in it, and return the ids."""
    folder = caller.call("POST", "/v1/projects", {"name": f"{word} folder", "instruction": word}).json()["id"]
    items = [{"type": "message", "role": "user", "content": f"{word} {n}"} for n in (1, 2)]
    conversation = caller.call("POST", CONVERSATIONS, {"title": word, "project_id": folder, "items": items}).json()
    key = caller.with_key(name=f"{word} key").key
    assert key is not None
    own = {"organization": caller.organization, "project": caller.project, "user": caller.user}
    completion = StoredCompletion.objects.create(
        **own, model="m", messages=[{"role": "user", "content": word}], answer={"object": "chat.completion"}
    )
    share = Share(**own, conversation=Conversation.objects.get(public_id=conversation["id"]), snapshot=[word])
    share.draw_slug(caller.organization.public_id)
    share.save()
    UserSettings.objects.create(user=caller.user, saved={"profile_settings": {"nick_name": word}})
    record = UsageRecord.objects.create(
        **own, request_id=f"req_{word}", endpoint="chat/completions", model="m", state="completed",
        accepted_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    )  # fmt: skip
    IdempotencyRecord.objects.create(
        organization=caller.organization, credential=key.public_id, route="POST /v1/chat/completions", key=word,
        digest="d", state="finished", status=200, finished_at=record.accepted_at, lease_until=record.accepted_at,
        body=word.encode(),
    )  # fmt: skip
    return {
        "folder": folder,
        "conversation": conversation["id"],
        "key": key.public_id,
        "completion": completion.public_id,
        "share": share.public_id,
        "usage": record.public_id,
    }


def owned_by(caller: Caller) -> dict[str, int]:
    """Count what somebody owns."""
    user = caller.user
    return {
        "conversations": Conversation.objects.filter(user=user).count(),
        "items": Item.objects.filter(conversation__user=user).count(),
        "folders": ChatProject.objects.filter(user=user).count(),
        "completions": StoredCompletion.objects.filter(user=user).count(),
        "shares": Share.objects.filter(user=user).count(),
        "settings": UserSettings.objects.filter(user=user).count(),
        "keys": user.api_keys.count(),
        "memberships": user.memberships.count(),
        "usage": UsageRecord.objects.filter(user_id=user.pk).count(),
    }

"""Conversations that their owner shows to whoever has a link."""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils import timezone

from apps.conversations.models import MAX_TITLE, Conversation, OwnedModel, OwnedQuerySet
from apps.core.ids import PublicIdField, random_base62
from apps.core.sealing import Opener, seal

# 32 base62 characters are 190 bits.
SLUG_LENGTH = 32


def digest_of(slug: str) -> str:
    """Return what a slug is looked up by."""
    return hashlib.sha256(b"jan.share:" + slug.encode()).hexdigest()


class ShareQuerySet(OwnedQuerySet):
    def of(self, conversation: Conversation) -> Self:
        return self.filter(conversation=conversation)

    def standing(self) -> Self:
        """Those that were not revoked, expired or not."""
        return self.filter(revoked_at=None)

    def open(self) -> Self:
        """Those that anybody with the link may see: not revoked, not over, and all that they are of still there."""
        in_time = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
        present = Q(organization__deleted_at=None, project__deleted_at=None)
        owned = Q(user=None) | Q(user__is_active=True)
        return self.standing().filter(in_time & present & owned)

    def with_slug(self, slug: str) -> Share | None:
        """Return the one this slug leads to, among these."""
        return self.filter(slug_digest=digest_of(slug)).first()


class Share(OwnedModel):
    """
    A copy of a conversation as it was when it was shared; what happens there later does not show here.

    Whoever has the slug may read it, so the database has its digest, and the slug sealed, to be shown to
    the owner. `snapshot` is what is shown (`apps.shares.snapshot`).
    """

    public_id = PublicIdField("share")
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="shares")
    slug_digest = models.CharField(max_length=64, unique=True, editable=False)
    sealed_slug = models.TextField(editable=False)
    title = models.CharField(max_length=MAX_TITLE, blank=True)
    snapshot: models.JSONField[list[Any], list[Any]] = models.JSONField(default=list)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    view_count = models.PositiveBigIntegerField(default=0, editable=False)

    objects: ClassVar[ShareQuerySet] = ShareQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["organization", "-created_at"], name="share_org_idx"),
            models.Index(fields=["project", "-created_at"], name="share_project_idx"),
            models.Index(fields=["-created_at", "-id"], name="share_created_idx"),
        ]

    def __str__(self) -> str:
        return self.public_id

    def slug(self, unsealed: Opener) -> str:
        """Return its slug, read with what opens its organization's values."""
        return unsealed(self.sealed_slug, self._seal_context)

    def draw_slug(self, organization: str) -> None:
        """Give a new row its slug. `organization` is the public id of its own."""
        slug = random_base62(SLUG_LENGTH)
        self.slug_digest = digest_of(slug)
        self.sealed_slug = seal(slug, owner=organization, context=self._seal_context)

    @property
    def _seal_context(self) -> str:
        return f"share:{self.public_id}:slug"

"""Sharing a conversation, and taking that back."""

from __future__ import annotations

import datetime

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from apps.audit.services import Action, Actor, record
from apps.conversations.models import Branch, Conversation
from apps.conversations.paths import item_with
from apps.conversations.services import lock_row
from apps.core.errors import Conflict, Forbidden, NotFound
from apps.organizations.actors import actor_of_caller
from apps.organizations.organization_settings import Storage
from apps.organizations.principal import Principal
from apps.shares.models import Share
from apps.shares.snapshot import Wish, snapshot_of

# Shares of one conversation that may stand at once.
MAX_SHARES = 100


@transaction.atomic
def create_share(
    *,
    principal: Principal,
    conversation: Conversation,
    branch: Branch,
    title: str = "",
    expires_at: datetime.datetime | None = None,
    item_id: str | None = None,
    wish: Wish,
) -> Share:
    """
    Show a conversation of the caller's, as a branch of it is now, to whoever has the link.

    Without a title it has the conversation's. Raises NotFound for an unknown item or a conversation that was
    deleted a moment ago, BadRequest for one that is too large, Conflict (`too_many_shares`), and Forbidden
    (`storage_disabled`) in a project that keeps no text.
    """
    if principal.storage is not Storage.STORE:
        raise Forbidden("This project keeps nothing that could be shared.", code="storage_disabled")
    # A deletion waits for the share and takes it along, or comes first.
    held = lock_row(conversation)
    if Share.objects.of(held).standing().count() >= MAX_SHARES:
        raise Conflict(f"A conversation may have {MAX_SHARES} shares at once. Revoke some.", code="too_many_shares")
    last = item_with(branch, item_id) if item_id is not None else None
    if item_id is not None and last is None:
        raise NotFound("There is no such item in the conversation.", code="item_not_found", param="item_id")
    share = Share(
        organization_id=held.organization_id,
        project_id=held.project_id,
        user_id=held.user_id,
        conversation=held,
        title=title or held.title,
        snapshot=snapshot_of(branch, wish, last),
        expires_at=expires_at,
    )
    share.draw_slug(principal.organization_public_id)
    share.save(force_insert=True)
    details = {"conversation": held.public_id, "expires_at": expires_at.isoformat() if expires_at else None}
    record(
        Action.SHARE_CREATED,
        actor=actor_of_caller(principal),
        organization=principal.organization_public_id,
        project=principal.project_public_id,
        target_kind="share",
        target_id=share.public_id,
        **details,
    )
    return share


@transaction.atomic
def revoke_share(*, share: Share, actor: Actor) -> None:
    """Show it to nobody any more, at once. Raises NotFound if that was done already."""
    rows = Share.objects.in_organization(share.organization_id).standing().filter(pk=share.pk)
    if not rows.update(revoked_at=timezone.now()):
        raise not_found()
    record(
        Action.SHARE_DELETED,
        actor=actor,
        organization=share.organization.public_id,
        project=share.project.public_id,
        target_kind="share",
        target_id=share.public_id,
    )


def view_share(slug: str) -> Share:
    """
    Return what a link leads to, and count that somebody looked.

    Raises NotFound, the same for a slug that never was, one that was revoked and one whose time is over.
    """
    share = Share.objects.open().with_slug(slug)
    if share is None:
        raise not_found()
    Share.objects.in_organization(share.organization_id).filter(pk=share.pk).update(view_count=F("view_count") + 1)
    return share


def not_found() -> NotFound:
    """Return what is said of a share that is not there, or not for the caller."""
    return NotFound("There is no such share.", code="share_not_found")

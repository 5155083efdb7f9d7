"""What can be done with API keys."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.sessions import actor_of
from apps.api_keys.models import ApiKey
from apps.api_keys.tokens import KeyKind, digests, new_token
from apps.audit.services import Action, Actor, record
from apps.core.errors import BadRequest, Conflict, Forbidden, NotFound, Unauthenticated
from apps.organizations.models import Membership
from apps.organizations.principal import Principal
from apps.organizations.roles import Scope, scopes_of
from apps.projects.models import Project

LAST_USED_EVERY = datetime.timedelta(minutes=1)
MAX_LIFE = datetime.timedelta(days=3650)
# How long the secret before a rotation goes on working, and the most that may be asked for.
OVERLAP = datetime.timedelta(days=1)
MAX_OVERLAP = datetime.timedelta(days=7)


class Giver(NamedTuple):
    """What a caller can hand on: no more rights than its own, and for no longer."""

    scopes: frozenset[Scope]
    until: datetime.datetime | None = None


def giver_behind(principal: Principal) -> Giver:
    """Return what a caller can hand on. A person's token ends soon and is renewed, so it sets no end."""
    ends = principal.expires_at if principal.key_id is not None else None
    return Giver(principal.scopes, datetime.datetime.fromtimestamp(ends, datetime.UTC) if ends else None)


def user_behind(principal: Principal) -> User:
    """Return the caller's account. Raises Unauthenticated if it was deleted a moment ago."""
    user = User.objects.get_queryset().filter(pk=principal.user_id).first()
    if user is None:
        raise Unauthenticated("The account behind this credential is gone.")
    return user


def project_behind(principal: Principal) -> Project:
    """Return where the caller acts. Raises NotFound if it was deleted a moment ago."""
    project = Project.objects.filter(pk=principal.project_id).first()
    if project is None:
        raise NotFound("The project is gone.", code="project_not_found")
    return project


def actor_behind(principal: Principal) -> Actor:
    """Return how the audit log names a caller."""
    if principal.key_id is None:
        return actor_of(user_behind(principal))
    key = ApiKey.objects.filter(pk=principal.key_id).first()
    return Actor("api_key", principal.key_public_id or "", str(key or ""))


@transaction.atomic
def create_key(
    *,
    kind: KeyKind,
    name: str,
    project: Project,
    user: User,
    scopes: Iterable[Scope] | None = None,
    giver: Giver | None = None,
    actor: Actor | None = None,
    expires_at: datetime.datetime | None = None,
) -> tuple[ApiKey, str]:
    """
    Make a key and return it with its secret, which is not kept anywhere.

    `giver`: what the creator can hand on; by default what `user`'s role in the project's
    organization allows. `scopes` must be a subset; None means all of it. `actor`: by default `user`.
    Raises Forbidden for more than the creator has, BadRequest for an expiry in the past or too
    far away, Conflict (`too_many_api_keys`) for a personal key beyond MAX_KEYS_PER_USER.
    """
    giver = giver or Giver(rights_of(user, project.organization_id))
    wanted = giver.scopes if scopes is None else frozenset(scopes)
    expires_at = expires_at or giver.until
    check_expiry(expires_at)
    _check_within(giver, wanted, expires_at)
    if kind is KeyKind.USER:
        _check_room(user)
    token = new_token(kind)
    pepper, digest = _newest_digest(token)
    key = ApiKey.objects.create(
        kind=kind,
        name=name,
        organization_id=project.organization_id,
        project=project,
        user=user,
        digest=digest,
        pepper_id=pepper,
        last_four=token[-4:],
        scopes=sorted(wanted),
        expires_at=expires_at,
    )
    facts = {"name": name, "kind": kind.value, "scopes": sorted(wanted), "project": project.public_id}
    _record(Action.API_KEY_CREATED, key, actor or actor_of(user), **facts)
    return key, token


@transaction.atomic
def rotate_key(
    *, key: ApiKey, actor: Actor, giver: Giver | None = None, overlap: datetime.timedelta = OVERLAP
) -> tuple[ApiKey, str]:
    """
    Give a key a new secret and return both. The one before works for `overlap`, any older one no longer.

    `giver`: what the caller can hand on, since the secret opens all that the key does; None means
    everything. Raises Forbidden for a key that can more than that, Conflict for a key that is
    expired, revoked, or was rotated since it was read.
    """
    if giver is not None:
        _check_within(giver, key.rights, key.expires_at)
    token = new_token(KeyKind(key.kind))
    pepper, digest = _newest_digest(token)
    changes = {
        "digest": digest,
        "pepper_id": pepper,
        "last_four": token[-4:],
        "previous_digest": key.digest if overlap else None,
        "previous_pepper_id": key.pepper_id if overlap else "",
        "previous_expires_at": timezone.now() + overlap if overlap else None,
    }
    # The digest decides who is first: of many at once, one finds the secret it read.
    if not ApiKey.objects.unended().filter(pk=key.pk, digest=key.digest).update(**changes):
        raise Conflict("The key has expired, was revoked, or was rotated just now.", code="api_key_not_rotatable")
    key.refresh_from_db()
    _record(Action.API_KEY_ROTATED, key, actor, overlap_seconds=round(overlap.total_seconds()))
    return key, token


@transaction.atomic
def revoke_key(*, key: ApiKey, actor: Actor) -> bool:
    """Make the key unusable everywhere within two seconds. Returns whether this call did it."""
    if not ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now()):
        return False
    _record(Action.API_KEY_DELETED, key, actor, name=key.name)
    return True


def rights_of(user: User, organization_id: int) -> frozenset[Scope]:
    """Return what a user's role in an organization allows. Raises Forbidden for a stranger."""
    role = Membership.objects.filter(user=user, organization_id=organization_id).values_list("role", flat=True).first()
    if role is None:
        raise Forbidden("The user is not a member of this organization.", code="not_a_member")
    return scopes_of(role, is_guest=user.has_guest_rights)


def check_expiry(expires_at: datetime.datetime | None) -> None:
    """Raise BadRequest for an expiry in the past or too far away."""
    now = timezone.now()
    if expires_at is not None and not now < expires_at <= now + MAX_LIFE:
        raise BadRequest(f"The expiry must lie ahead, by at most {MAX_LIFE.days} days.", param="expires_at")


def note_use(key_ids: Iterable[int]) -> None:
    """Write that these keys were used just now, at most once a minute each."""
    now = timezone.now()
    stale = Q(last_used_at=None) | Q(last_used_at__lt=now - LAST_USED_EVERY)
    ApiKey.objects.filter(stale, pk__in=list(key_ids)).update(last_used_at=now)


def _check_within(giver: Giver, scopes: frozenset[Scope], expires_at: datetime.datetime | None) -> None:
    if lacking := ", ".join(sorted(scopes - giver.scopes)):
        raise Forbidden(f"A key cannot give rights it lacks, or its creator lacks: {lacking}.", param="scopes")
    if giver.until is not None and (expires_at is None or expires_at > giver.until):
        raise Forbidden("A key cannot give rights for longer than it lives itself.", param="expires_at")


def _check_room(user: User) -> None:
    """Refuse one key too many. The lock on the user's row makes two at once take turns."""
    User.objects.get_queryset().select_for_update(no_key=True).get(pk=user.pk)
    if ApiKey.objects.personal(user.pk).unended().count() >= settings.MAX_KEYS_PER_USER:
        raise Conflict(
            f"A user has at most {settings.MAX_KEYS_PER_USER} API keys over all organizations. Delete one first.",
            code="too_many_api_keys",
            details={"limit": settings.MAX_KEYS_PER_USER},
        )


def _newest_digest(token: str) -> tuple[str, str]:
    return next(iter(digests(token).items()))


def _record(action: Action, key: ApiKey, actor: Actor, **details: object) -> None:
    organization = key.organization.public_id
    record(action, actor=actor, organization=organization, target_kind="api_key", target_id=key.public_id, **details)

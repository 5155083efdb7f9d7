"""What can be done with API keys."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from apps.accounts.models import User
from apps.api_keys.models import ApiKey
from apps.api_keys.tokens import KeyKind, digests, new_token
from apps.core.errors import BadRequest, Forbidden
from apps.organizations.models import Membership
from apps.organizations.roles import Scope, scopes_of
from apps.projects.models import Project

LAST_USED_EVERY = datetime.timedelta(minutes=1)


@transaction.atomic
def create_key(
    *,
    kind: KeyKind,
    name: str,
    project: Project,
    user: User,
    scopes: Iterable[Scope] | None = None,
    allowed: frozenset[Scope] | None = None,
    expires_at: datetime.datetime | None = None,
) -> tuple[ApiKey, str]:
    """
    Make a key and return it with its secret, which is not kept anywhere.

    `allowed`: what the creator itself may do now; by default what `user`'s role in the
    project's organization allows. `scopes` must be a subset; None means all of it.
    Raises Forbidden for more rights than the creator has, BadRequest for an expiry in the past.
    """
    if expires_at is not None and expires_at <= timezone.now():
        raise BadRequest("The expiry lies in the past.", param="expires_at")
    rights = allowed if allowed is not None else rights_of(user, project.organization_id)
    wanted = rights if scopes is None else frozenset(scopes)
    if not wanted <= rights:
        lacking = ", ".join(sorted(wanted - rights))
        raise Forbidden(f"A key cannot have rights its creator lacks: {lacking}.", param="scopes")
    token = new_token(kind)
    newest_pepper, digest = next(iter(digests(token).items()))
    key = ApiKey.objects.create(
        kind=kind,
        name=name,
        organization_id=project.organization_id,
        project=project,
        user=user,
        digest=digest,
        pepper_id=newest_pepper,
        last_four=token[-4:],
        scopes=sorted(wanted),
        expires_at=expires_at,
    )
    return key, token


def rights_of(user: User, organization_id: int) -> frozenset[Scope]:
    """Return what a user's role in an organization allows. Raises Forbidden for a stranger."""
    role = Membership.objects.filter(user=user, organization_id=organization_id).values_list("role", flat=True).first()
    if role is None:
        raise Forbidden("The user is not a member of this organization.", code="not_a_member")
    return scopes_of(role, is_guest=user.is_guest)


def revoke_key(*, key: ApiKey) -> bool:
    """Make the key unusable everywhere within two seconds. Returns whether this call did it."""
    return bool(ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now()))


def note_use(key_ids: Iterable[int]) -> None:
    """Write that these keys were used just now, at most once a minute each."""
    now = timezone.now()
    stale = Q(last_used_at=None) | Q(last_used_at__lt=now - LAST_USED_EVERY)
    ApiKey.objects.filter(stale, pk__in=list(key_ids)).update(last_used_at=now)

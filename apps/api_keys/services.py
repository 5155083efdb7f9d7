"""What can be done with API keys."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any, NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.sessions import actor_of
from apps.api_keys.addresses import are_within
from apps.api_keys.models import WIDE, ApiKey
from apps.api_keys.tokens import KeyKind, digests, new_token
from apps.audit.services import SYSTEM, Action, Actor, record
from apps.core.errors import BadRequest, Conflict, Forbidden, NotFound, Unauthenticated
from apps.core.wall import widened
from apps.organizations.models import Membership, Organization
from apps.organizations.principal import CALLING, EPHEMERAL, Principal
from apps.organizations.rights import organization_rights
from apps.organizations.roles import ALL, Scope
from apps.projects.models import Project, ServiceAccount
from apps.projects.rights import NOTHING, grants_of, project_rights, service_account_rights

LAST_USED_EVERY = datetime.timedelta(minutes=1)
MAX_LIFE = datetime.timedelta(days=3650)
# An ephemeral key's life: what it is without a word, and the shortest and longest that may be asked for.
EPHEMERAL_LIFE = datetime.timedelta(minutes=10)
MIN_EPHEMERAL_LIFE = datetime.timedelta(seconds=10)
MAX_EPHEMERAL_LIFE = datetime.timedelta(days=1)
# How long the secret before a rotation goes on working, and the most that may be asked for.
OVERLAP = datetime.timedelta(days=1)
MAX_OVERLAP = datetime.timedelta(days=7)

# What a key of a kind can be given. An admin key can hand on what it cannot use.
CAN_HOLD: dict[KeyKind, frozenset[Scope]] = {
    KeyKind.USER: CALLING,
    KeyKind.PROJECT: CALLING,
    KeyKind.ADMIN: ALL,
    KeyKind.ORGANIZATION: CALLING,
    KeyKind.SERVICE_ACCOUNT: CALLING,
    KeyKind.EPHEMERAL: EPHEMERAL,
}


class Giver(NamedTuple):
    """
    What a caller can hand on: no more rights than its own, for no longer, for no other models and to no other places.

    `models` and `addresses` are None without a limit. `holder` says whose keys are its own: the id of a
    user, or of a service account's row.
    """

    scopes: frozenset[Scope]
    until: datetime.datetime | None = None
    models: list[str] | None = None
    addresses: list[str] | None = None
    holder: str | int | None = None


class Holder(NamedTuple):
    """Who has a key: a person or a service account. `parent` is the key that an ephemeral one ends with."""

    user: User | None = None
    service_account: ServiceAccount | None = None
    parent: ApiKey | None = None


def giver_behind(principal: Principal, project: Project | None) -> Giver:
    """
    Return what a caller can hand on in a project, or at its organization if there is none.

    A person's token ends soon and is renewed, so it sets no end. Raises Unauthenticated for a key
    that is gone.
    """
    scopes = grants_of(principal, project)
    holder = principal.service_account_id or principal.user_id
    if principal.key_id is None:
        return Giver(scopes, holder=holder)
    key = key_behind(principal)
    until = datetime.datetime.fromtimestamp(principal.expires_at, datetime.UTC) if principal.expires_at else None
    return Giver(scopes, until, key.allowed_models, key.allowed_addresses or None, holder)


def key_behind(principal: Principal) -> ApiKey:
    """Return the key that was sent. Raises Unauthenticated if it ended a moment ago."""
    key: ApiKey | None = ApiKey.objects.in_organization(principal.organization_id).filter(pk=principal.key_id).first()
    if key is None or key.status != "active":
        raise Unauthenticated("The API key is no longer valid.")
    return key


def holder_behind(principal: Principal) -> Holder:
    """Return who will have a key that a caller makes: whoever has the caller's. Raises NotFound if that is gone."""
    if principal.service_account_id is not None:
        accounts = ServiceAccount.objects.in_organization(principal.organization_id)
        holder = Holder(service_account=accounts.filter(pk=principal.service_account_id).first())
    else:
        holder = Holder(user=User.objects.get_queryset().filter(pk=principal.user_id).first())
    if holder == Holder():
        raise NotFound("Whoever made this request is gone.", code="caller_not_found")
    return holder


def project_behind(principal: Principal) -> Project:
    """Return where the caller acts. Raises NotFound if it was deleted a moment ago."""
    project: Project | None = Project.objects.present().filter(pk=principal.project_id).first()
    if project is None:
        raise NotFound("The project is gone.", code="project_not_found")
    return project


@transaction.atomic
def create_key(
    *,
    kind: KeyKind,
    name: str,
    place: Project | Organization,
    holder: Holder,
    scopes: Iterable[Scope] | None = None,
    giver: Giver | None = None,
    actor: Actor | None = None,
    expires_at: datetime.datetime | None = None,
    allowed_addresses: list[str] | None = None,
    allowed_models: list[str] | None = None,
    description: str = "",
    conversation: str = "",
) -> tuple[ApiKey, str]:
    """
    Make a key and return it with its secret, which is not kept anywhere.

    `place`: its project; for kinds that are good in all of an organization, that. `giver`: what the
    creator can hand on; by default what the holder may do there. `scopes` must be a subset; None means
    all of it that the kind can hold. `actor`: by default the holder. The caller's form has checked and
    normalised addresses and models; without any it gets the giver's. `conversation`: the id of the only one
    it is good in, whether or not there is one. Raises Forbidden for more than the creator has, BadRequest for
    a bad end, Conflict (`too_many_api_keys`) for one too many, and (`project_archived`) in an archived project.
    """
    project = place if isinstance(place, Project) else None
    organization = place.organization if isinstance(place, Project) else place
    giver = giver or Giver(rights_of(holder, place))
    wanted = giver.scopes & CAN_HOLD[kind] if scopes is None else frozenset(scopes)
    expires_at = expires_at or _end_by_default(kind, giver)
    allowed_addresses = allowed_addresses or giver.addresses or []
    allowed_models = giver.models if allowed_models is None else allowed_models
    check_end(kind, expires_at)
    _check_kind(kind, wanted)
    _check_rights(giver, wanted)
    _check_end_within(giver, expires_at)
    _check_limits(giver, allowed_addresses, allowed_models)
    _check_room(kind, holder, place)
    _check_active(project)
    token = new_token(kind)
    pepper, digest = _newest_digest(token)
    key = ApiKey.objects.create(
        kind=kind,
        name=name,
        description=description,
        organization=organization,
        project=project,
        **holder._asdict(),
        digest=digest,
        pepper_id=pepper,
        last_four=token[-4:],
        scopes=sorted(wanted),
        expires_at=expires_at,
        allowed_addresses=allowed_addresses,
        allowed_models=allowed_models,
        conversation=conversation,
    )
    actor = actor or (actor_of(holder.user) if holder.user else SYSTEM)
    _record(Action.API_KEY_CREATED, key, actor, name=name, kind=kind.value, scopes=sorted(wanted))
    return key, token


@transaction.atomic
def rotate_key(
    *, key: ApiKey, actor: Actor, giver: Giver | None = None, overlap: datetime.timedelta = OVERLAP
) -> tuple[ApiKey, str]:
    """
    Give a key a new secret and return both. The one before works for `overlap`, any older one no longer.

    `giver`: what the caller can hand on, since the secret opens all that the key does; None means
    everything. Raises Forbidden for a key that can more than that, or is somebody else's; Conflict for a
    key that is expired, revoked, in an archived project, or was rotated since it was read.
    """
    _check_active(key.project)
    # The digest decides who is first: of many at once, one finds the secret it read.
    unended = ApiKey.objects.unended().select_for_update(no_key=True, of=("self",))
    now: ApiKey | None = unended.filter(pk=key.pk, digest=key.digest).first()
    if now is None:
        raise Conflict("The key has expired, was revoked, or was rotated just now.", code="api_key_not_rotatable")
    if giver is not None:
        _check_rights(giver, now.rights)
        _check_end_within(giver, now.expires_at)
        _check_limits(giver, now.allowed_addresses, now.allowed_models)
        _check_secret(giver, now)
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
    ApiKey.objects.filter(pk=key.pk).update(**changes)
    key.refresh_from_db()
    _record(Action.API_KEY_ROTATED, key, actor, overlap_seconds=round(overlap.total_seconds()))
    return key, token


@transaction.atomic
def update_key(*, key: ApiKey, actor: Actor, giver: Giver, **changes: Any) -> ApiKey:
    """
    Change a key. `changes` are its fields, checked by the caller's form; `scopes` as None are all that can be given.

    `giver`: what the caller can hand on. Raises Forbidden for a key that has more rights, and for
    giving it more than the caller has; BadRequest for an end in the past or too far away; Conflict for
    a key that ended, or is in an archived project.
    """
    _check_active(key.project)
    before: ApiKey | None = (
        ApiKey.objects.unended().select_for_update(no_key=True, of=("self",)).filter(pk=key.pk).first()
    )
    if before is None:
        raise Conflict("The key has expired or was revoked.", code="api_key_ended")
    if changes.get("scopes", ()) is None:
        changes["scopes"] = giver.scopes & CAN_HOLD[KeyKind(key.kind)]
    if "scopes" in changes:
        changes["scopes"] = sorted(changes["scopes"])
    changes = {name: value for name, value in changes.items() if value != getattr(before, name)}
    if not changes:
        return before
    _check_rights(giver, before.rights)
    _check_changes(before, giver, changes)
    ApiKey.objects.filter(pk=key.pk).update(**changes)
    told = {name: [_told(getattr(before, name)), _told(value)] for name, value in changes.items()}
    _record(Action.API_KEY_UPDATED, key, actor, **told)
    key.refresh_from_db()
    return key


@transaction.atomic
def revoke_key(*, key: ApiKey, actor: Actor) -> bool:
    """Make the key unusable everywhere within two seconds. Returns whether this call did it."""
    if not ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now()):
        return False
    _record(Action.API_KEY_DELETED, key, actor, name=key.name)
    return True


def revoke_keys_of(*, membership: Membership, actor: Actor) -> int:
    """Revoke every key a member has in its organization, as it leaves. Returns how many."""
    keys = ApiKey.objects.in_organization(membership.organization_id).filter(user_id=membership.user_id)
    return sum(revoke_key(key=key, actor=actor) for key in keys.filter(revoked_at=None))


def rights_of(holder: Holder, place: Project | Organization) -> frozenset[Scope]:
    """Return what a key's holder may do in a project or at an organization. Raises Forbidden for a stranger."""
    if holder.service_account is not None:
        return service_account_rights(holder.service_account, place) if isinstance(place, Project) else NOTHING
    user, organization = holder.user, place.organization if isinstance(place, Project) else place
    membership = Membership.objects.in_organization(organization.pk).filter(user=user).first() if user else None
    if membership is None or user is None:
        raise Forbidden("The user is not a member of this organization.", code="not_a_member")
    if isinstance(place, Project):
        return project_rights(membership, place, is_guest=user.has_guest_rights)
    return organization_rights(membership, is_guest=user.has_guest_rights)


def check_end(kind: KeyKind, expires_at: datetime.datetime | None, *, since: datetime.datetime | None = None) -> None:
    """Raise BadRequest for an end in the past or too far away; an ephemeral key made `since` must have one."""
    now = timezone.now()
    if kind is KeyKind.EPHEMERAL:
        if expires_at is None or not now < expires_at <= (since or now) + MAX_EPHEMERAL_LIFE:
            raise BadRequest("An ephemeral key lives for a day at most.", param="expires_in_seconds")
    elif expires_at is not None and not now < expires_at <= now + MAX_LIFE:
        raise BadRequest(f"The expiry must lie ahead, by at most {MAX_LIFE.days} days.", param="expires_at")


def note_use(key_ids: Iterable[int]) -> None:
    """Write that these keys were used just now, at most once a minute each."""
    now = timezone.now()
    stale = Q(last_used_at=None) | Q(last_used_at__lt=now - LAST_USED_EVERY)
    ApiKey.objects.filter(stale, pk__in=list(key_ids)).update(last_used_at=now)


def _check_kind(kind: KeyKind, scopes: frozenset[Scope]) -> None:
    if lacking := ", ".join(sorted(scopes - CAN_HOLD[kind])):
        raise BadRequest(f"A key of kind '{kind}' cannot have these rights: {lacking}.", param="scopes")


def _check_rights(giver: Giver, scopes: frozenset[Scope]) -> None:
    if lacking := ", ".join(sorted(scopes - giver.scopes)):
        raise Forbidden(f"A key cannot give rights it lacks, or its creator lacks: {lacking}.", param="scopes")


def _check_end_within(giver: Giver, expires_at: datetime.datetime | None) -> None:
    if giver.until is not None and (expires_at is None or expires_at > giver.until):
        raise Forbidden("A key cannot give rights for longer than it lives itself.", param="expires_at")


def _check_limits(giver: Giver, addresses: list[str], models: list[str] | None) -> None:
    """Refuse what a limited key may not do itself. No addresses, and None for models, mean all of them."""
    if giver.addresses is not None and not (addresses and are_within(addresses, giver.addresses)):
        raise Forbidden("A key cannot be used from more addresses than its creator.", param="allowed_addresses")
    if giver.models is not None and (models is None or not set(models) <= set(giver.models)):
        raise Forbidden("A key cannot call more models than its creator.", param="allowed_models")


def _check_secret(giver: Giver, key: ApiKey) -> None:
    """
    Refuse to show the secret of somebody else's key: it would work on when whoever reads it is gone.

    In a project it is for those who may make service accounts, whose keys outlive their makers anyway.
    """
    is_own = giver.holder is not None and giver.holder in (key.user_id, key.service_account_id)
    may_make_lasting = key.project_id is not None and Scope.SERVICE_ACCOUNTS_WRITE in giver.scopes
    if not (is_own or may_make_lasting):
        raise Forbidden("This is somebody else's key. Delete it, and make one of your own.", code="not_your_key")


def _check_changes(before: ApiKey, giver: Giver, changes: dict[str, Any]) -> None:
    kind = KeyKind(before.kind)
    if "scopes" in changes:
        wanted = frozenset(Scope(scope) for scope in changes["scopes"])
        _check_kind(kind, wanted)
        _check_rights(giver, wanted)
    if "expires_at" in changes:
        check_end(kind, changes["expires_at"], since=before.created_at)
        _check_end_within(giver, changes["expires_at"])
    _check_limits(
        giver,
        changes.get("allowed_addresses", before.allowed_addresses),
        changes.get("allowed_models", before.allowed_models),
    )


def _check_active(project: Project | None) -> None:
    """Refuse a key in an archived project. The lock makes archiving it at the same moment take its turn."""
    if project is None:
        return
    locked = Project.objects.select_for_update(no_key=True).filter(pk=project.pk, deleted_at=None).first()
    if locked is None or locked.is_archived:
        raise Conflict("The project is archived, so nothing is made or changed in it.", code="project_archived")


def _check_room(kind: KeyKind, holder: Holder, place: Project | Organization) -> None:
    """Refuse one key too many. The lock on whose limit it is makes two at once take turns."""
    if kind is KeyKind.USER and holder.user is not None:
        User.objects.get_queryset().select_for_update(no_key=True).get(pk=holder.user.pk)
        keys, limit = ApiKey.objects.personal(holder.user.pk), settings.MAX_KEYS_PER_USER
        whose = "A user has at most {} API keys over all organizations"
    elif isinstance(place, Organization):
        Organization.objects.select_for_update(no_key=True).get(pk=place.pk)
        keys, limit = ApiKey.objects.in_organization(place.pk).filter(kind__in=WIDE), settings.MAX_KEYS_PER_ORGANIZATION
        whose = "An organization has at most {} keys of its own"
    elif kind is KeyKind.EPHEMERAL:
        Project.objects.select_for_update(no_key=True).get(pk=place.pk)
        keys, limit = ApiKey.objects.in_project(place.pk).filter(kind=kind), settings.MAX_EPHEMERAL_KEYS
        whose = "A project has at most {} ephemeral keys at a time"
    else:
        Project.objects.select_for_update(no_key=True).get(pk=place.pk)
        keys, limit = ApiKey.objects.in_project(place.pk).of_project(), settings.MAX_KEYS_PER_PROJECT
        whose = "A project has at most {} keys, its service accounts' among them"
    with widened("a person's keys count over all organizations"):
        count = keys.unended()[:limit].count()
    if count >= limit:
        raise Conflict(f"{whose.format(limit)}. Delete one first.", code="too_many_api_keys", details={"limit": limit})


def _end_by_default(kind: KeyKind, giver: Giver) -> datetime.datetime | None:
    if kind is not KeyKind.EPHEMERAL:
        return giver.until
    ends = timezone.now() + EPHEMERAL_LIFE
    return min(ends, giver.until) if giver.until else ends


def _told(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime.datetime) else value


def _newest_digest(token: str) -> tuple[str, str]:
    return next(iter(digests(token).items()))


def _record(action: Action, key: ApiKey, actor: Actor, **details: Any) -> None:
    organization = key.organization.public_id
    if key.project is not None:
        details["project"] = key.project.public_id
    record(action, actor=actor, organization=organization, target_kind="api_key", target_id=key.public_id, **details)

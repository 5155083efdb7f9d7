"""
What can be done with invites: sent, sent again, revoked, accepted, declined.

Whoever invites hands on rights, so nobody invites to more than it has; and when it no longer has
them, nobody can accept what it sent.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from allauth.account.models import EmailAddress
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.accounts.addresses import mailable
from apps.accounts.links import Found, digest_of, find, new_secret, shown_secret
from apps.accounts.models import User
from apps.accounts.sessions import actor_of
from apps.audit.services import Action, Actor, record
from apps.core.errors import BadRequest, Conflict, Forbidden, NotFound
from apps.organizations.members import check_owners
from apps.organizations.models import Invite, InviteState, Membership, Organization
from apps.organizations.rights import organization_rights
from apps.organizations.roles import DEFAULT_PROJECT_ROLES, PROJECT_ROLE_SCOPES, ROLE_SCOPES, ProjectRole, Role, Scope
from apps.projects.invite_mails import invite_url, mail_invite
from apps.projects.models import InvitedProject, Project, ProjectMembership, default_project
from apps.projects.rights import NOTHING, project_rights
from apps.ratelimit.accounts import admit

LIFE, MAX_DAYS, MAX_PROJECTS = datetime.timedelta(days=7), 30, 20

# What somebody can hand on: in a project, or at the organization if there is none.
Rights = Callable[[Project | None], frozenset[Scope]]


class Place(NamedTuple):
    """A project that comes with an invite, and the role in it."""

    project: Project
    role: ProjectRole


class Sent(NamedTuple):
    """An invite that was mailed just now. `url` is a link for whoever sent it, and is not kept."""

    invite: Invite
    url: str


class Draft(NamedTuple):
    """An invite that is there and was not mailed yet, with its secret."""

    invite: Invite
    secret: str
    places: list[Place]


@transaction.atomic
def send_invite(*, actor: Actor, **offer: Any) -> Sent:
    """
    Mail somebody an offer of a place in an organization, and in projects of it.

    Takes and raises what `draft_invite` and `send_draft` do.
    """
    return send_draft(draft=draft_invite(**offer), actor=actor)


@transaction.atomic
def draft_invite(
    *,
    organization: Organization,
    email: str,
    role: Role,
    inviter: User,
    rights: Rights | None = None,
    life: datetime.timedelta = LIFE,
    message: str = "",
    places: Iterable[Place] = (),
) -> Draft:
    """
    Make an invite, to be mailed by `send_draft` before the transaction ends.

    `rights`: what the caller can hand on; None is everything, which is for operators. Raises Forbidden
    for a role that has more, BadRequest for what is no address, Conflict for one that has a pending
    invite (`already_invited`) or, to whoever may know of members, a member (`already_member`), for an
    owner of a personal organization, or for an archived project.
    """
    email, places = _address(email), list(places)
    _check_rights(rights, organization, role, places)
    check_owners(organization, role)
    _check_active(places)
    _check_stranger(rights, organization, email)
    Invite.objects.in_organization(organization.pk).overdue().filter(email=email).update(state=InviteState.EXPIRED)
    secret, now = new_secret(), timezone.now()
    try:
        with transaction.atomic():
            invite = Invite.objects.create(
                organization=organization,
                email=email,
                role=role,
                message=message,
                token_digest=digest_of(secret),
                invited_by=inviter,
                inviter=str(inviter),
                expires_at=now + life,
                sent_at=now,
            )
    except IntegrityError:
        raise _already_invited() from None
    for project, project_role in places:
        InvitedProject.objects.create(organization=organization, invite=invite, project=project, role=project_role)
    return Draft(invite, secret, places)


@transaction.atomic
def send_draft(*, draft: Draft, actor: Actor) -> Sent:
    """Mail an invite once the transaction is committed. Raises RateLimited for an address mailed too often."""
    admit("invite_mail", draft.invite.email)  # nobody fills the mailbox of somebody else
    projects = [{"id": project.public_id, "role": role.value} for project, role in draft.places]
    _record(Action.INVITE_SENT, draft.invite, actor, projects=projects)
    mail_invite(draft.invite, draft.secret)
    return Sent(draft.invite, invite_url(draft.invite, shown_secret(draft.secret)))


@transaction.atomic
def resend_invite(*, invite: Invite, inviter: User, actor: Actor, rights: Rights | None = None) -> Sent:
    """
    Mail an invite again, with another secret and as much time as it had; the link before dies.

    From now on it is `inviter`'s. Raises as `send_invite`, and Conflict (`invite_not_pending`) for one
    that was accepted, declined or revoked.
    """
    places = [Place(each.project, ProjectRole(each.role)) for each in invite.projects.select_related("project")]
    _check_rights(rights, invite.organization, Role(invite.role), places)
    _check_stranger(rights, invite.organization, invite.email)
    secret, now = new_secret(), timezone.now()
    changes = {
        "token_digest": digest_of(secret),
        "sent_at": now,
        "expires_at": now + invite.life,
        "invited_by": inviter,
    }
    renewable = Invite.objects.filter(pk=invite.pk, state__in=[InviteState.PENDING, InviteState.EXPIRED])
    try:
        with transaction.atomic():
            renewed = renewable.update(**changes, inviter=str(inviter), state=InviteState.PENDING)
    except IntegrityError:
        raise _already_invited() from None
    if not renewed:
        raise Conflict("Only a pending or expired invite can be sent again.", code="invite_not_pending")
    invite.refresh_from_db()
    return send_draft(draft=Draft(invite, secret, places), actor=actor)


@transaction.atomic
def revoke_invite(*, invite: Invite, actor: Actor) -> None:
    """
    Make an invite as if it had never been.

    Raises Conflict (`invite_accepted`) for one that has done its work, NotFound for one that is gone.
    """
    revocable = Invite.objects.listed().filter(pk=invite.pk).exclude(state=InviteState.ACCEPTED)
    if not revocable.update(state=InviteState.REVOKED):
        if Invite.objects.listed().filter(pk=invite.pk).exists():
            raise Conflict("The invite was accepted. Remove the member instead.", code="invite_accepted")
        raise no_such_invite()
    _record(Action.INVITE_DELETED, invite, actor)


@transaction.atomic
def accept_invite(*, invite: Invite, user: User) -> Membership:
    """
    Make a user a member, as its invite offers. The caller has found the invite by its secret.

    Of many at once one succeeds. Raises Forbidden as `check_recipient`, NotFound for an invite that is
    no longer good, Conflict (`already_member`) for somebody who is one already.
    """
    check_recipient(invite=invite, user=user)
    locked = Organization.objects.present().select_for_update(no_key=True)
    organization = locked.filter(pk=invite.organization_id).first()
    rights = _rights_behind(invite)
    if organization is None or rights is None:
        raise no_such_invite()
    places = _open_places(invite, rights)
    _close(invite, InviteState.ACCEPTED, accepted_at=timezone.now())
    try:
        with transaction.atomic():
            membership = Membership.objects.create(organization=organization, user=user, role=invite.role)
    except IntegrityError:
        raise _already_member() from None
    for project, role in places:
        ProjectMembership.objects.create(organization=organization, project=project, membership=membership, role=role)
    actor = actor_of(user)
    _record(Action.INVITE_ACCEPTED, invite, actor)
    record(
        Action.USER_ADDED,
        actor=actor,
        organization=organization.public_id,
        target_kind="user",
        target_id=user.pk,
        role=invite.role,
        email=invite.email,
    )
    return membership


@transaction.atomic
def decline_invite(*, invite: Invite, user: User) -> None:
    """Answer an invite with no. Raises Forbidden as `check_recipient`, NotFound for one that is no longer good."""
    check_recipient(invite=invite, user=user)
    _close(invite, InviteState.DECLINED)
    _record(Action.INVITE_DELETED, invite, actor_of(user), state=[InviteState.PENDING, InviteState.DECLINED])


def check_recipient(*, invite: Invite, user: User) -> None:
    """
    Raise Forbidden unless the invite is for this user, who is locked meanwhile: for an account in use,
    no guest's, whose e-mail address is verified and the invite's.
    """
    locked = User.objects.get_queryset().select_for_update(no_key=True).filter(pk=user.pk).first()
    if locked is None or not locked.is_active:
        raise Forbidden("This account is disabled.", code="account_disabled")
    if locked.has_guest_rights:
        raise Forbidden(
            "A guest cannot join an organization. Make an account first, and confirm its e-mail address.",
            code="guest_not_allowed",
        )
    own = EmailAddress.objects.filter(user=locked, email=invite.email)
    if not own.filter(verified=True).exists():
        raise Forbidden(_why_not(is_claimed=own.exists()), code="email_not_verified")


def _why_not(*, is_claimed: bool) -> str:
    if is_claimed:
        return "Confirm the e-mail address that the invite was sent to: follow the link that was mailed to it."
    return (
        "The invite is for another e-mail address than those of your account. Sign in with the account of the address "
        "it was sent to, or add that address to yours and confirm it."
    )


def offered(secret: str) -> Found | None:
    """Return the invite that a link's secret opens, if it can be accepted: by its time, and by who sent it."""
    found = find(Invite.objects.open().select_related("organization", "invited_by"), secret)
    return found if found is not None and is_backed(found.row) else None


def is_backed(invite: Invite) -> bool:
    """Say whether whoever sent an invite can hand on today what it offers."""
    return _rights_behind(invite) is not None


def expire_overdue() -> int:
    """Mark the invites whose time is up; they cannot be accepted before that either. Returns how many."""
    return Invite.objects.overdue().update(state=InviteState.EXPIRED)


def rights_of_member(user: User, organization: Organization) -> Rights:
    """Return what somebody can hand on in an organization: nothing, unless a member."""
    membership = Membership.objects.in_organization(organization.pk).filter(user=user).first()

    def rights(project: Project | None) -> frozenset[Scope]:
        if membership is None:
            return NOTHING
        if project is None:
            return organization_rights(membership, is_guest=user.has_guest_rights)
        return project_rights(membership, project, is_guest=user.has_guest_rights)

    return rights


def no_such_invite() -> NotFound:
    """Return the one answer for an invite that is used, over, revoked, somebody else's or was never there."""
    return NotFound("There is no such invite.", code="invite_not_found")


def _already_invited() -> Conflict:
    return Conflict(
        "This address has a pending invite. Send that one again, or revoke it first.",
        code="already_invited",
        param="email",
    )


def _already_member() -> Conflict:
    return Conflict("This is a member of the organization already.", code="already_member", param="email")


def _address(email: str) -> str:
    try:
        return mailable(email)
    except ValidationError as problem:
        raise BadRequest(" ".join(problem.messages), param="email") from None


def _check_rights(rights: Rights | None, organization: Organization, role: Role, places: Iterable[Place]) -> None:
    if rights is None:
        return
    if not _is_within(rights, organization, role):
        raise Forbidden(f"You cannot invite to the role '{role}': it has rights that you lack.", param="role")
    for project, project_role in places:
        if not PROJECT_ROLE_SCOPES[project_role] <= rights(project):
            raise Forbidden(
                f"You cannot invite to the role '{project_role}' in {project.public_id}: it has rights that you lack.",
                param="projects",
            )


def _is_within(rights: Rights, organization: Organization, role: Role) -> bool:
    """Say whether a role gives no more than these rights, in the default project too, where everybody is."""
    default = default_project(organization.pk)
    if not ROLE_SCOPES[role] <= rights(None):
        return False
    is_archived = default is None or default.is_archived
    return is_archived or PROJECT_ROLE_SCOPES[DEFAULT_PROJECT_ROLES[role]] <= rights(default)


def _check_active(places: Iterable[Place]) -> None:
    if archived := [project.public_id for project, _ in places if project.is_archived]:
        raise Conflict(f"The project {archived[0]} is archived.", code="project_archived", param="projects")


def _check_stranger(rights: Rights | None, organization: Organization, email: str) -> None:
    """Refuse a member's address, to whoever may know that it is one. The constraint sees to it for all others."""
    if rights is not None and Scope.MEMBERS_READ not in rights(None):
        return
    known = User.objects.get_queryset().proven_by(email)
    if Membership.objects.in_organization(organization.pk).filter(user__in=known).exists():
        raise _already_member()


def _rights_behind(invite: Invite) -> Rights | None:
    """Return what the inviter can hand on today; None if that is not the invite's role any more."""
    inviter = invite.invited_by
    if inviter is None or not inviter.is_active:
        return None
    if inviter.is_staff and inviter.has_perm("organizations.add_invite"):
        return lambda _project: frozenset(Scope)  # an operator
    rights = rights_of_member(inviter, invite.organization)
    return rights if _is_within(rights, invite.organization, Role(invite.role)) else None


def _open_places(invite: Invite, rights: Rights) -> list[Place]:
    """Lock and return the invite's projects that can still be joined, and still be handed on."""
    wanted = {each.project_id: ProjectRole(each.role) for each in invite.projects.all()}
    projects = Project.objects.in_organization(invite.organization_id).active().filter(pk__in=wanted).order_by("pk")
    places = [Place(project, wanted[project.pk]) for project in projects.select_for_update(no_key=True, of=("self",))]
    return [place for place in places if PROJECT_ROLE_SCOPES[place.role] <= rights(place.project)]


def _close(invite: Invite, state: InviteState, **changes: Any) -> None:
    """The row decides who is first. Its digest: an invite sent again in the meantime is another one."""
    found = Invite.objects.pending().filter(pk=invite.pk, token_digest=invite.token_digest)
    if not found.update(state=state, **changes):
        raise no_such_invite()


def _record(action: Action, invite: Invite, actor: Actor, **details: Any) -> None:
    record(
        action,
        actor=actor,
        organization=invite.organization.public_id,
        target_kind="invite",
        target_id=invite.public_id,
        email=invite.email,
        role=invite.role,
        **details,
    )

"""Who has a place in a project."""

from __future__ import annotations

from django.db import transaction

from apps.audit.services import Action, Actor, record
from apps.core.errors import Conflict, Forbidden, NotFound
from apps.organizations.models import Membership
from apps.organizations.roles import PROJECT_ROLE_SCOPES, ProjectRole, Scope
from apps.projects.models import Project, ProjectMembership
from apps.projects.project_services import lock_active


@transaction.atomic
def add_member(
    *, project: Project, membership: Membership, role: ProjectRole, giver: frozenset[Scope], actor: Actor
) -> ProjectMembership:
    """
    Give a member of the organization a place in a project.

    `giver`: what the caller can hand on there. Raises Forbidden for a role of more than that, Conflict
    for an archived project or somebody who has a place, NotFound for somebody who just left.
    """
    check_role(role, giver)
    project = lock_active(project)
    # The lock makes leaving the organization at the same moment take its turn.
    staying = Membership.objects.in_organization(project.organization_id).select_for_update(no_key=True)
    if not staying.filter(pk=membership.pk).exists():
        raise no_such_member()
    place, is_new = ProjectMembership.objects.get_or_create(
        project=project, membership=membership, defaults={"role": role, "organization": project.organization}
    )
    if not is_new:
        raise Conflict("The user has a place in this project. Update it instead.", code="already_a_member")
    _record(Action.USER_ADDED, place, actor, role=role.value)
    return place


@transaction.atomic
def change_member(
    *, place: ProjectMembership, role: ProjectRole, giver: frozenset[Scope], actor: Actor
) -> ProjectMembership:
    """
    Give somebody in a project another role.

    Raises Forbidden if its role, or the new one, is more than the caller can hand on; Conflict for an
    archived project; NotFound for somebody who was removed a moment ago.
    """
    check_role(role, giver)
    place = _locked(place)
    check_role(ProjectRole(place.role), giver)
    before, place.role = place.role, role
    if before != role:
        place.save(update_fields=["role"])
        _record(Action.USER_UPDATED, place, actor, role=[before, role.value])
    return place


@transaction.atomic
def remove_member(*, place: ProjectMembership, giver: frozenset[Scope], actor: Actor) -> None:
    """Take somebody's place in a project away. Its last owner too: the organization's owners have it as well."""
    place = _locked(place)
    check_role(ProjectRole(place.role), giver)
    _record(Action.USER_DELETED, place, actor, role=place.role)
    place.delete()


def check_role(role: ProjectRole, giver: frozenset[Scope]) -> None:
    """Raise Forbidden unless a role's rights are among those that a caller can hand on."""
    if lacking := ", ".join(sorted(PROJECT_ROLE_SCOPES[role] - giver)):
        raise Forbidden(f"The role '{role}' has rights that you lack here: {lacking}.", param="role")


def no_such_member() -> NotFound:
    """Return what is said of strangers, of nobody, and of those without a place alike."""
    return NotFound("There is no such member.", code="user_not_found")


def _locked(place: ProjectMembership) -> ProjectMembership:
    project = lock_active(place.project)
    places = ProjectMembership.objects.in_organization(project.organization_id)
    locked: ProjectMembership | None = (
        places.select_related("membership__user", "project__organization")
        .select_for_update(no_key=True, of=("self",))
        .filter(pk=place.pk)
        .first()
    )
    if locked is None:
        raise no_such_member()
    return locked


def _record(action: Action, place: ProjectMembership, actor: Actor, **details: object) -> None:
    record(
        action,
        actor=actor,
        organization=place.project.organization.public_id,
        project=place.project.public_id,
        target_kind="user",
        target_id=place.membership.user_id,
        **details,
    )

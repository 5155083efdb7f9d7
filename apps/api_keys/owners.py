"""Whose keys are, read along with them: the owner's roles, and whether it still has a place in a project."""

from __future__ import annotations

from django.db.models import BooleanField, Case, OuterRef, Q, QuerySet, Subquery, When

from apps.api_keys.models import ApiKey, ApiKeyQuerySet
from apps.organizations.models import CustomRole, Membership
from apps.organizations.roles import DEFAULT_PROJECT_ROLES, ROLE_SCOPES, ProjectRole, Role, Scope
from apps.projects.models import Project, ProjectMembership

# What members are that have a place in all projects.
_EVERYWHERE = [role.value for role in Role if Scope.PROJECTS_READ in ROLE_SCOPES[role]]


def with_owners(keys: ApiKeyQuerySet) -> ApiKeyQuerySet:
    """Read who owns keys along, with `organization_role`: its role there, None for none."""
    memberships = Membership.objects.get_queryset().filter(
        organization_id=OuterRef("organization_id"), user_id=OuterRef("user_id")
    )
    named = keys.select_related("organization", "project", "user", "service_account")
    found: ApiKeyQuerySet = named.annotate(organization_role=Subquery(memberships.values("role")[:1]))
    return found


def with_access(keys: ApiKeyQuerySet, project: Project) -> ApiKeyQuerySet:
    """
    Add to a project's keys `project_role`, what the owner was made there if anything, and `has_access`.

    An owner has access while it is active and may do something in the project: what
    `apps.projects.rights` says of one, asked of many.
    """
    roles = ProjectMembership.objects.in_organization(project.organization_id).filter(
        project=project, membership__user_id=OuterRef("user_id")
    )
    held = Q(user__is_active=True, user_id__in=_people_of(project).values("user_id"))
    found: ApiKeyQuerySet = keys.annotate(
        project_role=Subquery(roles.values("role")[:1]),
        has_access=Case(
            When(service_account__isnull=False, then="service_account__is_active"),
            When(held, then=True),
            default=False,
            output_field=BooleanField(),
        ),
    )
    return found


def _people_of(project: Project) -> QuerySet[Membership]:
    members = Membership.objects.in_organization(project.organization_id)
    if project.is_default:
        return members
    roles = list(CustomRole.objects.in_organization(project.organization_id))
    wide = [role.pk for role in roles if Scope.PROJECTS_READ in role.scopes]
    some = [role.pk for role in roles if role.scopes]
    found = Q(role__in=_EVERYWHERE) | Q(projects__project=project)
    for way in ("", "groups__group__"):
        there = f"{way}organizationroleassignments"
        here = f"{way}projectroleassignments"
        found |= Q(**{f"{there}__predefined__in": _EVERYWHERE}) | Q(**{f"{there}__role__in": wide})
        found |= Q(**{f"{here}__project": project, f"{here}__role__in": some})
        found |= Q(**{f"{here}__project": project, f"{here}__predefined__in": list(ProjectRole)})
    return members.filter(found)


def project_role_of(key: ApiKey, project: Project) -> str:
    """Return the word for what a key's owner is in a project; the key was read `with_owners` and `with_access`."""
    organization_role, project_role = key.organization_role, key.project_role  # type: ignore[attr-defined]
    if project_role is not None or organization_role is None:
        return project_role or "none"
    if project.is_default or organization_role in _EVERYWHERE:
        return DEFAULT_PROJECT_ROLES[Role(organization_role)].value
    return ProjectRole.MEMBER.value if key.has_access else "none"  # type: ignore[attr-defined]

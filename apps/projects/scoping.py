"""What views of a project's own things have in common."""

from __future__ import annotations

from apps.core.errors import NotFound
from apps.organizations.principal import Principal
from apps.organizations.roles import Scope
from apps.organizations.scoping import OrganizationView
from apps.projects.models import Project
from apps.projects.rights import usable_in


class ProjectView(OrganizationView):
    """
    A view of the project its path names as `project_id`, for whoever may know of that project.

    `required_scope` must be held in the project. For everybody else there is no such project.
    """

    project: Project

    def require(self, principal: Principal, scope: Scope) -> None:
        """Find the project. Raises NotFound, or Forbidden unless the caller may do this in it."""
        found = Project.objects.visible_to(principal).with_public_id(self.kwargs["project_id"])
        if found is None:
            raise NotFound("There is no such project.", code="project_not_found")
        self.project = found
        if scope not in usable_in(principal, found):
            raise principal.refusal(scope, is_archived=found.is_archived)

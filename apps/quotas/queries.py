"""The limits of a project, as its people see them."""

from __future__ import annotations

from typing import NamedTuple

from apps.catalog.queries import callable_models
from apps.projects.models import Project
from apps.quotas.defaults import defaults
from apps.quotas.models import ALL_MODELS, Amounts, RateLimit, id_in_project


class ProjectLimits(NamedTuple):
    """What holds in a project for a model, or for all together."""

    id: str
    model: str
    amounts: Amounts


def limits_of(project: Project) -> list[ProjectLimits]:
    """
    Return what holds for all models together, then for each model that can be called, by name.

    A model whose limits are set is there although it cannot be called now. Six queries.
    """
    own = {row.model: row.amounts for row in RateLimit.objects.in_project(project)}
    organizations = _of_organization(project.organization_id)
    together = own.get(ALL_MODELS, Amounts()).otherwise(ceiling(organizations, ALL_MODELS))
    found = [_limits(project, ALL_MODELS, together)]
    for name in sorted((_models_of(project) | set(own)) - {ALL_MODELS}):
        above = organizations.get(name, Amounts()).otherwise(together)
        found.append(_limits(project, name, own.get(name, Amounts()).otherwise(above)))
    return found


def ceiling_of(project: Project, model: str) -> Amounts:
    """Return the most that a project can be given for a model: what its organization has. One query."""
    return ceiling(_of_organization(project.organization_id), model)


def ceiling(organizations: dict[str, Amounts], model: str) -> Amounts:
    """Return what an organization has for a model, of what is set for it by model and else of the table."""
    own, together = organizations.get(model, Amounts()), organizations.get(ALL_MODELS, Amounts())
    return own.otherwise(together).otherwise(defaults())


def _of_organization(organization_id: int) -> dict[str, Amounts]:
    return {row.model: row.amounts for row in RateLimit.objects.of_organization(organization_id)}


def _models_of(project: Project) -> set[str]:
    """Their own ids: an alias counts as its model."""
    names = {listed.model.model_id for listed in callable_models(project.organization_id)}
    for allowed in (project.organization.settings.get("allowed_models"), project.settings.get("allowed_models")):
        if allowed is not None:
            names &= set(allowed)
    return names


def _limits(project: Project, model: str, amounts: Amounts) -> ProjectLimits:
    return ProjectLimits(id_in_project(project.public_id, model), model, amounts)

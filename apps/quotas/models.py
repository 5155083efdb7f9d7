"""What is set beside the table of limits: for an organization, a project, or a key."""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar, NamedTuple, Self

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from apps.api_keys.models import ApiKey
from apps.core.ids import ID_LENGTH, PublicIdField, to_base62
from apps.organizations.models import TenantModel, TenantQuerySet
from apps.projects.models import Project

MAX_AMOUNT = 10**12
ALL_MODELS = ""


class Amounts(NamedTuple):
    """What may be used. None: nothing is set."""

    max_requests_per_1_minute: int | None = None
    max_requests_per_1_day: int | None = None
    max_tokens_per_1_minute: int | None = None

    def otherwise(self, others: Amounts) -> Amounts:
        """Return these, and the others' where nothing is set here."""
        return Amounts(*(theirs if mine is None else mine for mine, theirs in zip(self, others, strict=True)))


def id_in_project(project_id: str, model: str) -> str:
    """Return the public id of a project's limits for a model: the same whether they are set or not."""
    digest = hashlib.sha256(f"{project_id}:{model}".encode("utf-8", "surrogatepass")).digest()
    return "rl_" + to_base62(int.from_bytes(digest, "big") % 62**ID_LENGTH, ID_LENGTH)


def _amount(name: str) -> Any:
    limits = [MinValueValidator(1), MaxValueValidator(MAX_AMOUNT)]
    return models.PositiveBigIntegerField(name, null=True, blank=True, validators=limits)


def _at_least_one(column: str) -> Q:
    return Q(**{column: None}) | Q(**{f"{column}__gte": 1})


class RateLimitQuerySet(TenantQuerySet):
    def of_organization(self, organization_id: int) -> Self:
        """What is set for the organization itself."""
        return self.in_organization(organization_id).filter(project=None, api_key=None)

    def in_project(self, project: Project) -> Self:
        """What is set for a project itself."""
        return self.in_organization(project.organization_id).filter(project=project)


class RateLimit(TenantModel):
    """
    Limits of model calls for one organization, project or key, and one model or all together.

    The table in the settings says what counts beside it, and where nothing is set.
    """

    raises_on_insert = True

    public_id = PublicIdField("rl")
    project = models.ForeignKey(Project, models.CASCADE, null=True, blank=True, related_name="rate_limits")
    api_key = models.ForeignKey(
        ApiKey, models.CASCADE, null=True, blank=True, related_name="rate_limits", verbose_name="API key"
    )
    model = models.CharField(max_length=255, blank=True, help_text="A model's own id. Empty: all models together.")
    max_requests_per_1_minute = _amount("requests a minute")
    max_requests_per_1_day = _amount("requests a day")
    max_tokens_per_1_minute = _amount("tokens a minute")
    updated_at = models.DateTimeField(auto_now=True)

    objects: ClassVar[RateLimitQuerySet] = RateLimitQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["organization", "-created_at"], name="rate_limit_org_created_idx"),
            models.Index(fields=["-created_at"], name="rate_limit_created_idx"),
            models.Index(fields=["model"], name="rate_limit_model_idx", opclasses=["varchar_pattern_ops"]),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(project=None) | Q(api_key=None), name="rate_limit_of_one"),
            models.CheckConstraint(
                condition=_at_least_one("max_requests_per_1_minute")
                & _at_least_one("max_requests_per_1_day")
                & _at_least_one("max_tokens_per_1_minute"),
                name="rate_limit_admits_something",
            ),
            models.UniqueConstraint(
                fields=["organization", "model"],
                condition=Q(project=None, api_key=None),
                name="rate_limit_once_in_organization",
            ),
            models.UniqueConstraint(
                fields=["project", "model"], condition=Q(project__isnull=False), name="rate_limit_once_in_project"
            ),
            models.UniqueConstraint(
                fields=["api_key", "model"], condition=Q(api_key__isnull=False), name="rate_limit_once_for_key"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model or 'all models'} for {self.api_key or self.project or self.organization}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self._state.adding and self.project is not None:
            self.public_id = id_in_project(self.project.public_id, self.model)
        super().save(*args, **kwargs)

    @property
    def amounts(self) -> Amounts:
        return Amounts(self.max_requests_per_1_minute, self.max_requests_per_1_day, self.max_tokens_per_1_minute)

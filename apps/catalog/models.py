"""Providers, the models they serve, and the routes from one to the other."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar, Self

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from apps.core.epoch import EpochModel, EpochQuerySet
from apps.core.ids import PublicIdField
from apps.core.sealing import PLATFORM, seal, unseal
from apps.organizations.models import Organization


class ProviderKind(StrEnum):
    """What stands behind a base URL. All but `demo` speak the OpenAI protocol."""

    OPENAI = "openai"
    VLLM = "vllm"
    OLLAMA = "ollama"
    LLAMA_CPP = "llama_cpp"
    LM_STUDIO = "lm_studio"
    JAN = "jan"
    CUSTOM = "custom"
    DEMO = "demo"


class Capability(StrEnum):
    CHAT = "chat"
    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"
    VISION = "vision"
    TOOLS = "tools"


class CatalogQuerySet(EpochQuerySet[Any]):
    def visible_in(self, organization_id: int) -> Self:
        """The platform's rows and the organization's own."""
        return self.filter(Q(organization=None) | Q(organization_id=organization_id))


class CatalogModel(EpochModel):
    """What a process keeps in its routing snapshot; any change makes it stale."""

    raises_on_insert = True

    organization = models.ForeignKey(
        Organization, models.CASCADE, null=True, blank=True, help_text="Empty: for the whole platform."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects: ClassVar[CatalogQuerySet] = CatalogQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        abstract = True


class Provider(CatalogModel):
    """A server that answers model calls."""

    not_cached = frozenset({"last_synced_at", "last_error", "name"})

    public_id = PublicIdField("prov")
    name = models.CharField(max_length=128)
    kind = models.CharField(max_length=16, choices=[(kind.value, kind.value) for kind in ProviderKind])
    # Not a URLField: its check refuses host names without a dot, such as a container's.
    base_url = models.CharField(
        "base URL", max_length=500, blank=True, help_text="Up to and including /v1, such as http://localhost:11434/v1."
    )
    sealed_credential = models.TextField(blank=True, editable=False)
    credential_last_four = models.CharField(max_length=4, blank=True, editable=False)
    is_active = models.BooleanField("active", default=True)
    enables_new_models = models.BooleanField(
        default=False, help_text="Models found by a sync can be called at once; otherwise an operator enables them."
    )
    last_synced_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_error = models.TextField(blank=True, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["organization", "name"], name="provider_name_once"),
            models.UniqueConstraint(
                fields=["name"], condition=Q(organization=None), name="platform_provider_name_once"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def owner(self) -> str:
        """Whose data key seals the credential."""
        return self.organization.public_id if self.organization else PLATFORM

    @property
    def credential(self) -> str:
        """The plaintext key for the provider, empty if it has none. Raises SealBroken."""
        if not self.sealed_credential:
            return ""
        return unseal(self.sealed_credential, owner=self.owner, context=self._seal_context)

    @credential.setter
    def credential(self, plaintext: str) -> None:
        self.sealed_credential = seal(plaintext, owner=self.owner, context=self._seal_context) if plaintext else ""
        self.credential_last_four = plaintext[-4:] if len(plaintext) >= 12 else ""

    @property
    def _seal_context(self) -> str:
        return f"provider:{self.public_id}:credential"


class Model(CatalogModel):
    """A model clients can name. `model_id` is what its provider calls it, slashes and all."""

    public_id = PublicIdField("model")
    model_id = models.CharField("model id", max_length=255)
    display_name = models.CharField(max_length=255, blank=True)
    owned_by = models.CharField(max_length=128, blank=True)
    capabilities: models.JSONField[list[str], list[str]] = models.JSONField(default=list, blank=True)
    context_length = models.PositiveIntegerField(null=True, blank=True, help_text="Tokens.")
    supported_parameters: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(
        default=dict, blank=True, help_text='{"names": [...], "default": {...}}'
    )
    is_active = models.BooleanField("active", default=True)

    class Meta:
        ordering = ["model_id"]
        indexes = [models.Index(fields=["model_id"], name="model_id_idx", opclasses=["varchar_pattern_ops"])]
        constraints = [
            models.UniqueConstraint(fields=["organization", "model_id"], name="model_id_once"),
            models.UniqueConstraint(fields=["model_id"], condition=Q(organization=None), name="platform_model_id_once"),
        ]

    def __str__(self) -> str:
        return self.model_id


class ModelAlias(CatalogModel):
    """Another name for a model. Clients that ask for the alias are answered under it."""

    alias = models.CharField(max_length=255)
    model = models.ForeignKey(Model, models.CASCADE, related_name="aliases")

    class Meta:
        verbose_name_plural = "model aliases"
        ordering = ["alias"]
        indexes = [models.Index(fields=["alias"], name="alias_idx", opclasses=["varchar_pattern_ops"])]
        constraints = [
            models.UniqueConstraint(fields=["organization", "alias"], name="alias_once"),
            models.UniqueConstraint(fields=["alias"], condition=Q(organization=None), name="platform_alias_once"),
        ]

    def __str__(self) -> str:
        return self.alias

    def clean(self) -> None:
        """Forms ask this: a tenant's model is not named for others."""
        model = getattr(self, "model", None)  # unset if itself wrong
        if model and model.organization_id not in (None, self.organization_id):
            raise ValidationError("The model belongs to an organization, so its alias belongs to the same one.")


class RouteQuerySet(EpochQuerySet["Route"]):
    def callable(self) -> Self:
        """Routes a call can take: everything along them is active."""
        listed = Q(is_listed=None) | Q(is_listed=True)
        return self.filter(listed, is_active=True, provider__is_active=True, model__is_active=True)


class Route(EpochModel):
    """A model at a provider. Calls take the active route of the lowest `priority` that is still listed there."""

    raises_on_insert = True

    model = models.ForeignKey(Model, models.CASCADE, related_name="routes")
    provider = models.ForeignKey(Provider, models.CASCADE, related_name="routes")
    upstream_model = models.CharField(max_length=255, help_text="The model's name at this provider.")
    priority = models.PositiveSmallIntegerField(default=100, help_text="Lower is tried first.")
    is_active = models.BooleanField("active", default=True)
    is_listed = models.BooleanField(
        "listed",
        null=True,
        editable=False,
        help_text="Whether the provider's list had it at the last sync. Empty: made by hand, never listed.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[RouteQuerySet] = RouteQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["model", "priority", "id"]
        indexes = [
            models.Index(fields=["upstream_model"], name="route_upstream_idx", opclasses=["varchar_pattern_ops"])
        ]
        constraints = [
            models.UniqueConstraint(fields=["model", "provider", "upstream_model"], name="route_once"),
        ]

    def __str__(self) -> str:
        return f"{self.model} at {self.provider}"

    def clean(self) -> None:
        """Forms ask this: nobody else calls models with a tenant's credential."""
        provider, model = getattr(self, "provider", None), getattr(self, "model", None)  # unset if themselves wrong
        if provider and model and provider.organization_id not in (None, model.organization_id):
            raise ValidationError("The provider belongs to an organization, so it serves only models of the same one.")

"""The models a caller can use, and who provides them."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db.models import Count, Q
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.catalog.models import Capability, Provider
from apps.catalog.queries import Listed, callable_models
from apps.core.errors import NotFound
from apps.organizations.permissions import HasScope, principal_of
from apps.organizations.roles import Scope

_MODEL: dict[str, Any] = {
    "id": "meta/llama-3.3-70b",
    "object": "model",
    "created": 1763700000,
    "owned_by": "meta",
    "capabilities": ["chat", "completions"],
    "context_length": 131072,
    "display_name": "",
    "is_demo": False,
}
_CATALOG = {
    **_MODEL,
    "object": "model.catalog",
    "supported_parameters": {"names": ["temperature", "top_p"], "default": {"temperature": 0.7}},
    "active": True,
    "created_at": "2026-11-21T09:30:00Z",
    "updated_at": "2026-11-21T09:30:00Z",
}
_PROVIDER = {
    "id": "prov_9Lk3b1Jq8sT2vW5yZ7aC9dE3",
    "object": "provider",
    "name": "gpu-1",
    "kind": "vllm",
    "active": True,
    "model_count": 3,
}


def _envelope(data: list[dict[str, Any]]) -> dict[str, Any]:
    """A list that is always whole."""
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": False,
        "next_after": None,
        "total": len(data),
    }


class ModelSerializer(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = serializers.CharField()
    created = serializers.IntegerField()
    owned_by = serializers.CharField()
    capabilities = serializers.ListField(child=serializers.CharField())
    context_length = serializers.IntegerField(allow_null=True)
    display_name = serializers.CharField()
    is_demo = serializers.BooleanField()


class WholeListSerializer(serializers.Serializer[Any]):
    object = serializers.CharField()
    first_id = serializers.CharField(allow_null=True)
    last_id = serializers.CharField(allow_null=True)
    has_more = serializers.BooleanField()
    next_after = serializers.CharField(allow_null=True)
    total = serializers.IntegerField()


class ModelListSerializer(WholeListSerializer):
    data = ModelSerializer(many=True)  # type: ignore[assignment]  # the contract's key shadows DRF's attribute


class CatalogEntrySerializer(ModelSerializer):
    supported_parameters = serializers.DictField()
    active = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class ProviderSerializer(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = serializers.CharField()
    name = serializers.CharField()
    kind = serializers.CharField()
    active = serializers.BooleanField()
    model_count = serializers.IntegerField()


class ProviderListSerializer(WholeListSerializer):
    data = ProviderSerializer(many=True)  # type: ignore[assignment]  # the contract's key shadows DRF's attribute


class ModelListPermission(HasScope):
    """A setting may open the platform's models to everybody."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if settings.PUBLIC_MODEL_LIST and request.auth is None:
            return True
        return super().has_permission(request, view)


class CatalogView(APIView):
    required_scope = Scope.MODELS_READ
    permission_classes = (ModelListPermission,)

    def listed(self, request: Request) -> list[Listed]:
        if request.auth is None:
            return callable_models(None)
        principal = principal_of(request)
        names = callable_models(principal.organization_id)
        return [listed for listed in names if principal.may_call(listed.name, listed.model.model_id)]

    def named(self, request: Request, name: str) -> Listed:
        for listed in self.listed(request):
            if listed.name == name:
                return listed
        raise NotFound(f"The model '{name}' does not exist.", code="model_not_found", param="model")


class ModelsView(CatalogView):
    @extend_schema(
        operation_id="listModels",
        summary="List the models you can call",
        tags=["Models"],
        responses={200: ModelListSerializer},
        examples=[OpenApiExample("Models", value=_envelope([_MODEL]))],
    )
    def get(self, request: Request) -> Response:
        return Response(_envelope([_render(listed) for listed in self.listed(request)]))


# What every model can do in a conversation, because this server does it for them (seeds/004-chat-conversations.md).
_CONVERSATIONAL = ["conversation_aware", "context_retention"]


class ConversationModelsView(CatalogView):
    @extend_schema(
        operation_id="listConversationModels",
        summary="List the models you can chat with in conversations",
        tags=["Models"],
        responses={200: ModelListSerializer},
        examples=[
            OpenApiExample(
                "Models", value=_envelope([{**_MODEL, "capabilities": [*_MODEL["capabilities"], *_CONVERSATIONAL]}])
            )
        ],
    )
    def get(self, request: Request) -> Response:
        chatting = [listed for listed in self.listed(request) if Capability.CHAT in listed.model.capabilities]
        documents = [_render(listed) for listed in chatting]
        for document in documents:
            document["capabilities"] = [*document["capabilities"], *_CONVERSATIONAL]
        return Response(_envelope(documents))


class ModelView(CatalogView):
    @extend_schema(
        operation_id="retrieveModel",
        summary="Read a model",
        description="Ids may contain slashes, plain or as %2F.",
        tags=["Models"],
        responses={200: ModelSerializer},
        examples=[OpenApiExample("A model", value=_MODEL)],
    )
    def get(self, request: Request, model_id: str) -> Response:
        return Response(_render(self.named(request, model_id)))


class CatalogEntryView(CatalogView):
    @extend_schema(
        operation_id="retrieveCatalogEntry",
        summary="Read what a model supports",
        tags=["Models"],
        responses={200: CatalogEntrySerializer},
        examples=[OpenApiExample("An entry", value=_CATALOG)],
    )
    def get(self, request: Request, model_id: str) -> Response:
        listed = self.named(request, model_id)
        model = listed.model
        return Response(
            {
                **_render(listed),
                "object": "model.catalog",
                "supported_parameters": {"names": [], "default": {}, **model.supported_parameters},
                "active": True,
                "created_at": model.created_at,
                "updated_at": model.updated_at,
            }
        )


class ProvidersView(APIView):
    required_scope = Scope.MODELS_READ

    @extend_schema(
        operation_id="listProviders",
        summary="List the providers behind your models",
        tags=["Models"],
        responses={200: ProviderListSerializer},
        examples=[OpenApiExample("Providers", value=_envelope([_PROVIDER]))],
    )
    def get(self, request: Request) -> Response:
        listed = Q(routes__is_listed=None) | Q(routes__is_listed=True)
        reachable = listed & Q(routes__is_active=True, routes__model__is_active=True)
        providers = (
            Provider.objects.visible_in(principal_of(request).organization_id)
            .filter(is_active=True)
            .annotate(model_count=Count("routes", filter=reachable))
            .order_by("name", "id")
        )
        return Response(
            _envelope(
                [
                    {
                        "id": provider.public_id,
                        "object": "provider",
                        "name": provider.name,
                        "kind": provider.kind,
                        "active": provider.is_active,
                        "model_count": provider.model_count,
                    }
                    for provider in providers
                ]
            )
        )


def _render(listed: Listed) -> dict[str, Any]:
    model = listed.model
    return {
        "id": listed.name,
        "object": "model",
        "created": int(model.created_at.timestamp()),
        "owned_by": model.owned_by,
        "capabilities": model.capabilities,
        "context_length": model.context_length,
        "display_name": model.display_name,
        "is_demo": listed.is_demo,
    }

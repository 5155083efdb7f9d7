"""Stored completions: listed, read, labelled, deleted."""

from __future__ import annotations

import re
from typing import Any

from django.http import QueryDict
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.completions import openapi, services
from apps.completions.models import StoredCompletion, StoredCompletionQuerySet
from apps.completions.shape import MAX_PAIRS, shown_message
from apps.core.errors import BadRequest
from apps.core.http.deletion import deleted
from apps.core.http.moments import moment
from apps.core.http.pagination import paginate, paginate_items
from apps.core.http.parameters import MAX_LENGTH
from apps.core.http.serializers import StrictSerializer
from apps.organizations import openapi as shapes
from apps.organizations.permissions import principal_of
from apps.organizations.roles import Scope

_TAGS = ["Stored completions"]
_LABEL = re.compile(r"metadata\[(.*)\]", re.DOTALL)
_REPLACING = "Replaces all metadata; null for none."
_MERGING = "Changes the pairs that are given; null takes one away."


class Labels(StrictSerializer):
    metadata = serializers.JSONField(allow_null=True, help_text="Up to 16 pairs of texts.")


def completion_document(request: Request, completion: StoredCompletion) -> dict[str, Any]:
    """Return a stored completion as OpenAI's SDK types it, with the parameters it was asked with."""
    created = completion.answer.get("created")
    return {
        **completion.parameters,
        **completion.answer,
        "id": completion.public_id,
        "created": created if isinstance(created, int) else moment(request, completion.created_at),
        "model": completion.model,
        "metadata": completion.metadata,
        "request_id": completion.request_id,
    }


class CompletionsView(APIView):
    required_scope = {"GET": Scope.CONVERSATIONS_READ}

    @extend_schema(
        operation_id="listChatCompletions",
        summary="List stored completions",
        description="Calls with `store: true`: a person's own, or a project key's. Oldest first by default.",
        tags=_TAGS,
        parameters=[*shapes.CURSORS, *openapi.FILTERS],
        responses={200: openapi.CompletionPage},
        examples=[shapes.page_of("completions", openapi.COMPLETION)],
    )
    def get(self, request: Request) -> Response:
        rows = _filtered(request.query_params, StoredCompletion.objects.visible_to(principal_of(request)))

        def render(row: StoredCompletion) -> dict[str, Any]:
            return completion_document(request, row)

        return Response(paginate(request, rows, render, named="completions", default_order="asc"))


class CompletionView(APIView):
    required_scope = {
        "GET": Scope.CONVERSATIONS_READ,
        "POST": Scope.CONVERSATIONS_WRITE,
        "PATCH": Scope.CONVERSATIONS_WRITE,
        "DELETE": Scope.CONVERSATIONS_WRITE,
    }

    @extend_schema(
        operation_id="getChatCompletion",
        summary="Retrieve a stored completion",
        tags=_TAGS,
        responses={200: openapi.CompletionShape},
        examples=[openapi.COMPLETION_EXAMPLE],
    )
    def get(self, request: Request, completion_id: str) -> Response:
        found = services.find_completion(principal_of(request), completion_id)
        return Response(completion_document(request, found))

    @extend_schema(
        operation_id="updateChatCompletion",
        summary="Replace the metadata of a stored completion",
        description=_REPLACING,
        tags=_TAGS,
        request=Labels,
        responses={200: openapi.CompletionShape},
        examples=[openapi.LABELS_EXAMPLE, openapi.COMPLETION_EXAMPLE],
    )
    def post(self, request: Request, completion_id: str) -> Response:
        return self._label(request, completion_id, merges=False)

    @extend_schema(
        operation_id="patchChatCompletion",
        summary="Change the metadata of a stored completion",
        description=_MERGING,
        tags=_TAGS,
        request=Labels,
        responses={200: openapi.CompletionShape},
        examples=[openapi.LABELS_EXAMPLE, openapi.COMPLETION_EXAMPLE],
    )
    def patch(self, request: Request, completion_id: str) -> Response:
        return self._label(request, completion_id, merges=True)

    @extend_schema(
        operation_id="deleteChatCompletion",
        summary="Delete a stored completion",
        tags=_TAGS,
        responses={200: shapes.Gone},
        examples=[shapes.gone(str(openapi.COMPLETION["id"]), "chat.completion")],
    )
    def delete(self, request: Request, completion_id: str) -> Response:
        services.delete_completion(completion=services.find_completion(principal_of(request), completion_id))
        return deleted(request, completion_id, "chat.completion")

    def _label(self, request: Request, completion_id: str, *, merges: bool) -> Response:
        found = services.find_completion(principal_of(request), completion_id)
        wanted = Labels(data=request.data)
        wanted.is_valid(raise_exception=True)
        metadata = wanted.validated_data["metadata"]
        return Response(
            completion_document(request, services.label_completion(completion=found, metadata=metadata, merges=merges))
        )


class CompletionMessagesView(APIView):
    required_scope = {"GET": Scope.CONVERSATIONS_READ}

    @extend_schema(
        operation_id="getChatCompletionMessages",
        summary="List the messages a stored completion was asked with",
        tags=_TAGS,
        parameters=shapes.CURSORS,
        responses={200: openapi.CompletionMessagePage},
        examples=[shapes.page_of("messages", openapi.MESSAGE)],
    )
    def get(self, request: Request, completion_id: str) -> Response:
        found = services.find_completion(principal_of(request), completion_id)
        messages = [
            shown_message(found.public_id, index, message)
            for index, message in enumerate(found.messages)
            if isinstance(message, dict)
        ]
        return Response(
            paginate_items(
                request,
                messages,
                lambda message: message,
                named="messages",
                key=lambda message: str(message["id"]),
                default_order="asc",
            )
        )


def _filtered(query: QueryDict, rows: StoredCompletionQuerySet) -> StoredCompletionQuerySet:
    model = query.get("model")
    if model is not None:
        rows = rows.of_model(_checked(model, "model"))
    labels = {found[1]: str(query[name]) for name in query if (found := _LABEL.fullmatch(name))}
    if len(labels) > MAX_PAIRS:
        raise BadRequest(f"'metadata' may hold {MAX_PAIRS} pairs at most.", param="metadata")
    for name, text in labels.items():
        rows = rows.labelled(_checked(name, "metadata"), _checked(text, "metadata"))
    return rows


def _checked(text: str, param: str) -> str:
    if "\x00" in text or len(text) > 2 * MAX_LENGTH + 2:
        raise BadRequest(f"'{param}' names nothing that can be.", param=param)
    return text

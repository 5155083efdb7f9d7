"""Conversations of the caller's."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.conversations import openapi as shapes
from apps.conversations import services
from apps.conversations.chat_project_services import find_chat_project
from apps.conversations.documents import conversation_document, item_document
from apps.conversations.models import Conversation, ConversationQuerySet
from apps.conversations.parsing import parse_list
from apps.conversations.paths import page_of
from apps.conversations.search import matching
from apps.conversations.serializers import ChangedConversation, NewConversation
from apps.core.errors import BadRequest
from apps.core.http.deletion import deleted, prefers_minimal
from apps.core.http.pagination import MAX_LIMIT, paginate
from apps.core.http.parameters import values
from apps.core.wall import widened
from apps.organizations.permissions import principal_of
from apps.organizations.principal import Principal
from apps.organizations.roles import Scope

TAGS = ["Conversations"]
# Which conversations a list shows: those that are not in the archive, unless the caller says otherwise.
_ARCHIVED = {None: False, "false": False, "true": True, "all": None}


def conversations_of(principal: Principal) -> ConversationQuerySet:
    """Return a caller's conversations, with what their documents say."""
    rows: ConversationQuerySet = Conversation.objects.visible_to(principal).with_branch()
    return rows


def find_conversation(request: Request, public_id: str) -> Conversation:
    """Return a conversation of the caller's. Raises NotFound."""
    found: Conversation | None = conversations_of(principal_of(request)).with_public_id(public_id)
    if found is None:
        raise services.not_found()
    return found


def conversation_page(request: Request, conversations: ConversationQuerySet) -> dict[str, Any]:
    """Return a page of those that fit the request's filters. Raises BadRequest naming a bad one."""
    rows = _filtered(request, conversations)
    # Text search is not used behind the second wall; whose rows these are, they say themselves.
    is_searched = "q" in request.query_params
    with widened("text search of one's own") if is_searched else nullcontext():
        return paginate(request, rows, lambda each: conversation_document(request, each), named="conversations")


class ConversationsView(APIView):
    required_scope = {
        "GET": Scope.CONVERSATIONS_READ,
        "POST": Scope.CONVERSATIONS_WRITE,
        "DELETE": Scope.CONVERSATIONS_WRITE,
    }

    @extend_schema(
        operation_id="listConversations",
        summary="List conversations",
        description="Yours; with a key of a project, the project's. Those in the archive are left out.",
        tags=TAGS,
        parameters=[*shapes.CONVERSATION_FILTERS, *shapes.CURSORS],
        responses={200: shapes.ConversationPage},
        examples=[shapes.CONVERSATIONS_EXAMPLE],
    )
    def get(self, request: Request) -> Response:
        return Response(conversation_page(request, conversations_of(principal_of(request))))

    @extend_schema(
        operation_id="createConversation",
        summary="Create a conversation",
        description="Without a title it gets one of the first message.",
        tags=TAGS,
        request=NewConversation,
        responses={200: shapes.ConversationShape},
        examples=[shapes.NEW_CONVERSATION_EXAMPLE, shapes.CONVERSATION_EXAMPLE],
    )
    def post(self, request: Request) -> Response:
        wanted = NewConversation(data=request.data)
        wanted.is_valid(raise_exception=True)
        principal = principal_of(request)
        items = parse_list(wanted.validated_data.pop("items", None) or [])
        fields = _given(principal, wanted.validated_data)
        conversation = services.create_conversation(principal=principal, items=items, **fields)
        return Response(conversation_document(request, conversation))

    @extend_schema(
        operation_id="deleteConversations",
        summary="Delete all your conversations",
        description="With everything in them, those in the archive too.",
        tags=TAGS,
        responses={200: shapes.DeletedConversations, 204: None},
        examples=[shapes.ALL_DELETED_EXAMPLE],
    )
    def delete(self, request: Request) -> Response:
        count = services.delete_conversations(Conversation.objects.visible_to(principal_of(request)))
        if prefers_minimal(request):
            return Response(status=204)
        return Response({"object": "conversation.list.deleted", "deleted": True, "deleted_count": count})


class ConversationView(APIView):
    required_scope = {
        "GET": Scope.CONVERSATIONS_READ,
        "POST": Scope.CONVERSATIONS_WRITE,
        "PATCH": Scope.CONVERSATIONS_WRITE,
        "DELETE": Scope.CONVERSATIONS_WRITE,
    }

    @extend_schema(
        operation_id="retrieveConversation",
        summary="Retrieve a conversation",
        tags=TAGS,
        parameters=[shapes.EXPAND],
        responses={200: shapes.ConversationShape},
        examples=[shapes.CONVERSATION_EXAMPLE],
    )
    def get(self, request: Request, conversation_id: str) -> Response:
        conversation = find_conversation(request, conversation_id)
        document = conversation_document(request, conversation)
        if _expands_items(request):
            newest = page_of(conversation.branch, limit=MAX_LIMIT, descending=True)
            document["items"] = [item_document(request, conversation, item) for item in reversed(newest)]
            document["has_more_items"] = conversation.branch.item_count > len(newest)
        return Response(document)

    @extend_schema(
        operation_id="updateConversation",
        summary="Update a conversation",
        description="What is given is changed. `metadata` replace all there are.",
        tags=TAGS,
        request=ChangedConversation,
        responses={200: shapes.ConversationShape},
        examples=[shapes.CHANGED_CONVERSATION_EXAMPLE, shapes.CONVERSATION_EXAMPLE],
    )
    def post(self, request: Request, conversation_id: str) -> Response:
        return self._update(request, conversation_id, merges=False)

    @extend_schema(
        operation_id="patchConversation",
        summary="Update a conversation, merging its metadata",
        description="What is given is changed. Of `metadata` too: null takes a key away.",
        tags=TAGS,
        request=ChangedConversation,
        responses={200: shapes.ConversationShape},
        examples=[shapes.CHANGED_CONVERSATION_EXAMPLE, shapes.CONVERSATION_EXAMPLE],
    )
    def patch(self, request: Request, conversation_id: str) -> Response:
        return self._update(request, conversation_id, merges=True)

    @extend_schema(
        operation_id="deleteConversation",
        summary="Delete a conversation",
        description="With everything in it.",
        tags=TAGS,
        responses={200: shapes.DeletedConversation, 204: None},
        examples=[shapes.DELETED_EXAMPLE],
    )
    def delete(self, request: Request, conversation_id: str) -> Response:
        mine = Conversation.objects.visible_to(principal_of(request))
        if not services.delete_conversations(mine.named(conversation_id)):
            raise services.not_found()
        return deleted(request, conversation_id, "conversation")

    def _update(self, request: Request, conversation_id: str, *, merges: bool) -> Response:
        conversation = find_conversation(request, conversation_id)
        wanted = ChangedConversation(data=request.data)
        wanted.is_valid(raise_exception=True)
        changes = _given(principal_of(request), wanted.validated_data)
        changed = services.update_conversation(conversation=conversation, changes=changes, merges_metadata=merges)
        return Response(conversation_document(request, changed))


def _given(principal: Principal, fields: dict[str, Any]) -> dict[str, Any]:
    """Return what a service is given of a body: the chat project instead of its id. Raises NotFound."""
    given = dict(fields)
    if "project_id" in given:
        public_id = given.pop("project_id")
        given["chat_project"] = find_chat_project(principal, public_id) if public_id else None
    return given


def _filtered(request: Request, rows: ConversationQuerySet) -> ConversationQuerySet:
    query = request.query_params
    archived = query.get("archived")
    if archived not in _ARCHIVED:
        raise BadRequest("'archived' must be true, false or all.", param="archived")
    if (wanted := _ARCHIVED[archived]) is not None:
        rows = rows.archived(wanted)
    if public_id := query.get("project_id"):
        rows = rows.in_chat_project(find_chat_project(principal_of(request), public_id))
    if "q" in query:
        rows = matching(rows, principal_of(request).organization_id, query["q"])
    return rows


def _expands_items(request: Request) -> bool:
    expanded = values(request.query_params, "expand") or ()
    if unknown := set(expanded) - {"items"}:
        raise BadRequest(f"'{min(unknown)}' cannot be expanded, 'items' can.", param="expand")
    return bool(expanded)

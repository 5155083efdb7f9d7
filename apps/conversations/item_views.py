"""Items of a conversation, and its messages alone."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.conversations import openapi as shapes
from apps.conversations import services
from apps.conversations.branches import find_branch
from apps.conversations.documents import conversation_document, item_document
from apps.conversations.item_types import MESSAGE
from apps.conversations.models import Conversation, Item
from apps.conversations.parsing import parse_items
from apps.conversations.paths import count_on, item_with, page_of
from apps.conversations.serializers import ChangedItem
from apps.conversations.views import TAGS, find_conversation
from apps.core.http.deletion import prefers_minimal
from apps.core.http.pagination import MAX_COUNT, PageAsked, list_object, page_asked, unknown_cursor
from apps.core.http.parameters import values
from apps.organizations.roles import Scope


class ItemsView(APIView):
    required_scope = {"GET": Scope.CONVERSATIONS_READ, "POST": Scope.CONVERSATIONS_WRITE}
    # The seeds' name of the list, and the only type in it.
    named: ClassVar[str] = "items"
    kind: ClassVar[str | None] = None

    @extend_schema(
        operation_id="listConversationItems",
        summary="List items",
        description="The newest first. `include` is accepted and changes nothing: everything is included.",
        tags=TAGS,
        parameters=[shapes.INCLUDE, shapes.BRANCH, *shapes.CURSORS],
        responses={200: shapes.ItemPage},
        examples=[shapes.ITEMS_EXAMPLE],
    )
    def get(self, request: Request, conversation_id: str) -> Response:
        conversation = _on_branch(request, conversation_id)
        asked = page_asked(request)
        values(request.query_params, "include")
        rows = _page(conversation, asked, self.kind)
        branch = conversation.branch
        total = branch.item_count if self.kind is None else count_on(branch, self.kind, MAX_COUNT + 1)
        return Response(_rendered(request, conversation, rows, asked, total, self.named))

    @extend_schema(
        operation_id="createConversationItems",
        summary="Create items",
        description=(
            "Up to 20 as `items`, or a single one. A message's content is a string or a list of parts, in OpenAI's "
            "spelling or in the original server's; messages of chat completions (`tool_calls`, role `tool`) become the "
            "items they are."
        ),
        tags=TAGS,
        parameters=[shapes.INCLUDE],
        request=shapes.NewItems,
        responses={200: shapes.ItemPage},
        examples=[shapes.NEW_ITEMS_EXAMPLE, shapes.ITEMS_EXAMPLE],
    )
    def post(self, request: Request, conversation_id: str) -> Response:
        conversation = find_conversation(request, conversation_id)
        wanted = parse_items(request.data)
        values(request.query_params, "include")
        rows = services.append_items(conversation=conversation, items=wanted)
        all_of_them = PageAsked(limit=len(rows), offset=0, descending=False, after=None, before=None)
        return Response(_rendered(request, conversation, rows, all_of_them, len(rows), self.named))


class ItemView(APIView):
    required_scope = {
        "GET": Scope.CONVERSATIONS_READ,
        "POST": Scope.CONVERSATIONS_WRITE,
        "PATCH": Scope.CONVERSATIONS_WRITE,
        "DELETE": Scope.CONVERSATIONS_WRITE,
    }
    kind: ClassVar[str | None] = None

    @extend_schema(
        operation_id="retrieveConversationItem",
        summary="Retrieve an item",
        tags=TAGS,
        parameters=[shapes.INCLUDE, shapes.BRANCH],
        responses={200: shapes.ItemShape},
        examples=[shapes.ITEM_EXAMPLE],
    )
    def get(self, request: Request, conversation_id: str, item_id: str) -> Response:
        conversation = _on_branch(request, conversation_id)
        item = services.find_item(conversation, item_id, self.kind)
        return Response(item_document(request, conversation, item))

    @extend_schema(
        operation_id="updateConversationItem",
        summary="Rate an item",
        description="`metadata` replace all there are. What was said stays as it is.",
        tags=TAGS,
        parameters=[shapes.BRANCH],
        request=ChangedItem,
        responses={200: shapes.ItemShape},
        examples=[shapes.RATING_EXAMPLE, shapes.ITEM_EXAMPLE],
    )
    def post(self, request: Request, conversation_id: str, item_id: str) -> Response:
        return self._update(request, conversation_id, item_id, merges=False)

    @extend_schema(
        operation_id="patchConversationItem",
        summary="Rate an item, merging its metadata",
        description="Of `metadata` what is given is changed: null takes a key away. What was said stays as it is.",
        tags=TAGS,
        parameters=[shapes.BRANCH],
        request=ChangedItem,
        responses={200: shapes.ItemShape},
        examples=[shapes.RATING_EXAMPLE, shapes.ITEM_EXAMPLE],
    )
    def patch(self, request: Request, conversation_id: str, item_id: str) -> Response:
        return self._update(request, conversation_id, item_id, merges=True)

    @extend_schema(
        operation_id="deleteConversationItem",
        summary="Delete an item",
        description="The answer is the conversation as it is then.",
        tags=TAGS,
        responses={200: shapes.ConversationAfterDeletion, 204: None},
        examples=[shapes.ITEM_DELETED_EXAMPLE],
    )
    def delete(self, request: Request, conversation_id: str, item_id: str) -> Response:
        conversation = find_conversation(request, conversation_id)
        left = services.delete_item(conversation=conversation, public_id=item_id, kind=self.kind)
        if prefers_minimal(request):
            return Response(status=204)
        return Response({**conversation_document(request, left), "deleted": True, "deleted_item_id": item_id})

    def _update(self, request: Request, conversation_id: str, item_id: str, *, merges: bool) -> Response:
        conversation = _on_branch(request, conversation_id)
        item = services.find_item(conversation, item_id, self.kind)
        wanted = ChangedItem(data=request.data)
        wanted.is_valid(raise_exception=True)
        changed = services.update_item(item=item, changes=wanted.validated_data, merges_metadata=merges)
        return Response(item_document(request, conversation, changed))


def _on_branch(request: Request, conversation_id: str) -> Conversation:
    """Return a conversation of the caller's on the branch it asks for, or the active one. Raises NotFound."""
    conversation = find_conversation(request, conversation_id)
    if name := request.query_params.get("branch"):
        conversation.active_branch = find_branch(conversation, name)
    return conversation


def _page(conversation: Conversation, asked: PageAsked, kind: str | None) -> list[Item]:
    """Return the items of a page and one more, if there is one. Raises BadRequest naming an unknown cursor."""
    branch = conversation.branch
    after, before = _place(conversation, asked.after, "after"), _place(conversation, asked.before, "before")
    above, below = (before, after) if asked.descending else (after, before)
    return page_of(
        branch, limit=asked.limit + 1, descending=asked.descending, above=above or 0, below=below,
        skip=asked.offset or 0, kind=kind,
    )  # fmt: skip


def _place(conversation: Conversation, cursor: str | None, name: str) -> int | None:
    if not cursor:
        return None
    item = item_with(conversation.branch, cursor)
    if item is None:
        raise unknown_cursor(name)
    return item.sequence


def _rendered(
    request: Request, conversation: Conversation, rows: list[Item], asked: PageAsked, total: int, named: str
) -> dict[str, Any]:
    data = [item_document(request, conversation, item) for item in rows[: asked.limit]]
    return list_object(asked, [item.public_id for item in rows], data, total, named)


# The same by the name they had once; only messages are seen.


def _other(method: str, operation: str, summary: str, **kwargs: Any) -> dict[str, Any]:
    return {method: extend_schema(operation_id=operation, summary=f"{summary} (messages only)", **kwargs)}


@extend_schema_view(
    **_other("get", "listConversationMessages", "List messages", responses={200: shapes.MessagePage}),
    **_other("post", "createConversationMessages", "Create messages", responses={200: shapes.MessagePage}),
)
class MessagesView(ItemsView):
    named = "messages"
    kind = MESSAGE


@extend_schema_view(
    **_other("get", "retrieveConversationMessage", "Retrieve a message"),
    **_other("post", "updateConversationMessage", "Rate a message"),
    **_other("patch", "patchConversationMessage", "Rate a message, merging its metadata"),
    **_other("delete", "deleteConversationMessage", "Delete a message"),
)
class MessageView(ItemView):
    kind = MESSAGE

"""Branches of a conversation: other ways in which it goes on after one of its items."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.conversations import branches
from apps.conversations import openapi as shapes
from apps.conversations.documents import branch_document
from apps.conversations.models import MAIN, Branch
from apps.conversations.views import TAGS, find_conversation
from apps.core.http.deletion import deleted
from apps.core.http.moments import moment
from apps.core.http.pagination import paginate
from apps.core.http.serializers import StrictSerializer
from apps.organizations.openapi import Gone, answer, body, gone
from apps.organizations.roles import Scope

_MAIN = {
    "object": "conversation.branch",
    "name": MAIN,
    "is_active": True,
    "parent": None,
    "forked_after": None,
    "item_count": 4,
    "created_at": 1767225600,
}
_BRANCH = {
    **_MAIN,
    "name": "another-way",
    "is_active": False,
    "parent": MAIN,
    "forked_after": "msg_7aC9dE3fG5hJ7kL1mN2pQ4rS",
    "item_count": 1,
}
_EXAMPLE = answer("A branch", _BRANCH)
_ACTIVE = answer("The active branch", {**_BRANCH, "is_active": True})
_PAGE = answer(
    "A page",
    {
        "object": "list", "data": [_MAIN, _BRANCH], "first_id": MAIN, "last_id": "another-way", "has_more": False,
        "next_after": None, "total": 2,
    },
)  # fmt: skip


class NewBranch(StrictSerializer):
    name = serializers.RegexField(
        rf"\A{branches.NAME}\Z", required=False, allow_null=True, help_text="Left out: one is made up."
    )
    from_item = serializers.CharField(
        max_length=64, required=False, allow_null=True, help_text="The item it goes on after. Left out: the last one."
    )


class BranchShape(serializers.Serializer[Any]):
    object = serializers.CharField(default="conversation.branch")
    name = serializers.CharField()
    is_active = serializers.BooleanField(help_text="It is read and written.")
    parent = serializers.CharField(  # type: ignore[assignment]  # the contract's key shadows DRF's attribute
        allow_null=True, help_text="The branch it forks from; null: the first one."
    )
    forked_after = serializers.CharField(allow_null=True, help_text="The item before the fork; null: there is none.")
    item_count = serializers.IntegerField(help_text="With what comes before the fork.")
    created_at = serializers.IntegerField()


class BranchPage(shapes._Page):
    data = BranchShape(many=True)  # type: ignore[assignment]  # the contract's key shadows DRF's attribute
    branches = BranchShape(many=True, required=False, help_text="With `offset`: the same as `data`.")


class BranchesView(APIView):
    required_scope = {"GET": Scope.CONVERSATIONS_READ, "POST": Scope.CONVERSATIONS_WRITE}

    @extend_schema(
        operation_id="listConversationBranches",
        summary="List branches",
        description="The cursors are names. A conversation has up to 100.",
        tags=TAGS,
        parameters=shapes.CURSORS,
        responses={200: BranchPage},
        examples=[_PAGE],
    )
    def get(self, request: Request, conversation_id: str) -> Response:
        rows = branches.branches_of(find_conversation(request, conversation_id))
        return Response(paginate(request, rows, lambda row: _document(request, row), named="branches", key="name"))

    @extend_schema(
        operation_id="createConversationBranch",
        summary="Create a branch",
        description=(
            "It goes on after `from_item`, an item of any branch, or after the last one. Nothing is copied, and the "
            "active branch stays active."
        ),
        tags=TAGS,
        request=NewBranch,
        responses={201: BranchShape},
        examples=[body("After an item", {"name": _BRANCH["name"], "from_item": _BRANCH["forked_after"]}), _EXAMPLE],
    )
    def post(self, request: Request, conversation_id: str) -> Response:
        conversation = find_conversation(request, conversation_id)
        wanted = NewBranch(data=request.data)
        wanted.is_valid(raise_exception=True)
        branch = branches.create_branch(
            conversation=conversation,
            name=wanted.validated_data.get("name") or "",
            from_item=wanted.validated_data.get("from_item"),
        )
        return Response(_document(request, branch), status=201)


class BranchView(APIView):
    required_scope = {"GET": Scope.CONVERSATIONS_READ, "DELETE": Scope.CONVERSATIONS_WRITE}

    @extend_schema(
        operation_id="retrieveConversationBranch",
        summary="Retrieve a branch",
        tags=TAGS,
        responses={200: BranchShape},
        examples=[_EXAMPLE],
    )
    def get(self, request: Request, conversation_id: str, name: str) -> Response:
        return Response(_document(request, branches.find_branch(find_conversation(request, conversation_id), name)))

    @extend_schema(
        operation_id="deleteConversationBranch",
        summary="Delete a branch",
        description="With the items that are its own. Not the first one, the active one, or one that others begin on.",
        tags=TAGS,
        responses={200: Gone, 204: None},
        examples=[gone(str(_BRANCH["name"]), "conversation.branch")],
    )
    def delete(self, request: Request, conversation_id: str, name: str) -> Response:
        branches.delete_branch(conversation=find_conversation(request, conversation_id), name=name)
        return deleted(request, name, "conversation.branch")


class BranchActivationView(APIView):
    required_scope = {"POST": Scope.CONVERSATIONS_WRITE}

    @extend_schema(
        operation_id="activateConversationBranch",
        summary="Activate a branch",
        description="From then on the conversation's items are those of this branch, and new ones go there.",
        tags=TAGS,
        request=None,
        responses={200: BranchShape},
        examples=[_ACTIVE],
    )
    def post(self, request: Request, conversation_id: str, name: str) -> Response:
        conversation = find_conversation(request, conversation_id)
        return Response(_document(request, branches.activate_branch(conversation=conversation, name=name)))


def _document(request: Request, branch: Branch) -> dict[str, Any]:
    return branch_document(branch, moment(request, branch.created_at))

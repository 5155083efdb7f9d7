"""Shares of conversations: made, listed and revoked by their owner, read by whoever has the link."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.conversations.branches import find_branch
from apps.conversations.models import Conversation
from apps.conversations.services import not_found as no_conversation
from apps.core.http.deletion import deleted
from apps.core.http.pagination import paginate
from apps.core.sealing import Opener, opener
from apps.organizations import openapi as shapes
from apps.organizations.actors import actor_of_caller
from apps.organizations.permissions import principal_of
from apps.organizations.roles import Scope
from apps.shares import openapi, services
from apps.shares.models import Share
from apps.shares.serializers import NewShare, public_document, share_document
from apps.shares.snapshot import Wish

_TAGS = ["Shares"]


def _conversation(request: Request, public_id: str) -> Conversation:
    rows = Conversation.objects.visible_to(principal_of(request)).with_branch()
    found: Conversation | None = rows.with_public_id(public_id)
    if found is None:
        raise no_conversation()
    return found


def _unsealed(request: Request) -> Opener:
    return opener(principal_of(request).organization_public_id)


class SharesView(APIView):
    required_scope = {"POST": Scope.CONVERSATIONS_WRITE}

    @extend_schema(
        operation_id="createShare",
        summary="Share a conversation",
        description=(
            "Anybody with the link may read it, as it is now: what is said later does not show. Reasoning and calls of "
            "tools are left out unless they are asked for, instructions always."
        ),
        tags=_TAGS,
        request=NewShare,
        responses={200: openapi.ShareShape},
        examples=[openapi.NEW_SHARE_EXAMPLE, openapi.SHARE_EXAMPLE],
    )
    def post(self, request: Request, conversation_id: str) -> Response:
        conversation = _conversation(request, conversation_id)
        body = NewShare(data=request.data)
        body.is_valid(raise_exception=True)
        wanted = body.validated_data
        branch = find_branch(conversation, wanted["branch"]) if "branch" in wanted else conversation.branch
        share = services.create_share(
            principal=principal_of(request),
            conversation=conversation,
            branch=branch,
            title=wanted.get("title", ""),
            expires_at=wanted.get("expires_at"),
            item_id=wanted.get("item_id"),
            wish=Wish(wanted.get("include_reasoning", False), wanted.get("include_tools", False)),
        )
        return Response(share_document(request, share, _unsealed(request)))


class ShareListView(APIView):
    required_scope = {"GET": Scope.CONVERSATIONS_READ}

    @extend_schema(
        operation_id="listShares",
        summary="List a conversation's shares",
        description="Those that were not revoked.",
        tags=_TAGS,
        parameters=shapes.CURSORS,
        responses={200: openapi.SharePage},
        examples=[shapes.page_of("shares", openapi.SHARE)],
    )
    def get(self, request: Request, conversation_id: str) -> Response:
        conversation = _conversation(request, conversation_id)
        rows = Share.objects.visible_to(principal_of(request)).of(conversation).standing()
        rows = rows.select_related("conversation")
        unsealed = _unsealed(request)
        return Response(paginate(request, rows, lambda share: share_document(request, share, unsealed), named="shares"))


class ShareView(APIView):
    required_scope = {"DELETE": Scope.CONVERSATIONS_WRITE}

    @extend_schema(
        operation_id="revokeShare",
        summary="Revoke a share",
        description="Its link leads nowhere from then on.",
        tags=_TAGS,
        responses={200: shapes.Gone},
        examples=[shapes.gone(str(openapi.SHARE["id"]), "conversation.share")],
    )
    def delete(self, request: Request, conversation_id: str, share_id: str) -> Response:
        principal = principal_of(request)
        conversation = _conversation(request, conversation_id)
        rows = Share.objects.visible_to(principal).of(conversation).select_related("organization", "project")
        share = rows.with_public_id(share_id)
        if share is None:
            raise services.not_found()
        services.revoke_share(share=share, actor=actor_of_caller(principal))
        return deleted(request, share_id, "conversation.share")


class PublicShareView(APIView):
    authentication_classes = ()
    permission_classes = ()

    @extend_schema(
        operation_id="getPublicShare",
        summary="Read a share",
        description="For whoever has the link. One that was revoked, or whose time is over, is as one that never was.",
        tags=_TAGS,
        auth=[],
        responses={200: openapi.PublicShareShape},
        examples=[openapi.PUBLIC_EXAMPLE],
    )
    def get(self, request: Request, slug: str) -> Response:
        answer = Response(public_document(request, services.view_share(slug)))
        answer["X-Robots-Tag"] = "noindex, nofollow"
        answer["Referrer-Policy"] = "no-referrer"
        return answer

"""Chat projects: a person's folders of conversations, known to clients as projects."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.conversations import chat_project_services as services
from apps.conversations import openapi as conversation_shapes
from apps.conversations.chat_project_serializers import (
    ChangedChatProject,
    ChatProjectShape,
    NewChatProject,
    chat_project_document,
)
from apps.conversations.models import ChatProject
from apps.conversations.views import conversation_page, conversations_of
from apps.core.errors import BadRequest
from apps.core.http.deletion import deleted
from apps.core.http.pagination import paginate
from apps.core.http.parameters import flag
from apps.organizations import openapi as shapes
from apps.organizations.permissions import principal_of
from apps.organizations.roles import Scope

_TAGS = ["Chat projects"]
_PROJECT = {
    "id": "cproj_4Xn0b1Jq8sT2vW5yZ7aC9dE3",
    "object": "project",
    "name": "Marketing Campaign",
    "instruction": "You are a marketing expert.",
    "is_favorite": False,
    "archived": False,
    "is_archived": False,
    "archived_at": None,
    "created_at": 1795253400,
    "updated_at": 1795253400,
}
_EXAMPLE = shapes.answer("A project", _PROJECT)
_CHANGE = shapes.body("Another name", {"name": "Updated Project Name", "archived": False})
_CHANGE_TEXT = "What is given is changed and nothing else. An archived project keeps its conversations."


class ChatProjectPage(shapes.Page):
    data = ChatProjectShape(many=True)  # type: ignore[assignment]  # the contract's key shadows DRF's attribute


class ChatProjectsView(APIView):
    required_scope = {"GET": Scope.CONVERSATIONS_READ, "POST": Scope.CONVERSATIONS_WRITE}

    @extend_schema(
        operation_id="listChatProjects",
        summary="List chat projects",
        description="Those of the caller: a person's own, or a project key's.",
        tags=_TAGS,
        parameters=[
            *shapes.CURSORS,
            OpenApiParameter("archived", OpenApiTypes.BOOL, description="Only those, or only the others."),
        ],
        responses={200: ChatProjectPage},
        examples=[shapes.page_of("projects", _PROJECT)],
    )
    def get(self, request: Request) -> Response:
        rows = ChatProject.objects.visible_to(principal_of(request)).present()
        archived = flag(request.query_params, "archived")
        if archived is not None:
            rows = rows.archived(archived)
        return Response(paginate(request, rows, lambda row: chat_project_document(request, row), named="projects"))

    @extend_schema(
        operation_id="createChatProject",
        summary="Create a chat project",
        description="A name may be given more than once.",
        tags=_TAGS,
        request=NewChatProject,
        responses={201: ChatProjectShape},
        examples=[
            shapes.body("A project", {name: _PROJECT[name] for name in ("name", "instruction")}),
            _EXAMPLE,
        ],
    )
    def post(self, request: Request) -> Response:
        wanted = NewChatProject(data=request.data)
        wanted.is_valid(raise_exception=True)
        made = services.create_chat_project(principal=principal_of(request), **wanted.validated_data)
        return Response(chat_project_document(request, made), status=201)


class ChatProjectView(APIView):
    required_scope = {
        "GET": Scope.CONVERSATIONS_READ,
        "POST": Scope.CONVERSATIONS_WRITE,
        "PATCH": Scope.CONVERSATIONS_WRITE,
        "DELETE": Scope.CONVERSATIONS_WRITE,
    }

    @extend_schema(
        operation_id="retrieveChatProject",
        summary="Retrieve a chat project",
        tags=_TAGS,
        responses={200: ChatProjectShape},
        examples=[_EXAMPLE],
    )
    def get(self, request: Request, project_id: str) -> Response:
        found = services.find_chat_project(principal_of(request), project_id)
        return Response(chat_project_document(request, found))

    @extend_schema(
        operation_id="patchChatProject",
        summary="Update a chat project",
        description=_CHANGE_TEXT,
        tags=_TAGS,
        request=ChangedChatProject,
        responses={200: ChatProjectShape},
        examples=[_CHANGE, _EXAMPLE],
    )
    def patch(self, request: Request, project_id: str) -> Response:
        return self._update(request, project_id)

    @extend_schema(
        operation_id="updateChatProject",
        summary="Update a chat project (other verb)",
        description=_CHANGE_TEXT,
        tags=_TAGS,
        request=ChangedChatProject,
        responses={200: ChatProjectShape},
        examples=[_CHANGE, _EXAMPLE],
    )
    def post(self, request: Request, project_id: str) -> Response:
        return self._update(request, project_id)

    @extend_schema(
        operation_id="deleteChatProject",
        summary="Delete a chat project",
        description="Its conversations stay, in no project, unless they are to go with it.",
        tags=_TAGS,
        parameters=[
            OpenApiParameter("conversations", OpenApiTypes.STR, enum=["keep", "delete"], description="Keep by default.")
        ],
        responses={200: shapes.Gone},
        examples=[shapes.gone(str(_PROJECT["id"]), "project")],
    )
    def delete(self, request: Request, project_id: str) -> Response:
        wish = request.query_params.get("conversations", "keep")
        if wish not in ("keep", "delete"):
            raise BadRequest("'conversations' must be 'keep' or 'delete'.", param="conversations")
        found = services.find_chat_project(principal_of(request), project_id)
        services.delete_chat_project(chat_project=found, with_conversations=wish == "delete")
        return deleted(request, project_id, "project")

    def _update(self, request: Request, project_id: str) -> Response:
        found = services.find_chat_project(principal_of(request), project_id)
        wanted = ChangedChatProject(data=request.data)
        wanted.is_valid(raise_exception=True)
        changed = services.update_chat_project(chat_project=found, changes=dict(wanted.validated_data))
        return Response(chat_project_document(request, changed))


class ChatProjectConversationsView(APIView):
    required_scope = {"GET": Scope.CONVERSATIONS_READ}

    @extend_schema(
        operation_id="listChatProjectConversations",
        summary="List a chat project's conversations",
        description="As `GET /v1/conversations?project_id=` does.",
        tags=_TAGS,
        parameters=[*conversation_shapes.CONVERSATION_FILTERS, *shapes.CURSORS],
        responses={200: conversation_shapes.ConversationPage},
        examples=[conversation_shapes.CONVERSATIONS_EXAMPLE],
    )
    def get(self, request: Request, project_id: str) -> Response:
        principal = principal_of(request)
        inside = services.find_chat_project(principal, project_id)
        return Response(conversation_page(request, conversations_of(principal).in_chat_project(inside)))

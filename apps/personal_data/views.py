"""A person's own data over the API: to have it, and to have it deleted with the account."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from asgiref.sync import sync_to_async
from django.core.files.base import File
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.models import User
from apps.api_keys.tokens import KeyKind
from apps.core.errors import Forbidden
from apps.core.http.deletion import deleted
from apps.core.http.moments import moment
from apps.organizations.actors import actor_of_caller
from apps.organizations.permissions import ANY_CREDENTIAL, principal_of
from apps.organizations.principal import Principal
from apps.organizations.roles import Scope
from apps.personal_data import deletion, exports
from apps.personal_data.models import DataExport, State
from apps.personal_data.recent import check_is_recent
from apps.personal_data.serializers import AccountConfirmation, AccountDeleted, ExportShape

_TAGS = ["Your data"]
_WHO = "With your access token, or a personal key that may read conversations."
_PIECE = 64 * 1024
_ID = "export_4Xn0b1Jq8sT2vW5yZ7aC9dE3"
_READY = {
    "id": _ID,
    "object": "data_export",
    "status": "ready",
    "created_at": 1795253400,
    "ready_at": 1795253460,
    "expires_at": 1795339860,
    "bytes": 48213,
    "download_url": f"/v1/users/me/export/{_ID}/download",
}
_NOTHING_YET = {"status": "queued", "ready_at": None, "expires_at": None, "bytes": None, "download_url": None}
_EXAMPLES = [
    OpenApiExample("Ready", value=_READY, response_only=True, status_codes=["200"]),
    OpenApiExample("Just begun", value={**_READY, **_NOTHING_YET}, response_only=True, status_codes=["200"]),
]


def _person(request: Request) -> Principal:
    """Return the caller if it is a person who may read everything it owns. Raises Forbidden."""
    principal = principal_of(request)
    if principal.key_kind not in (None, KeyKind.USER):
        raise Forbidden(
            f"This is about a person's own data, and a key of kind '{principal.key_kind}' is not a person's. Use an "
            "access token or a personal key (sk_…).",
            code="wrong_key_kind",
        )
    if principal.limit is not None and Scope.CONVERSATIONS_READ not in principal.limit:
        raise principal.refusal(Scope.CONVERSATIONS_READ)
    return principal


def export_document(request: Request, export: DataExport) -> dict[str, Any]:
    """Return what is told of an export."""
    is_there = export.shown_state == State.READY
    return {
        "id": export.public_id,
        "object": "data_export",
        "status": export.shown_state,
        "created_at": moment(request, export.created_at),
        "ready_at": moment(request, export.ready_at),
        "expires_at": moment(request, export.expires_at),
        "bytes": export.size if is_there else None,
        "download_url": f"/v1/users/me/export/{export.public_id}/download" if is_there else None,
    }


class ExportView(APIView):
    """Asks for no scope at a place: what a person owns is in many. Which keys may is asked by itself."""

    required_scope = ANY_CREDENTIAL

    @extend_schema(
        operation_id="retrieveDataExport",
        summary="Have your data",
        description=(
            "Begins an export of all you own, or tells of the one there is. Ask again until it is `ready`; the file is "
            f"there for a day. {_WHO}"
        ),
        tags=_TAGS,
        responses={200: ExportShape},
        examples=_EXAMPLES,
    )
    def get(self, request: Request) -> Response:
        return self._begin(request, anew=False)

    @extend_schema(
        operation_id="createDataExport",
        summary="Have your data anew",
        description=f"As with GET, but one that is ready makes room for a new one. {_WHO}",
        tags=_TAGS,
        request=None,
        responses={200: ExportShape},
        examples=_EXAMPLES,
    )
    def post(self, request: Request) -> Response:
        return self._begin(request, anew=True)

    def _begin(self, request: Request, *, anew: bool) -> Response:
        principal = _person(request)
        actor = actor_of_caller(principal)
        return Response(
            export_document(request, exports.begin_export(user_id=principal.user_id, actor=actor, anew=anew))
        )


class ExportDownloadView(APIView):
    required_scope = ANY_CREDENTIAL

    @extend_schema(
        operation_id="downloadDataExport",
        summary="Download your data",
        description="A zip with a file of JSON lines for each kind of thing. 409 `export_not_ready` until it is ready.",
        tags=_TAGS,
        responses={(200, "application/zip"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, export_id: str) -> StreamingHttpResponse:
        principal = _person(request)
        export = exports.find_export(principal.user_id, export_id)
        file = exports.download(export=export, actor=actor_of_caller(principal))
        headers = {
            "Content-Disposition": f'attachment; filename="{export.public_id}.zip"',
            "Content-Length": str(export.size),
        }
        return StreamingHttpResponse(_pieces(file), content_type="application/zip", headers=headers)


async def _pieces(file: File[bytes]) -> AsyncIterator[bytes]:
    """Read a file as fast as it is taken: under ASGI anything else would be read as a whole."""
    try:
        while piece := await sync_to_async(file.read)(_PIECE):
            yield piece
    finally:
        file.close()


class AccountView(APIView):
    required_scope = ANY_CREDENTIAL

    @extend_schema(
        operation_id="deleteAccount",
        summary="Delete your account",
        description=(
            "With everything you own, in every organization. At once nobody can use it; soon it is gone. Takes an "
            "access token of a sign-in a few minutes old at most, guests excepted. An organization that would have no "
            "owner any more is named with 409 `last_owner`."
        ),
        tags=_TAGS,
        request=AccountConfirmation,
        responses={200: AccountDeleted, 204: None},
        examples=[
            OpenApiExample("Your address", value={"confirm": "ada@example.com"}, request_only=True),
            OpenApiExample(
                "Deleted",
                value={"id": "user_4Xn0b1Jq8sT2vW5yZ7aC9dE3", "object": "user.deleted", "deleted": True},
                response_only=True,
                status_codes=["200"],
            ),
        ],
    )
    def delete(self, request: Request) -> Response:
        principal = principal_of(request)
        wanted = AccountConfirmation(data=request.data)
        wanted.is_valid(raise_exception=True)
        check_is_recent(request, principal)
        deletion.delete_own_account(user=User(pk=principal.user_id), confirm=wanted.validated_data["confirm"])
        return deleted(request, principal.user_id, "user")

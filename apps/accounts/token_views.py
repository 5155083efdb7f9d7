"""Tokens over the API: refreshed, revoked, given up. These views read the credential themselves."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.parsers import FormParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts import sessions
from apps.core.errors import BadRequest, Unauthenticated
from apps.core.http.bearer import bearer_of
from apps.core.http.parsers import StrictJSONParser
from apps.core.http.serializers import StrictSerializer

_TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ1c2VyXzRYbjAifQ.c2lnbmF0dXJl"  # noqa: S105  an example
# The document's name for what these views read themselves: requirements, where drf-spectacular's types say names.
_BEARER: Any = [{"bearer": []}]
_BEARER_OR_BODY: Any = [{}, {"bearer": []}]


class Tokens(serializers.Serializer[Any]):
    access_token = serializers.CharField()
    refresh_token = serializers.CharField()
    token_type = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="Seconds.")


class RefreshToken(StrictSerializer):
    refresh_token = serializers.CharField(required=False)
    grant_type = serializers.ChoiceField(choices=["refresh_token"], required=False, help_text="As OAuth's clients say.")
    client_id = serializers.CharField(required=False, help_text="Read and not needed.")


class TokenToRevoke(serializers.Serializer[Any]):
    # Not strict: OAuth's clients name themselves too, and RFC 7009 has unknown parameters ignored.
    token = serializers.CharField(required=False, help_text="An access or refresh token.")
    refresh_token = serializers.CharField(required=False, help_text="Another name of `token`.")
    token_type_hint = serializers.CharField(required=False, help_text="Read and not needed.")


class Done(serializers.Serializer[Any]):
    status = serializers.CharField()


def _fields(serializer: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    given = serializer(data=request.data)
    given.is_valid(raise_exception=True)
    return dict(given.validated_data)


class RefreshTokenView(APIView):
    authentication_classes = ()
    permission_classes = ()
    parser_classes = (StrictJSONParser, FormParser)  # OAuth (RFC 6749, 6) speaks forms

    @extend_schema(
        operation_id="refreshToken",
        summary="Refresh an access token",
        description=(
            "Exchanges a refresh token, in the body or as Bearer, for a new pair. Each refresh token is good once; "
            "one that comes back a second time ends its session."
        ),
        tags=["Authentication"],
        auth=_BEARER_OR_BODY,
        request=RefreshToken,
        responses={200: Tokens},
        examples=[
            OpenApiExample("In the body", value={"refresh_token": _TOKEN}, request_only=True),
            OpenApiExample(
                "The new pair",
                value={
                    "access_token": _TOKEN,
                    "refresh_token": _TOKEN,
                    "token_type": "Bearer",
                    "expires_in": 3600,
                },
                response_only=True,
            ),
        ],
    )
    def post(self, request: Request) -> Response:
        in_body = _fields(RefreshToken, request).get("refresh_token")
        return self._refreshed(in_body or bearer_of(request.headers.get("Authorization")))

    @extend_schema(
        operation_id="refreshTokenByGet",
        summary="Refresh an access token (older clients)",
        description="As POST, with the refresh token as Bearer.",
        tags=["Authentication"],
        auth=_BEARER,
        responses={200: Tokens},
    )
    def get(self, request: Request) -> Response:
        return self._refreshed(bearer_of(request.headers.get("Authorization")))

    @staticmethod
    def _refreshed(token: str | None) -> Response:
        if not token:
            raise BadRequest("Send a refresh token.", code="missing_required_parameter", param="refresh_token")
        return Response(sessions.refresh_tokens(token), headers={"Cache-Control": "no-store"})


@extend_schema_view(
    post=extend_schema(operation_id="refresh", summary="Refresh an access token (short name)"),
    get=extend_schema(operation_id="refreshByGet", summary="Refresh an access token (short name, older clients)"),
)
class RefreshView(RefreshTokenView):
    """The same under the name that newer clients use."""


class RevokeView(APIView):
    authentication_classes = ()
    permission_classes = ()
    parser_classes = (StrictJSONParser, FormParser)  # RFC 7009 speaks forms

    @extend_schema(
        operation_id="revokeToken",
        summary="Revoke a token",
        description=(
            "Ends the session of an access or refresh token, so that every token of it stops working within two "
            "seconds (RFC 7009). A token that is not ours, or no longer good, is answered alike; parameters that "
            "are not known are ignored."
        ),
        tags=["Authentication"],
        auth=[],
        request=TokenToRevoke,
        responses={200: Done},
        examples=[
            OpenApiExample("A token", value={"token": _TOKEN}, request_only=True),
            OpenApiExample("Revoked", value={"status": "revoked"}, response_only=True),
        ],
    )
    def post(self, request: Request) -> Response:
        fields = _fields(TokenToRevoke, request)
        token = fields.get("token") or fields.get("refresh_token")
        if not token:
            raise BadRequest("Send the token to revoke.", code="missing_required_parameter", param="token")
        sessions.revoke_token(token)
        return Response({"status": "revoked"})


class LogoutView(APIView):
    authentication_classes = ()
    permission_classes = ()

    @extend_schema(
        operation_id="logout",
        summary="Sign out",
        description="Ends the session of the Bearer token, access or refresh.",
        tags=["Authentication"],
        auth=_BEARER,
        request=None,
        responses={200: Done},
        examples=[OpenApiExample("Signed out", value={"status": "logged out"}, response_only=True)],
    )
    def post(self, request: Request) -> Response:
        return self._out(request)

    @extend_schema(
        operation_id="logoutByGet",
        summary="Sign out (older clients)",
        description="As POST.",
        tags=["Authentication"],
        auth=_BEARER,
        responses={200: Done},
    )
    def get(self, request: Request) -> Response:
        return self._out(request)

    @staticmethod
    def _out(request: Request) -> Response:
        token = bearer_of(request.headers.get("Authorization"))
        if token is None:
            raise Unauthenticated("Send the token of the session to end as Bearer.", code="missing_credentials")
        sessions.log_out(token)
        return Response({"status": "logged out"}, headers={"Cache-Control": "no-store"})

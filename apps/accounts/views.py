"""Sign-in over the API."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts import services
from apps.accounts.tokens import published_keys


class GuestTokens(serializers.Serializer[object]):
    access_token = serializers.CharField()
    refresh_token = serializers.CharField()
    token_type = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="Seconds.")
    user_id = serializers.CharField()
    username = serializers.CharField()
    principal_id = serializers.CharField()


_GUEST = OpenApiExample(
    "A guest",
    value={
        "access_token": "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ1c2VyXzRYbjAifQ.c2lnbmF0dXJl",
        "refresh_token": "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ1c2VyXzRYbjAifQ.cmVmcmVzaA",
        "token_type": "Bearer",
        "expires_in": 3600,
        "user_id": "user_4Xn0b1Jq8sT2vW5yZ7aC9dE3",
        "username": "guest-k3j9x2m4q8w1",
        "principal_id": "user_4Xn0b1Jq8sT2vW5yZ7aC9dE3",
    },
    response_only=True,
    status_codes=["201"],
)


class GuestLoginView(APIView):
    """Anyone may become a guest; a limit per address keeps it bearable."""

    authentication_classes = ()
    permission_classes = ()

    @extend_schema(
        operation_id="guestLogin",
        summary="Sign in as a guest",
        description="Makes a guest with an organization of its own and strict limits. No credential is needed.",
        tags=["Authentication"],
        auth=[],
        request=None,
        responses={201: GuestTokens},
        examples=[_GUEST],
    )
    def post(self, request: Request) -> Response:
        guest, tokens = services.log_in_guest(request._request)
        return Response(
            {
                **tokens,
                "user_id": guest.pk,
                "username": guest.username,
                "principal_id": guest.pk,
            },
            status=201,
        )


class JSONWebKeys(serializers.Serializer[object]):
    keys = serializers.ListField(child=serializers.DictField())


class JWKSView(APIView):
    """Public keys are public."""

    authentication_classes = ()
    permission_classes = ()

    @extend_schema(
        operation_id="jwks",
        summary="The keys that verify our access tokens",
        description="A JSON Web Key Set (RFC 7517).",
        tags=["Authentication"],
        auth=[],
        responses={200: JSONWebKeys},
        examples=[
            OpenApiExample(
                "One RSA key",
                value={
                    "keys": [{"kty": "RSA", "kid": "Xk2…", "use": "sig", "alg": "RS256", "n": "0vx7…", "e": "AQAB"}]
                },
            )
        ],
    )
    def get(self, request: Request) -> Response:
        return Response(published_keys())

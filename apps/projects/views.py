"""What callers do with their own account."""

from __future__ import annotations

from typing import Any

from django.contrib.sessions.exceptions import SessionInterrupted
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts import services
from apps.accounts.tokens import invalid_token, verify_access_token
from apps.core.errors import Conflict
from apps.core.http.bearer import bearer_of
from apps.core.http.serializers import StrictSerializer
from apps.organizations.permissions import ANY_CREDENTIAL, principal_of


class Upgrade(StrictSerializer):
    email = serializers.EmailField(max_length=254)
    username = serializers.CharField(max_length=150, required=False)
    full_name = serializers.CharField(max_length=150, required=False, allow_blank=True)
    password = serializers.CharField(
        max_length=128, required=False, trim_whitespace=False, help_text="Or set one later, by the mailed link."
    )


class Upgraded(serializers.Serializer[Any]):
    status = serializers.CharField()
    user_id = serializers.CharField()
    email = serializers.EmailField()
    email_verified = serializers.BooleanField()
    username = serializers.CharField()
    name = serializers.CharField()


class UpgradeView(APIView):
    required_scope = ANY_CREDENTIAL

    @extend_schema(
        operation_id="upgradeGuest",
        summary="Make an account of a guest",
        description=(
            "What the guest owns, and its tokens, stay. A link is mailed to the address; until it is followed the "
            "address is unverified and opens nothing. The answer is the same whether or not the address has an account."
        ),
        tags=["Authentication"],
        request=Upgrade,
        responses={200: Upgraded},
        examples=[
            OpenApiExample(
                "An account",
                value={"email": "ada@example.com", "username": "ada", "full_name": "Ada Lovelace"},
                request_only=True,
            ),
            OpenApiExample(
                "Upgraded",
                value={
                    "status": "upgraded",
                    "user_id": "user_4Xn0b1Jq8sT2vW5yZ7aC9dE3",
                    "email": "ada@example.com",
                    "email_verified": False,
                    "username": "ada",
                    "name": "Ada Lovelace",
                },
                response_only=True,
            ),
        ],
    )
    def post(self, request: Request) -> Response:
        wanted = Upgrade(data=request.data)
        wanted.is_valid(raise_exception=True)
        if not principal_of(request).is_guest:
            raise Conflict("Only a guest can be upgraded.", code="not_a_guest")
        token = verify_access_token(bearer_of(request.headers.get("Authorization")) or "")
        fields = wanted.validated_data
        try:
            email = services.upgrade_guest(guest=token.user, session=token.session, **fields)
        except SessionInterrupted:
            raise invalid_token() from None
        guest = token.user
        return Response(
            {
                "status": "upgraded",
                "user_id": guest.pk,
                "email": email,
                "email_verified": False,
                "username": guest.username,
                "name": guest.name,
            }
        )

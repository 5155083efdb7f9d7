"""Who am I, and who is this credential."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.api_keys.authentication import Credentials, credentials_of
from apps.api_keys.identity import introspect, profile_of
from apps.api_keys.tokens import is_well_formed
from apps.core.errors import Unauthenticated
from apps.core.http.serializers import StrictSerializer
from apps.organizations.permissions import ANY_CREDENTIAL, principal_of

_ME = {
    "id": "user_4Xn0b1Jq8sT2vW5yZ7aC9dE3",
    "object": "user",
    "email": "ada@example.com",
    "email_verified": True,
    "name": "Ada",
    "username": "ada",
    "picture": None,
    "is_guest": False,
    "created_at": "2026-11-21T09:30:00Z",
    "updated_at": "2026-11-21T09:30:00Z",
    "organizations": [
        {"id": "org_5Yp1b1Jq8sT2vW5yZ7aC9dE3", "name": "Ada's organization", "role": "owner", "is_personal": True}
    ],
    "key_kind": "user",
    "scopes": ["inference", "models.read"],
    "organization_scopes": [],
    "service_account_id": None,
    "is_archived": False,
}
_PRINCIPAL = {
    "valid": True,
    "principal_id": _ME["id"],
    "user_id": _ME["id"],
    "subject": _ME["id"],
    "username": "ada",
    "name": "Ada",
    "email": "ada@example.com",
    "email_verified": True,
    "is_guest": False,
    "auth_method": "api_key",
    "organization_id": "org_5Yp1b1Jq8sT2vW5yZ7aC9dE3",
    "project_id": "proj_6Zq2b1Jq8sT2vW5yZ7aC9dE3",
    "roles": ["owner"],
    "scopes": ["inference", "models.read"],
    "organization_scopes": [],
    "permissions": ["read", "write"],
    "key_id": "key_7Qm2b1Jq8sT2vW5yZ7aC9dE3",
    "key_kind": "user",
    "service_account_id": None,
    "is_archived": False,
    "allowed_addresses": ["192.0.2.0/24"],
    "allowed_models": None,
    "expires_at": 1795253400,
    "user_info": {
        "id": _ME["id"],
        "username": "ada",
        "name": "Ada",
        "email": "ada@example.com",
        "is_guest": False,
    },
}
_SECRET = "sk_4fT0pLq8sT2vW5yZ7aC9dE3b1Jq8sT2vW5x9Kd"  # noqa: S105  an example
_FOR_SIDECARS = (
    "For services that were handed a credential and ask whose it is. An invalid one is answered with 401. `email` "
    "stands here only once it is verified. Where it was sent from is yours to hold against `allowed_addresses`. "
    "`OpenAI-Organization` and `OpenAI-Project` are read as in every call."
)


class OrganizationOfUser(serializers.Serializer[Any]):
    id = serializers.CharField()
    name = serializers.CharField()
    role = serializers.CharField(allow_null=True, help_text="null for a service account.")
    is_personal = serializers.BooleanField()


class _Rights(serializers.Serializer[Any]):
    key_kind = serializers.CharField(allow_null=True, help_text="null for an access token.")
    scopes = serializers.ListField(child=serializers.CharField(), help_text="What it may do in its project.")
    organization_scopes = serializers.ListField(
        child=serializers.CharField(), help_text="What it may do at its organization, which is in every project of it."
    )
    service_account_id = serializers.CharField(allow_null=True)
    is_archived = serializers.BooleanField(help_text="Whether its project is, which can then only be read.")


class Me(_Rights):
    """Who is calling."""

    id = serializers.CharField()
    object = serializers.ChoiceField(choices=["user", "service_account"])
    email = serializers.EmailField(allow_null=True, help_text="The address named, also while it is unverified.")
    email_verified = serializers.BooleanField()
    name = serializers.CharField(allow_null=True)
    username = serializers.CharField(allow_null=True)
    picture = serializers.CharField(allow_null=True)
    is_guest = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    organizations = OrganizationOfUser(many=True)


class UserInfo(serializers.Serializer[Any]):
    id = serializers.CharField()
    username = serializers.CharField(allow_null=True)
    name = serializers.CharField(allow_null=True)
    email = serializers.EmailField(allow_null=True)
    is_guest = serializers.BooleanField()


class CredentialInfo(_Rights):
    """Who a credential is, and what it may do now."""

    valid = serializers.BooleanField()
    principal_id = serializers.CharField()
    user_id = serializers.CharField(allow_null=True, help_text="null for a service account.")
    subject = serializers.CharField()
    username = serializers.CharField(allow_null=True)
    name = serializers.CharField(allow_null=True)
    email = serializers.EmailField(allow_null=True)
    email_verified = serializers.BooleanField()
    is_guest = serializers.BooleanField()
    auth_method = serializers.ChoiceField(choices=["jwt", "api_key"])
    organization_id = serializers.CharField()
    project_id = serializers.CharField()
    roles = serializers.ListField(child=serializers.CharField(), help_text="The user's in that organization.")
    permissions = serializers.ListField(child=serializers.CharField())
    key_id = serializers.CharField(allow_null=True)
    allowed_addresses = serializers.ListField(
        child=serializers.CharField(), allow_null=True, help_text="Where its key may be used from; null: anywhere."
    )
    allowed_models = serializers.ListField(
        child=serializers.CharField(), allow_null=True, help_text="null: every model of its organization."
    )
    expires_at = serializers.IntegerField(allow_null=True, help_text="Unix seconds.")
    user_info = UserInfo()


class CredentialToValidate(StrictSerializer):
    token = serializers.CharField(required=False, max_length=8192, help_text="An access token or API key.")
    api_key = serializers.CharField(required=False, max_length=8192, help_text="An API key.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if len(attrs) > 1:
            raise serializers.ValidationError({"token": ["Use it or 'api_key', not both."]})
        return attrs


class ApiKeyToValidate(StrictSerializer):
    api_key = serializers.CharField(required=False, max_length=8192)


def _sent(request: Request, body: type[StrictSerializer]) -> Credentials:
    """The credential to look at: the body's, else the headers'. The tenant to act in is in headers."""
    given = body(data=request.data)
    given.is_valid(raise_exception=True)
    in_headers = credentials_of({name.lower(): value for name, value in request.headers.items()})
    secret = next(iter(given.validated_data.values()), None)
    return in_headers if secret is None else in_headers._replace(api_key=None, bearer=secret)


class MeView(APIView):
    required_scope = ANY_CREDENTIAL

    @extend_schema(
        operation_id="me",
        summary="Who is calling",
        description=(
            "Answers for every kind of credential; for a key it is the key's user or service account, in the key's "
            "organization. A key that others have is not told its maker's address, names and picture."
        ),
        tags=["Authentication"],
        responses={200: Me},
        examples=[OpenApiExample("A person", value=_ME, response_only=True)],
    )
    def get(self, request: Request) -> Response:
        return Response(profile_of(principal_of(request)))


@extend_schema_view(get=extend_schema(operation_id="userProfile", summary="Who is calling (other name)"))
class UserProfileView(MeView):
    """The same under the name older clients use."""


class ValidateView(APIView):
    authentication_classes = ()
    permission_classes = ()

    @extend_schema(
        operation_id="validateCredential",
        summary="Who a token or key is",
        description=_FOR_SIDECARS,
        tags=["Authentication"],
        auth=[],
        request=CredentialToValidate,
        responses={200: CredentialInfo},
        examples=[
            OpenApiExample("A key in the body", value={"token": _SECRET}, request_only=True),
            OpenApiExample("Its owner", value=_PRINCIPAL, response_only=True),
        ],
    )
    def post(self, request: Request) -> Response:
        return Response(introspect(_sent(request, CredentialToValidate)))


class ValidateApiKeyView(APIView):
    authentication_classes = ()
    permission_classes = ()

    @extend_schema(
        operation_id="validateApiKey",
        summary="Who an API key is",
        description=f"{_FOR_SIDECARS} Takes nothing but API keys.",
        tags=["Authentication"],
        auth=[],
        request=ApiKeyToValidate,
        responses={200: CredentialInfo},
        examples=[
            OpenApiExample("A key", value={"api_key": _SECRET}, request_only=True),
            OpenApiExample("Its owner", value=_PRINCIPAL, response_only=True),
        ],
    )
    def post(self, request: Request) -> Response:
        sent = _sent(request, ApiKeyToValidate)
        for secret in (sent.api_key, sent.bearer):
            if secret and not is_well_formed(secret):
                raise Unauthenticated("This is no API key.")
        return Response(introspect(sent))

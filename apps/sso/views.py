"""Sign-in with Google and other OpenID Connect providers over the API."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.core.http.serializers import StrictSerializer
from apps.sso import services
from apps.sso.models import ProviderKind

_NO_STORE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
_STATE = "QmVnaW4gYW5kIGVuZCBvZiBvbmUgc2lnbi1pbi4"


def _query(name: str, text: str) -> OpenApiParameter:
    return OpenApiParameter(name, OpenApiTypes.STR, OpenApiParameter.QUERY, description=text)


_REDIRECT_URL = _query(
    "redirect_url",
    "A page of your web client (an origin of ALLOWED_CORS_HOSTS). The callback sends people there with the tokens in "
    "the fragment, beside `state`, which the page must compare with the one it was given. Without it the callback "
    "answers with the tokens.",
)
_PROVIDER = _query("provider", "The provider's slug, where several are configured.")
_ANSWER = [
    _query("code", "What the provider sends."),
    _query("state", "What the sign-in began with. Good once, for ten minutes."),
    _query("iss", "Who the provider says it is (RFC 9207)."),
    _query("error", "Why the provider did not let somebody in."),
]
_TOKENS = OpenApiExample(
    "Signed in",
    value={
        "access_token": "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ1c2VyXzRYbjAifQ.c2lnbmF0dXJl",
        "refresh_token": "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ1c2VyXzRYbjAifQ.cmVmcmVzaA",
        "token_type": "Bearer",
        "expires_in": 3600,
    },
    response_only=True,
    status_codes=["200"],
)
_CALLBACK = (
    "Exchanges what the provider sent for tokens. Where the sign-in named a `redirect_url`, answers 302 to it with the "
    "tokens in the fragment."
)


class SSOTokens(serializers.Serializer[Any]):
    access_token = serializers.CharField()
    refresh_token = serializers.CharField()
    token_type = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="Seconds.")


class GoogleLogin(serializers.Serializer[Any]):
    url = serializers.URLField(help_text="Where to send the person.")
    state = serializers.CharField(help_text="Comes back with the person.")


class OIDCLogin(serializers.Serializer[Any]):
    authorization_url = serializers.URLField(help_text="Where to send the person.")
    state = serializers.CharField(help_text="Comes back with the person.")


class ProviderAnswer(StrictSerializer):
    code = serializers.CharField(max_length=4096, required=False)
    state = serializers.CharField(max_length=512)
    iss = serializers.CharField(max_length=500, required=False)
    error = serializers.CharField(max_length=512, required=False)


class PublicView(APIView):
    """Whoever signs in has no credential yet."""

    authentication_classes = ()
    permission_classes = ()
    kind = ProviderKind.OIDC

    def begin(self, request: Request) -> services.Begun:
        slug = request.query_params.get("provider") if self.kind == ProviderKind.OIDC else None
        provider = services.provider_for(self.kind, slug)
        return services.begin_sign_in(provider=provider, redirect_url=request.query_params.get("redirect_url"))

    def finish(self, request: Request, sent: Any) -> Response:
        answer = ProviderAnswer(data=sent)
        answer.is_valid(raise_exception=True)
        fields = answer.validated_data
        done = services.finish_sign_in(
            request._request,
            kind=self.kind,
            state=fields["state"],
            code=fields.get("code", ""),
            issuer=fields.get("iss"),
            error=fields.get("error"),
        )
        if not done.redirect_url:
            return Response(done.tokens, headers=_NO_STORE)
        url = services.fragment_url(done.redirect_url, done.tokens, fields["state"])
        return Response(status=302, headers={"Location": url, **_NO_STORE})

    def finish_by_query(self, request: Request) -> Response:
        known = ProviderAnswer().fields  # providers add what they like to the query
        return self.finish(request, {name: text for name, text in request.query_params.items() if name in known})


class GoogleLoginView(PublicView):
    kind = ProviderKind.GOOGLE

    @extend_schema(
        operation_id="googleLogin",
        summary="Begin a sign-in with Google",
        description="Returns Google's address to send the person to.",
        tags=["Authentication"],
        auth=[],
        parameters=[_REDIRECT_URL],
        responses={200: GoogleLogin},
        examples=[
            OpenApiExample(
                "Where to go",
                value={"url": f"https://accounts.google.com/o/oauth2/v2/auth?state={_STATE}", "state": _STATE},
                response_only=True,
            )
        ],
    )
    def get(self, request: Request) -> Response:
        begun = self.begin(request)
        return Response({"url": begun.url, "state": begun.state}, headers=_NO_STORE)


class GoogleRedirectView(PublicView):
    kind = ProviderKind.GOOGLE

    @extend_schema(
        operation_id="googleRedirect",
        summary="Go to Google",
        description="As `auth/google/login`, as a redirect for browsers.",
        tags=["Authentication"],
        auth=[],
        parameters=[_REDIRECT_URL],
        responses={302: None},
    )
    def get(self, request: Request) -> Response:
        return Response(status=302, headers={"Location": self.begin(request).url, **_NO_STORE})


class GoogleCallbackView(PublicView):
    kind = ProviderKind.GOOGLE

    @extend_schema(
        operation_id="googleCallback",
        summary="Finish a sign-in with Google",
        description=_CALLBACK,
        tags=["Authentication"],
        auth=[],
        request=ProviderAnswer,
        responses={200: SSOTokens},
        examples=[
            OpenApiExample("From Google", value={"code": "4/0AX4XfWh", "state": _STATE}, request_only=True),
            _TOKENS,
        ],
    )
    def post(self, request: Request) -> Response:
        return self.finish(request, request.data)

    @extend_schema(
        operation_id="googleCallbackByGet",
        summary="Finish a sign-in with Google (redirected here)",
        description=_CALLBACK,
        tags=["Authentication"],
        auth=[],
        parameters=_ANSWER,
        responses={200: SSOTokens},
        examples=[_TOKENS],
    )
    def get(self, request: Request) -> Response:
        return self.finish_by_query(request)


class OIDCLoginView(PublicView):
    @extend_schema(
        operation_id="oidcLogin",
        summary="Begin a sign-in with an OpenID Connect provider",
        description="Returns the provider's address to send the person to.",
        tags=["Authentication"],
        auth=[],
        parameters=[_PROVIDER, _REDIRECT_URL],
        responses={200: OIDCLogin},
        examples=[
            OpenApiExample(
                "Where to go",
                value={"authorization_url": f"https://id.acme.com/auth?state={_STATE}", "state": _STATE},
                response_only=True,
            )
        ],
    )
    def get(self, request: Request) -> Response:
        begun = self.begin(request)
        return Response({"authorization_url": begun.url, "state": begun.state}, headers=_NO_STORE)


class OIDCCallbackView(PublicView):
    @extend_schema(
        operation_id="oidcCallback",
        summary="Finish a sign-in with an OpenID Connect provider",
        description=_CALLBACK,
        tags=["Authentication"],
        auth=[],
        parameters=_ANSWER,
        responses={200: SSOTokens},
        examples=[_TOKENS],
    )
    def get(self, request: Request) -> Response:
        return self.finish_by_query(request)

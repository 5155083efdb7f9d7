"""A person's own settings."""

from __future__ import annotations

from typing import Any

import msgspec
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.api_keys.tokens import KeyKind
from apps.core.errors import Forbidden
from apps.organizations.permissions import ANY_CREDENTIAL, principal_of
from apps.organizations.principal import Principal
from apps.organizations.roles import READING
from apps.user_settings import services
from apps.user_settings.openapi import ANSWER, CHANGE_EXAMPLE, CHANGED_EXAMPLE, DEFAULTS_EXAMPLE, GIVEN
from apps.user_settings.shape import Settings

_TAGS = ["User settings"]
_WHO = "With your access token or a personal key: other keys are not a person's."
_CHANGE = (
    "What is given is changed, at every depth, and nothing else. `preferences` are merged key by key, and null removes "
    f"one. {_WHO}"
)


def _person(request: Request) -> Principal:
    principal = principal_of(request)
    if principal.key_kind not in (None, KeyKind.USER):
        raise Forbidden(
            f"Settings are a person's, and a key of kind '{principal.key_kind}' is not. Use an access token or a "
            "personal key (sk_…).",
            code="wrong_key_kind",
        )
    return principal


def _render(principal: Principal, settings: Settings) -> dict[str, Any]:
    # The id is there before there is a row, and stays.
    own_id = f"settings_{principal.user_id.removeprefix('user_')}"
    return {"id": own_id, "user_id": principal.user_id, **msgspec.to_builtins(settings)}


class UserSettingsView(APIView):
    """Asks for no scope: a person's settings are no organization's. Keys that only read change nothing."""

    required_scope = ANY_CREDENTIAL

    @extend_schema(
        operation_id="retrieveUserSettings",
        summary="Retrieve your settings",
        description=f"What was not set has its default. {_WHO}",
        tags=_TAGS,
        responses={200: ANSWER},
        examples=[DEFAULTS_EXAMPLE],
    )
    def get(self, request: Request) -> Response:
        principal = _person(request)
        return Response(_render(principal, services.settings_of(principal.user_id)))

    @extend_schema(
        operation_id="patchUserSettings",
        summary="Update your settings",
        description=_CHANGE,
        tags=_TAGS,
        request={"application/json": GIVEN},
        responses={200: ANSWER},
        examples=[CHANGE_EXAMPLE, CHANGED_EXAMPLE],
    )
    def patch(self, request: Request) -> Response:
        return self._update(request)

    @extend_schema(
        operation_id="updateUserSettings",
        summary="Update your settings (other verb)",
        description=_CHANGE,
        tags=_TAGS,
        request={"application/json": GIVEN},
        responses={200: ANSWER},
        examples=[CHANGE_EXAMPLE, CHANGED_EXAMPLE],
    )
    def post(self, request: Request) -> Response:
        return self._update(request)

    def _update(self, request: Request) -> Response:
        principal = _person(request)
        if principal.limit is not None and principal.limit <= READING:
            raise Forbidden("This key only reads. Use one with the permission 'write', or an access token.")
        return Response(_render(principal, services.update_settings(user_id=principal.user_id, given=request.data)))

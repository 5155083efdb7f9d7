"""Service accounts of a project, and their keys."""

from __future__ import annotations

import datetime
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.api_keys import service_accounts as services
from apps.api_keys.models import ApiKey
from apps.api_keys.services import MAX_LIFE, Giver, giver_behind
from apps.core.errors import BadRequest
from apps.core.http.deletion import deleted
from apps.core.http.moments import moment
from apps.core.http.pagination import paginate
from apps.core.http.serializers import StrictSerializer
from apps.organizations.actors import actor_of_caller, user_behind
from apps.organizations.roles import ProjectRole, Scope
from apps.projects.models import NO_ROLE, ServiceAccount
from apps.projects.openapi import CURSORS, ListSerializer, page_of
from apps.projects.scoping import ProjectView

KIND = "organization.project.service_account"

_TAGS = ["Service accounts"]
_ROLES = [*(role.value for role in ProjectRole), NO_ROLE]
_ACCOUNT = {
    "id": "sa_4Xn0b1Jq8sT2vW5yZ7aC9dE3",
    "object": KIND,
    "name": "nightly jobs",
    "role": "member",
    "created_at": 1763700000,
}
_SECRET = "jan_sa_4fT0pLq8sT2vW5yZ7aC9dE3b1Jq8sT2vW5x9Kd"  # noqa: S105  an example
_KEY = {
    "id": "key_7Qm2b1Jq8sT2vW5yZ7aC9dE3",
    "object": f"{KIND}.api_key",
    "name": services.FIRST_KEY,
    "created_at": 1763700000,
    "expires_at": None,
    "value": _SECRET,
    "key": _SECRET,
}
_GONE = {"id": _ACCOUNT["id"], "object": f"{KIND}.deleted", "deleted": True}
_ACCOUNT_EXAMPLE = OpenApiExample("An account", value=_ACCOUNT, response_only=True)
_CHANGE_EXAMPLE = OpenApiExample("Another role", value={"role": "viewer"}, request_only=True)


class ChangedAccount(StrictSerializer):
    name = serializers.CharField(max_length=128, required=False)
    role = serializers.ChoiceField(choices=_ROLES, required=False)


class KeyLife(StrictSerializer):
    """How long a key works."""

    expires_in_seconds = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=int(MAX_LIFE.total_seconds())
    )

    @property
    def end(self) -> datetime.datetime | None:
        seconds = self.validated_data.get("expires_in_seconds")
        return timezone.now() + datetime.timedelta(seconds=seconds) if seconds else None


class NewAccount(KeyLife):
    name = serializers.CharField(max_length=128)
    role = serializers.ChoiceField(choices=_ROLES, required=False, help_text="`member` by default.")
    create_service_account_only = serializers.BooleanField(
        required=False, allow_null=True, help_text="Without a key, and without a role unless one is named."
    )


class NewAccountKey(KeyLife):
    name = serializers.CharField(max_length=128, default=services.FIRST_KEY)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=[scope.value for scope in Scope]),
        required=False,
        allow_empty=False,
        max_length=len(Scope),
        help_text="A subset of what you can hand on in the project; all of it that a key can hold by default.",
    )


class AccountSerializer(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = serializers.CharField(default=KIND)
    name = serializers.CharField()
    role = serializers.ChoiceField(choices=_ROLES)
    created_at = serializers.IntegerField()


class AccountKeySerializer(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = serializers.CharField(default=f"{KIND}.api_key")
    name = serializers.CharField()
    created_at = serializers.IntegerField()
    expires_at = serializers.IntegerField(allow_null=True)
    value = serializers.CharField(help_text="The secret. It is shown this once.")
    key = serializers.CharField(help_text="The same.")


class CreatedAccount(AccountSerializer):
    api_key = AccountKeySerializer(allow_null=True)


class AccountList(ListSerializer):
    data = AccountSerializer(many=True)  # type: ignore[assignment]  # the contract's key shadows DRF's attribute
    service_accounts = AccountSerializer(many=True)


class DeletedAccount(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = serializers.CharField(default=f"{KIND}.deleted")
    deleted = serializers.BooleanField()


class _AccountsView(ProjectView):
    @property
    def giver(self) -> Giver:
        """What the caller can hand on in the project."""
        return giver_behind(self.principal, self.project)

    def found(self, account_id: str) -> ServiceAccount:
        account: ServiceAccount | None = ServiceAccount.objects.active_in(self.project).with_public_id(account_id)
        if account is None:
            raise services.no_such_account()
        return account


class ServiceAccountsView(_AccountsView):
    required_scope = {"GET": Scope.SERVICE_ACCOUNTS_READ, "POST": Scope.SERVICE_ACCOUNTS_WRITE}

    @extend_schema(
        operation_id="listServiceAccounts",
        summary="List a project's service accounts",
        tags=_TAGS,
        parameters=CURSORS,
        responses={200: AccountList},
        examples=[OpenApiExample("Accounts", value=page_of("service_accounts", _ACCOUNT), response_only=True)],
    )
    def get(self, request: Request, **_: Any) -> Response:
        accounts = ServiceAccount.objects.active_in(self.project)
        page = paginate(
            request, accounts, lambda row: _document(request, row), named="service_accounts", always_named=True
        )
        return Response(page)

    @extend_schema(
        operation_id="createServiceAccount",
        summary="Create a service account",
        description="With a key, whose secret is in this answer and nowhere else. It has no more rights than you.",
        tags=_TAGS,
        request=NewAccount,
        responses={200: CreatedAccount},
        examples=[
            OpenApiExample("An account", value={"name": "nightly jobs"}, request_only=True),
            OpenApiExample("With its key", value={**_ACCOUNT, "api_key": _KEY}, response_only=True),
        ],
    )
    def post(self, request: Request, **_: Any) -> Response:
        wanted = NewAccount(data=request.data)
        wanted.is_valid(raise_exception=True)
        fields = wanted.validated_data
        alone = bool(fields.get("create_service_account_only"))
        if alone and wanted.end is not None:
            raise BadRequest("Without a key there is no expiry.", param="expires_in_seconds")
        making = {
            "project": self.project,
            "name": fields["name"],
            "role": fields.get("role") or (NO_ROLE if alone else ProjectRole.MEMBER.value),
            "creator": user_behind(self.principal),
            "giver": self.giver,
            "actor": actor_of_caller(self.principal),
        }
        if alone:
            account = services.create_service_account(**making)
            return Response({**_document(request, account), "api_key": None})
        account, key, secret = services.create_account_with_key(expires_at=wanted.end, **making)
        return Response({**_document(request, account), "api_key": _key_document(request, key, secret)})


class ServiceAccountView(_AccountsView):
    required_scope = {
        "GET": Scope.SERVICE_ACCOUNTS_READ,
        "POST": Scope.SERVICE_ACCOUNTS_WRITE,
        "PATCH": Scope.SERVICE_ACCOUNTS_WRITE,
        "DELETE": Scope.SERVICE_ACCOUNTS_WRITE,
    }

    @extend_schema(
        operation_id="retrieveServiceAccount",
        summary="Retrieve a service account",
        tags=_TAGS,
        responses={200: AccountSerializer},
        examples=[_ACCOUNT_EXAMPLE],
    )
    def get(self, request: Request, service_account_id: str, **_: Any) -> Response:
        return Response(_document(request, self.found(service_account_id)))

    @extend_schema(
        operation_id="updateServiceAccount",
        summary="Update a service account",
        description="Its keys have the rights of a new role within two seconds, as far as they were given them.",
        tags=_TAGS,
        request=ChangedAccount,
        responses={200: AccountSerializer},
        examples=[_CHANGE_EXAMPLE, _ACCOUNT_EXAMPLE],
    )
    def post(self, request: Request, service_account_id: str, **_: Any) -> Response:
        return self._update(request, service_account_id)

    @extend_schema(
        operation_id="patchServiceAccount",
        summary="Update a service account (other verb)",
        tags=_TAGS,
        request=ChangedAccount,
        responses={200: AccountSerializer},
        examples=[_CHANGE_EXAMPLE, _ACCOUNT_EXAMPLE],
    )
    def patch(self, request: Request, service_account_id: str, **_: Any) -> Response:
        return self._update(request, service_account_id)

    @extend_schema(
        operation_id="deleteServiceAccount",
        summary="Delete a service account",
        description="Its keys stop working everywhere within two seconds. Usage keeps its id.",
        tags=_TAGS,
        responses={200: DeletedAccount, 204: None},
        examples=[OpenApiExample("Deleted", value=_GONE, response_only=True, status_codes=["200"])],
    )
    def delete(self, request: Request, service_account_id: str, **_: Any) -> Response:
        account = self.found(service_account_id)
        services.delete_service_account(account=account, giver=self.giver, actor=actor_of_caller(self.principal))
        return deleted(request, account.public_id, KIND)

    def _update(self, request: Request, service_account_id: str) -> Response:
        wanted = ChangedAccount(data=request.data)
        wanted.is_valid(raise_exception=True)
        account = services.update_service_account(
            account=self.found(service_account_id),
            giver=self.giver,
            actor=actor_of_caller(self.principal),
            **wanted.validated_data,
        )
        return Response(_document(request, account))


class ServiceAccountKeysView(_AccountsView):
    required_scope = Scope.SERVICE_ACCOUNTS_WRITE

    @extend_schema(
        operation_id="createServiceAccountKey",
        summary="Create a key of a service account",
        description=(
            "Its secret is in this answer and nowhere else. The key is listed, changed, rotated and deleted among the "
            "project's keys."
        ),
        tags=_TAGS,
        request=NewAccountKey,
        responses={200: AccountKeySerializer},
        examples=[
            OpenApiExample("For a day", value={"name": "today", "expires_in_seconds": 86400}, request_only=True),
            OpenApiExample("The key", value=_KEY, response_only=True),
        ],
    )
    def post(self, request: Request, service_account_id: str, **_: Any) -> Response:
        wanted = NewAccountKey(data=request.data)
        wanted.is_valid(raise_exception=True)
        fields = wanted.validated_data
        key, secret = services.create_account_key(
            account=self.found(service_account_id),
            name=fields["name"],
            giver=self.giver,
            actor=actor_of_caller(self.principal),
            scopes=[Scope(scope) for scope in fields["scopes"]] if "scopes" in fields else None,
            expires_at=wanted.end,
        )
        return Response(_key_document(request, key, secret))


def _document(request: Request, account: ServiceAccount) -> dict[str, Any]:
    return {
        "id": account.public_id,
        "object": KIND,
        "name": account.name,
        "role": str(account.role),
        "created_at": moment(request, account.created_at),
    }


def _key_document(request: Request, key: ApiKey, secret: str) -> dict[str, Any]:
    return {
        "id": key.public_id,
        "object": f"{KIND}.api_key",
        "name": key.name,
        "created_at": moment(request, key.created_at),
        "expires_at": moment(request, key.expires_at),
        "value": secret,
        "key": secret,
    }

"""What the views of an organization's and a project's keys have in common."""

from __future__ import annotations

import datetime
from typing import Any, ClassVar

from rest_framework.request import Request
from rest_framework.response import Response

from apps.api_keys import services
from apps.api_keys.documents import OBJECTS, organization_key
from apps.api_keys.models import ApiKey, ApiKeyQuerySet
from apps.api_keys.owners import with_owners
from apps.api_keys.serializers import ChangedKey, NewKeyFields, Rotation
from apps.api_keys.tokens import KeyKind
from apps.core.errors import NotFound
from apps.core.http.deletion import deleted
from apps.core.http.pagination import paginate
from apps.organizations.actors import actor_of_caller
from apps.organizations.models import Organization
from apps.organizations.scoping import OrganizationView
from apps.projects.models import Project


class ManagedKeysView(OrganizationView):
    """
    Keys of one kind, at the organization. Deleted ones are gone.

    A subclass names the kind and the form of a new key, and has the methods that a route takes.
    """

    kind: ClassVar[KeyKind]
    form: ClassVar[type[NewKeyFields]]

    @property
    def place(self) -> Project | Organization:
        """Where the keys are good."""
        return self.organization

    def keys(self) -> ApiKeyQuerySet:
        keys = ApiKey.objects.in_organization(self.organization_id).filter(kind=self.kind).unrevoked()
        return with_owners(keys)

    def document(self, key: ApiKey) -> dict[str, Any]:
        return organization_key(self.request, key)

    def found(self, key_id: str) -> ApiKey:
        """Return the key of this id. Raises NotFound."""
        key: ApiKey | None = self.keys().with_public_id(key_id)
        if key is None:
            raise NotFound("There is no such API key.", code="api_key_not_found")
        return key

    def changeable(self, key_id: str) -> ApiKey:
        """Return the key of this id, to be changed. Raises NotFound, or Forbidden for one the caller may not change."""
        return self.found(key_id)

    @property
    def giver(self) -> services.Giver:
        """What the caller can hand on there."""
        return services.giver_behind(self.principal, None)

    def list_keys(self, request: Request, keys: ApiKeyQuerySet | None = None) -> Response:
        rows = self.keys() if keys is None else keys
        return Response(paginate(request, rows, self.document, named="api_keys", always_named=True))

    def create_key(self, request: Request) -> Response:
        wanted = self.form(data=request.data)
        wanted.is_valid(raise_exception=True)
        fields, giver = wanted.validated_data, self.giver
        key, token = services.create_key(
            kind=self.kind,
            name=fields["name"],
            place=self.place,
            holder=services.holder_behind(self.principal),
            scopes=wanted.scopes_within(giver),
            giver=giver,
            actor=actor_of_caller(self.principal),
            expires_at=fields.get("expires_at"),
            allowed_addresses=fields.get("allowed_addresses"),
            allowed_models=fields.get("allowed_models"),
            description=fields.get("description", ""),
        )
        return self._with_secret(key, token)

    def update_key(self, request: Request, key_id: str) -> Response:
        key = self.changeable(key_id)
        wanted = ChangedKey(data=request.data, context={"kind": key.kind})
        wanted.is_valid(raise_exception=True)
        giver = self.giver
        services.update_key(key=key, giver=giver, actor=actor_of_caller(self.principal), **wanted.changes_within(giver))
        return Response(self.document(self.found(key_id)))

    def rotate_key(self, request: Request, key_id: str) -> Response:
        wanted = Rotation(data=request.data)
        wanted.is_valid(raise_exception=True)
        key, token = services.rotate_key(
            key=self.changeable(key_id),
            actor=actor_of_caller(self.principal),
            giver=self.giver,
            overlap=datetime.timedelta(seconds=wanted.validated_data["overlap_seconds"]),
        )
        return self._with_secret(key, token)

    def delete_key(self, request: Request, key_id: str) -> Response:
        key = self.changeable(key_id)
        if not services.revoke_key(key=key, actor=actor_of_caller(self.principal)):
            raise NotFound("There is no such API key.", code="api_key_not_found")
        return deleted(request, key.public_id, OBJECTS[KeyKind(key.kind)])

    def _with_secret(self, key: ApiKey, token: str) -> Response:
        return Response({**self.document(self.found(key.public_id)), "value": token, "key": token})

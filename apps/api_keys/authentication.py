"""Where a credential becomes a Principal. The only such place."""

from __future__ import annotations

from typing import NamedTuple

from django.conf import settings
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from apps.accounts.models import User
from apps.accounts.tokens import issuer_of, looks_like_token, verify_access_token
from apps.api_keys.models import ApiKey
from apps.api_keys.tokens import is_well_formed
from apps.core.errors import BadRequest, Forbidden, Unauthenticated
from apps.core.http.bearer import bearer_of
from apps.organizations.models import Membership, Organization
from apps.organizations.principal import Principal
from apps.organizations.roles import Scope, scopes_of
from apps.projects.models import Project, default_project
from apps.sso.services import verify_foreign_token

# Where the edge leaves the caller for Django and Channels.
SCOPE_PRINCIPAL = "jan.principal"


class Credentials(NamedTuple):
    """What a request says of its caller: up to two secrets, and the tenant it wants to act in (public ids)."""

    api_key: str | None = None
    bearer: str | None = None
    organization: str | None = None
    project: str | None = None


def resolve(credentials: Credentials) -> Principal | None:
    """
    Return who is calling, or None if nothing was sent. Queries the database.

    `X-API-Key` wins over Bearer when both prove the same tenant. Raises Unauthenticated for a
    credential that proves nothing, BadRequest (`ambiguous_credentials`) for two that disagree,
    Forbidden for a tenant the caller does not belong to.
    """
    if credentials.api_key and credentials.bearer and credentials.api_key != credentials.bearer:
        first = _principal(credentials.api_key, credentials)
        second = _principal(credentials.bearer, credentials)
        if (first.organization_id, first.project_id) != (second.organization_id, second.project_id):
            raise BadRequest(
                "X-API-Key and Authorization belong to different tenants. Send one of them.",
                code="ambiguous_credentials",
            )
        return first
    secret = credentials.api_key or credentials.bearer
    return _principal(secret, credentials) if secret else None


def asks_elsewhere(credentials: Credentials) -> bool:
    """Say whether `resolve` may have to ask an identity provider: for tokens that are not ours."""
    secrets = (credentials.api_key, credentials.bearer)
    return any(secret and looks_like_token(secret) and not _is_ours(secret) for secret in secrets)


def _is_ours(token: str) -> bool:
    issuer: str = settings.TOKEN_ISSUER
    return issuer_of(token) == issuer


def _principal(secret: str, wanted: Credentials) -> Principal:
    if is_well_formed(secret):
        return _of_key(secret, wanted)
    if looks_like_token(secret):
        return _of_token(secret, wanted)
    raise _unknown_key()


def _unknown_key() -> Unauthenticated:
    return Unauthenticated("The API key is not valid. It may be mistyped, expired or revoked.")


def _of_key(secret: str, wanted: Credentials) -> Principal:
    key = ApiKey.objects.for_token(secret)
    if key is None:
        raise _unknown_key()
    if wanted.organization not in (None, key.organization.public_id):
        raise Unauthenticated("The API key belongs to another organization.", code="mismatched_organization")
    if wanted.project not in (None, key.project.public_id):
        raise Unauthenticated("The API key belongs to another project.", code="mismatched_project")
    membership = Membership.objects.filter(user_id=key.user_id, organization_id=key.organization_id).first()
    if membership is None:
        raise _unknown_key()
    ends = key.good_until(secret)
    return _principal_in(
        key.user,
        membership,
        key.project,
        scopes=key.rights,
        auth_method="api_key",
        key=key,
        expires_at=ends.timestamp() if ends else None,
    )


def _of_token(secret: str, wanted: Credentials) -> Principal:
    token = verify_access_token(secret) if _is_ours(secret) else verify_foreign_token(secret)
    memberships = Membership.objects.of(token.user.pk)
    if wanted.organization is not None:
        memberships = memberships.filter(organization__public_id=wanted.organization)
    elif wanted.project is not None:
        memberships = memberships.filter(organization__projects__public_id=wanted.project)
    membership = memberships.first()
    project = _project_of(membership.organization, wanted.project) if membership else None
    if membership is None or project is None:
        raise Forbidden("You do not belong to the organization or project named in the request.", code="not_a_member")
    return _principal_in(token.user, membership, project, auth_method="jwt", expires_at=token.expires_at)


def _project_of(organization: Organization, public_id: str | None) -> Project | None:
    if public_id is None:
        found: Project | None = default_project(organization.pk)
        return found
    return Project.objects.in_organization(organization.pk).filter(public_id=public_id).first()


def _principal_in(
    user: User,
    membership: Membership,
    project: Project,
    *,
    auth_method: str,
    scopes: frozenset[Scope] | None = None,
    key: ApiKey | None = None,
    expires_at: float | None = None,
) -> Principal:
    """A credential's rights, cut down to what its user may do in that organization today."""
    is_guest = user.has_guest_rights
    rights = scopes_of(membership.role, is_guest=is_guest)
    return Principal(
        user_id=user.pk,
        is_guest=is_guest,
        organization_id=membership.organization_id,
        organization_public_id=membership.organization.public_id,
        project_id=project.pk,
        project_public_id=project.public_id,
        scopes=rights if scopes is None else rights & scopes,
        auth_method=auth_method,
        key_id=key.pk if key else None,
        key_public_id=key.public_id if key else None,
        key_kind=key.kind if key else None,
        expires_at=expires_at,
    )


def credentials_of(headers: dict[str, str]) -> Credentials:
    """Read the credentials out of request headers (names in lower case). Raises Unauthenticated."""
    return Credentials(
        api_key=headers.get("x-api-key") or None,
        bearer=bearer_of(headers.get("authorization")),
        organization=headers.get("openai-organization") or None,
        project=headers.get("openai-project") or None,
    )


class PrincipalAuthentication(BaseAuthentication):
    """
    `request.auth` is the Principal that the edge found.

    A request that did not come through the edge (Django's test client) is resolved here by the
    same function, without the cache.
    """

    def authenticate(self, request: Request) -> tuple[User, Principal] | None:
        scope = getattr(request._request, "scope", None) or {}
        if SCOPE_PRINCIPAL in scope:
            principal = scope[SCOPE_PRINCIPAL]
        else:
            principal = resolve(credentials_of({name.lower(): value for name, value in request.headers.items()}))
        if principal is None:
            return None
        return User(pk=principal.user_id, is_guest=principal.is_guest), principal

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"

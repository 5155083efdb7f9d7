"""Where a credential becomes a Principal. The only such place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from django.conf import settings
from msgspec import structs
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from apps.accounts.models import User
from apps.accounts.tokens import issuer_of, looks_like_token, verify_access_token
from apps.api_keys.addresses import check_address, common
from apps.api_keys.models import ApiKey
from apps.api_keys.tokens import KeyKind, is_well_formed
from apps.core.errors import BadRequest, Forbidden, NotFound, Unauthenticated
from apps.core.http.bearer import bearer_of
from apps.organizations.models import Membership, Organization
from apps.organizations.organization_settings import least
from apps.organizations.principal import Principal
from apps.organizations.roles import Scope
from apps.projects.models import Project, default_project
from apps.projects.rights import NOTHING, can_use, member_rights, service_account_rights
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
    key: ApiKey | None = ApiKey.objects.for_token(secret)
    if key is None:
        raise _unknown_key()
    if wanted.organization not in (None, key.organization.public_id):
        raise Unauthenticated("The API key belongs to another organization.", code="mismatched_organization")
    project = key.project or _project_of(key.organization, wanted.project)
    if project is None or wanted.project not in (None, project.public_id):
        raise Unauthenticated("The API key belongs to another project.", code="mismatched_project")
    parent = key.parent
    limit = key.rights if parent is None else key.rights & parent.rights
    usable = limit & can_use(key.kind)
    principal = _principal_of_holder(key, project)
    return structs.replace(
        principal,
        scopes=principal.scopes & usable,
        organization_scopes=principal.organization_scopes & usable if key.project is None else NOTHING,
        limit=limit,
        owner_id=_owner_of(key),
        key_id=key.pk,
        key_public_id=key.public_id,
        key_kind=key.kind,
        key_label=str(key),
        parent_key_id=key.parent_id,
        conversation_id=key.conversation or None,
        expires_at=_end_of(key, secret),
        allowed_models=_models_allowed(
            principal.allowed_models, key.allowed_models, parent.allowed_models if parent else None
        ),
        allowed_networks=common(key.allowed_addresses or None, (parent.allowed_addresses or None) if parent else None),
    )


def _owner_of(key: ApiKey) -> str | None:
    """Return whose own conversations a key has: its person's for a personal one, and what that or a token minted."""
    origin = key.parent if key.kind == KeyKind.EPHEMERAL and key.parent else key
    return key.user_id if origin.kind in (KeyKind.USER, KeyKind.EPHEMERAL) else None


def _end_of(key: ApiKey, secret: str) -> float | None:
    ends = [key.good_until(secret), key.parent.expires_at if key.parent else None]
    return min((end.timestamp() for end in ends if end is not None), default=None)


def _principal_of_holder(key: ApiKey, project: Project) -> Principal:
    """What the key's holder may do there today; the key itself may be good for less."""
    if key.service_account is not None:
        rights = service_account_rights(key.service_account, project)
        return _principal_in(
            project,
            user_id=key.service_account.public_id,
            scopes=rights,
            auth_method="api_key",
            service_account_id=key.service_account.pk,
        )
    membership = Membership.objects.in_organization(key.organization_id).filter(user_id=key.user_id).first()
    if membership is None or key.user is None:
        raise _unknown_key()
    return _principal_of_member(key.user, membership, project, auth_method="api_key")


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
        raise _no_member()
    principal = _principal_of_member(token.user, membership, project, auth_method="jwt")
    if not principal.scopes:  # no place in that project
        raise _no_member()
    return structs.replace(principal, expires_at=token.expires_at)


def _no_member() -> Forbidden:
    return Forbidden("You do not belong to the organization or project named in the request.", code="not_a_member")


def _project_of(organization: Organization, public_id: str | None) -> Project | None:
    if public_id is None:
        found: Project | None = default_project(organization.pk)
        return found
    projects = Project.objects.in_organization(organization.pk).present().select_related("organization")
    named: Project | None = projects.with_public_id(public_id)
    return named


def _principal_of_member(user: User, membership: Membership, project: Project, *, auth_method: str) -> Principal:
    is_guest = user.has_guest_rights
    rights = member_rights(membership, project, is_guest=is_guest)
    return _principal_in(
        project,
        user_id=user.pk,
        owner_id=user.pk,
        is_guest=is_guest,
        scopes=rights.in_project,
        organization_scopes=rights.at_organization,
        auth_method=auth_method,
    )


def _principal_in(
    project: Project,
    *,
    user_id: str,
    scopes: frozenset[Scope],
    auth_method: str,
    owner_id: str | None = None,
    organization_scopes: frozenset[Scope] = NOTHING,
    is_guest: bool = False,
    service_account_id: int | None = None,
) -> Principal:
    organization = project.organization
    return Principal(
        user_id=user_id,
        owner_id=owner_id,
        is_guest=is_guest,
        organization_id=organization.pk,
        organization_public_id=organization.public_id,
        project_id=project.pk,
        project_public_id=project.public_id,
        scopes=scopes,
        organization_scopes=organization_scopes,
        auth_method=auth_method,
        is_archived=project.is_archived,
        service_account_id=service_account_id,
        allowed_models=_models_allowed(
            organization.settings.get("allowed_models"), project.settings.get("allowed_models")
        ),
        denied_models=frozenset(project.settings.get("denied_models") or ()),
        default_model=project.settings.get("default_model"),
        storage=least(organization.settings.get("storage"), project.settings.get("storage")),
    )


def _models_allowed(*lists: Iterable[str] | None) -> frozenset[str] | None:
    """Return what every list allows, None if there is no list."""
    given = [frozenset(names) for names in lists if names is not None]
    return frozenset.intersection(*given) if given else None


def credentials_of(headers: dict[str, str]) -> Credentials:
    """Read the credentials out of request headers (names in lower case). Raises Unauthenticated."""
    return Credentials(
        api_key=headers.get("x-api-key") or None,
        bearer=bearer_of(headers.get("authorization")),
        organization=headers.get("openai-organization") or None,
        project=headers.get("openai-project") or None,
    )


def _elsewhere(credentials: Credentials, organization: str) -> Principal:
    """Return the caller in the organization that the path names. Raises NotFound for one it has no place in."""
    if credentials.organization is not None:
        raise BadRequest("The path names another organization than OpenAI-Organization.", param="OpenAI-Organization")
    try:
        principal = resolve(credentials._replace(organization=organization))
    except (Forbidden, Unauthenticated):
        principal = None
    if principal is None:
        raise NotFound("There is no such organization.", code="organization_not_found")
    return principal


def _sent_with(request: Request) -> Credentials:
    return credentials_of({name.lower(): value for name, value in request.headers.items()})


class PrincipalAuthentication(BaseAuthentication):
    """
    `request.auth` is the Principal that the edge found.

    A request that did not come through the edge (Django's test client) is resolved here by the
    same functions, without the cache.
    """

    def authenticate(self, request: Request) -> tuple[User, Principal] | None:
        scope = getattr(request._request, "scope", None) or {}
        passed_edge = SCOPE_PRINCIPAL in scope
        principal = scope[SCOPE_PRINCIPAL] if passed_edge else resolve(_sent_with(request))
        if principal is None:
            return None
        if not passed_edge:
            check_address(principal, request.META.get("REMOTE_ADDR", ""))
        named = request.parser_context["kwargs"].get("org_id")
        if named is not None and named != principal.organization_public_id:
            principal = _elsewhere(_sent_with(request), named)
        return User(pk=principal.user_id, is_guest=principal.is_guest), principal

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"

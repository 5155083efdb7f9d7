"""Who a caller is, told to the caller and to services that ask for it."""

from __future__ import annotations

from typing import Any

from allauth.account.models import EmailAddress

from apps.accounts.services import note_seen
from apps.api_keys.authentication import Credentials, resolve
from apps.api_keys.services import note_use
from apps.api_keys.tokens import KeyKind
from apps.core.errors import Unauthenticated
from apps.organizations.actors import user_behind
from apps.organizations.models import Membership, Organization
from apps.organizations.principal import Principal
from apps.organizations.roles import permissions_of
from apps.projects.models import ServiceAccount

# Kinds whose secrets go to machines and to other people, who are not told who made them.
_SHARED = frozenset({KeyKind.PROJECT, KeyKind.ORGANIZATION, KeyKind.EPHEMERAL})


def profile_of(principal: Principal) -> dict[str, Any]:
    """
    Return the caller as the caller sees it: its account or service account, and what it may do.

    `email` is the address it named until that is confirmed; only `email_verified` makes it its own.
    A key sees no organization but its own; one that others than its maker have is not told who made it.
    """
    is_service_account = principal.service_account_id is not None
    profile = _service_account(principal) if is_service_account else _person(principal)
    return {
        **profile,
        "key_kind": principal.key_kind,
        "scopes": sorted(principal.scopes),
        "organization_scopes": sorted(principal.organization_scopes),
        "service_account_id": principal.user_id if is_service_account else None,
        "is_archived": principal.is_archived,
    }


def _person(principal: Principal) -> dict[str, Any]:
    user = user_behind(principal)
    addresses = {address.email: address.verified for address in EmailAddress.objects.filter(user=user)}
    is_shared = principal.key_kind in _SHARED
    email = None if is_shared else user.email or next(iter(addresses), None)
    memberships = Membership.objects.of(user.pk)
    if principal.key_id is not None:
        memberships = memberships.filter(organization_id=principal.organization_id)
    return {
        "id": user.pk,
        "object": "user",
        "email": email,
        "email_verified": addresses.get(email or "", False),
        "name": None if is_shared else user.name,
        "username": None if is_shared else user.username,
        "picture": None if is_shared else user.picture or None,
        "is_guest": user.is_guest,
        "created_at": user.created_at,
        "updated_at": user.updated_at,
        "organizations": [_organization(membership.organization, membership.role) for membership in memberships],
    }


def _service_account(principal: Principal) -> dict[str, Any]:
    accounts = ServiceAccount.objects.in_organization(principal.organization_id).select_related("organization")
    account: ServiceAccount | None = accounts.filter(pk=principal.service_account_id).first()
    if account is None:
        raise Unauthenticated("The service account behind this credential is gone.")
    return {
        "id": account.public_id,
        "object": "service_account",
        "email": None,
        "email_verified": False,
        "name": account.name,
        "username": None,
        "picture": None,
        "is_guest": False,
        "created_at": account.created_at,
        "updated_at": account.created_at,
        "organizations": [_organization(account.organization, None)],
    }


def _organization(organization: Organization, role: str | None) -> dict[str, Any]:
    return {
        "id": organization.public_id,
        "name": organization.name,
        "role": role,
        "is_personal": organization.is_personal,
    }


def introspect(credentials: Credentials) -> dict[str, Any]:
    """
    Return who a credential is and what it may do, for a service that was handed it. Counts as a use.

    An address nobody confirmed is left out: whoever asks would believe it. Raises what `resolve`
    raises, and Unauthenticated when there is no credential.
    """
    principal = resolve(credentials)
    if principal is None:
        raise Unauthenticated("Send the credential to look at.", code="missing_credentials")
    note_seen([principal.user_id])
    if principal.key_id is not None:
        note_use([principal.key_id])
    return _described(principal)


def _described(principal: Principal) -> dict[str, Any]:
    profile = profile_of(principal)
    verified = profile["email"] if profile["email_verified"] else None
    here = principal.organization_public_id
    roles = [each["role"] for each in profile["organizations"] if each["id"] == here and each["role"] is not None]
    shown = ("key_kind", "scopes", "organization_scopes", "service_account_id", "is_archived", "username", "name")
    return {
        "valid": True,
        "principal_id": principal.user_id,
        "user_id": None if profile["service_account_id"] else principal.user_id,
        "subject": principal.user_id,
        **{name: profile[name] for name in shown},
        "email": verified,
        "email_verified": profile["email_verified"],
        "is_guest": profile["is_guest"],
        "auth_method": principal.auth_method,
        "organization_id": here,
        "project_id": principal.project_public_id,
        "roles": roles,
        "permissions": permissions_of(principal.scopes | principal.organization_scopes),
        "key_id": principal.key_public_id,
        "allowed_addresses": None if principal.allowed_networks is None else list(principal.allowed_networks),
        "allowed_models": None if principal.allowed_models is None else sorted(principal.allowed_models),
        "expires_at": None if principal.expires_at is None else int(principal.expires_at),
        "user_info": {**{name: profile[name] for name in ("id", "username", "name", "is_guest")}, "email": verified},
    }

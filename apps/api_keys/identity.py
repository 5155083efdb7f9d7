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
from apps.organizations.models import Membership
from apps.organizations.principal import Principal
from apps.organizations.roles import permissions_of


def profile_of(principal: Principal) -> dict[str, Any]:
    """
    Return the caller's account as the caller sees it.

    `email` is the address it named until that is confirmed; only `email_verified` makes it its own.
    A key sees no organization but its own; a project's key is many people's, and is not told who made it.
    """
    user = user_behind(principal)
    addresses = {address.email: address.verified for address in EmailAddress.objects.filter(user=user)}
    is_projects = principal.key_kind == KeyKind.PROJECT
    email = None if is_projects else user.email or next(iter(addresses), None)
    memberships = Membership.objects.of(user.pk)
    if principal.key_id is not None:
        memberships = memberships.filter(organization_id=principal.organization_id)
    return {
        "id": user.pk,
        "object": "user",
        "email": email,
        "email_verified": addresses.get(email or "", False),
        "name": None if is_projects else user.name,
        "username": None if is_projects else user.username,
        "picture": None if is_projects else user.picture or None,
        "is_guest": user.is_guest,
        "created_at": user.created_at,
        "updated_at": user.updated_at,
        "organizations": [
            {
                "id": membership.organization.public_id,
                "name": membership.organization.name,
                "role": membership.role,
                "is_personal": membership.organization.is_personal,
            }
            for membership in memberships
        ],
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
    roles = [each["role"] for each in profile["organizations"] if each["id"] == principal.organization_public_id]
    return {
        "valid": True,
        "principal_id": principal.user_id,
        "user_id": principal.user_id,
        "subject": principal.user_id,
        "username": profile["username"],
        "name": profile["name"],
        "email": verified,
        "email_verified": profile["email_verified"],
        "is_guest": profile["is_guest"],
        "auth_method": principal.auth_method,
        "organization_id": principal.organization_public_id,
        "project_id": principal.project_public_id,
        "roles": roles,
        "scopes": sorted(principal.scopes),
        "permissions": permissions_of(principal.scopes),
        "key_id": principal.key_public_id,
        "key_kind": principal.key_kind,
        "expires_at": None if principal.expires_at is None else int(principal.expires_at),
        "user_info": {**{name: profile[name] for name in ("id", "username", "name", "is_guest")}, "email": verified},
    }

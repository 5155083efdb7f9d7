"""Everybody who may come to tenant A with the ids of tenant B."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore
from django.test import RequestFactory, override_settings
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.sessions import issue_tokens
from apps.api_keys.models import ApiKey
from apps.api_keys.services import Holder
from apps.api_keys.tokens import KeyKind
from apps.core.ids import ID_LENGTH, new_id, random_base62
from apps.organizations.models import Membership
from apps.organizations.roles import (
    ALL,
    DEFAULT_PROJECT_ROLES,
    GUEST_SCOPES,
    PROJECT_ROLE_SCOPES,
    ROLE_SCOPES,
    ProjectRole,
    Role,
    Scope,
)
from tests.isolation.tenants import CANARY, NOTHING, Tenant


@dataclass(frozen=True)
class Principal:
    """
    Somebody with a credential, and what the roles' tables say of it in A: at the organization, in the project it
    acts in, and in the project called work. `user` is whose account it is. Not admitted are credentials
    that open nothing; strangers act in a tenant of their own.
    """

    name: str
    secret: str | None
    user: User | None = None
    at_organization: frozenset[Scope] = NOTHING
    in_own: frozenset[Scope] = NOTHING
    in_work: frozenset[Scope] = NOTHING
    names_organization: bool = False
    is_admitted: bool = True
    is_stranger: bool = False


def token_of(user: User) -> str:
    """An access token of a new session."""
    request = RequestFactory().post("/")
    request.session, request.user = SessionStore(), AnonymousUser()
    return str(issue_tokens(request, user)["access_token"])


PRINCIPALS = (
    "anonymous", "owner", "admin", "project owner", "member", "viewer", "outsider", "guest member", "user key",
    "project key", "read-only key", "organization key", "admin key", "service account key", "ephemeral key",
    "key of a stranger's owner", "expired token", "revoked key", "ex-member", "ex-member's key", "disabled user",
    "staff without permission", "guest",
)  # fmt: skip
TALKING = frozenset({Scope.INFERENCE, Scope.CONVERSATIONS_READ, Scope.CONVERSATIONS_WRITE})
CALLING = TALKING | {Scope.MODELS_READ, Scope.API_KEYS_READ, Scope.API_KEYS_WRITE}
READ_ONLY = frozenset({Scope.MODELS_READ, Scope.CONVERSATIONS_READ, Scope.API_KEYS_READ})


class World:
    """Tenants A and B, and the principals that come to A."""

    def __init__(self, provider_url: str = "http://192.0.2.1/v1") -> None:
        self.a = Tenant("alpha", "plain", provider_url=provider_url)
        self.b = Tenant("beta", CANARY, provider_url=provider_url)
        self.principals = {each.name: each for each in [*self._tokens(), *self._keys(), *self._shut_out()]}

    def _tokens(self) -> list[Principal]:
        a = self.a
        member, viewer = PROJECT_ROLE_SCOPES[ProjectRole.MEMBER], PROJECT_ROLE_SCOPES[ProjectRole.VIEWER]
        a.member("admin", Role.ADMIN)
        a.in_project("project owner", ProjectRole.OWNER)
        a.in_project("member", ProjectRole.MEMBER)
        a.in_project("viewer", ProjectRole.VIEWER, at=Role.VIEWER)
        a.member("outsider", Role.MEMBER)
        a.in_project("guest member", ProjectRole.OWNER, at=Role.OWNER, is_guest=True)
        places = {
            "owner": (Role.OWNER, ALL),
            "admin": (Role.ADMIN, NOTHING),
            "project owner": (Role.MEMBER, PROJECT_ROLE_SCOPES[ProjectRole.OWNER]),
            "member": (Role.MEMBER, member),
            "viewer": (Role.VIEWER, viewer),
            "outsider": (Role.MEMBER, None),
        }
        found = [Principal("anonymous", None)]
        for who, (role, here) in places.items():
            wide = ROLE_SCOPES[role]
            own = wide | PROJECT_ROLE_SCOPES[DEFAULT_PROJECT_ROLES[role]]
            work = NOTHING if here is None else wide | here
            found.append(self._by_token(who, wide, own, work))
        found.append(self._by_token("guest member", GUEST_SCOPES, GUEST_SCOPES, GUEST_SCOPES))
        return found

    def _by_token(self, who: str, *rights: frozenset[Scope]) -> Principal:
        user = self.a.people[who]
        return Principal(who, token_of(user), user, *rights, names_organization=True)

    def _keys(self) -> list[Principal]:
        a, work, owner = self.a, self.a.row("project"), Holder(self.a.owner)
        member = Holder(a.people["member"])
        both = a.member("owner of both", Role.VIEWER)
        Membership.objects.create(user=both.user, organization=self.b.organization, role=Role.OWNER)
        parent, _ = a.key(KeyKind.PROJECT, work, owner)
        account = Holder(service_account=a.row("service_account"))
        ephemeral = TALKING | {Scope.MODELS_READ}
        read_only = {"scopes": READ_ONLY}
        wanted: list[tuple[str, KeyKind, Any, Holder, dict[str, Any], frozenset[Scope], frozenset[Scope]]] = [
            ("user key", KeyKind.USER, work, member, {}, NOTHING, CALLING),
            ("project key", KeyKind.PROJECT, work, owner, {}, NOTHING, CALLING),
            ("read-only key", KeyKind.PROJECT, work, owner, read_only, NOTHING, READ_ONLY),
            ("organization key", KeyKind.ORGANIZATION, a.organization, owner, {}, CALLING, CALLING),
            ("admin key", KeyKind.ADMIN, a.organization, owner, {}, ALL - TALKING, ALL - TALKING),
            ("service account key", KeyKind.SERVICE_ACCOUNT, work, account, {}, NOTHING, CALLING),
            ("ephemeral key", KeyKind.EPHEMERAL, work, owner._replace(parent=parent), {}, NOTHING, ephemeral),
            ("key of a stranger's owner", KeyKind.USER, a.row("default_project"), Holder(both.user), {}, NOTHING,
             READ_ONLY),
        ]  # fmt: skip
        found = []
        for name, kind, place, holder, fields, wide, here in wanted:
            _, secret = a.key(kind, place, holder, **fields)
            in_work = NOTHING if place == a.row("default_project") else here
            found.append(Principal(name, secret, holder.user, wide, here, in_work))
        return found

    def _shut_out(self) -> list[Principal]:
        """Credentials of A that open nothing any more, and people of elsewhere."""
        a, work = self.a, self.a.row("project")
        revoked, revoked_secret = a.key(KeyKind.PROJECT, work, Holder(a.owner))
        ApiKey.objects.filter(pk=revoked.pk).update(revoked_at=timezone.now())
        gone = a.in_project("ex-member", ProjectRole.MEMBER)
        _, gone_secret = a.key(KeyKind.USER, work, Holder(gone.user))
        gone_token = token_of(gone.user)
        gone.delete()
        disabled = a.in_project("disabled", ProjectRole.OWNER, at=Role.ADMIN)
        disabled_token = token_of(disabled.user)
        User.objects.filter(pk=disabled.user_id).update(is_active=False)
        staff = a._person("staff", is_staff=True)
        guest = a._person("guest", is_guest=True)
        with override_settings(HEADLESS_JWT_ACCESS_TOKEN_EXPIRES_IN=-3600):
            expired = token_of(a.owner)
        return [
            Principal("expired token", expired, a.owner, is_admitted=False),
            Principal("revoked key", revoked_secret, a.owner, is_admitted=False),
            Principal("ex-member", gone_token, gone.user, names_organization=True, is_admitted=False),
            Principal("ex-member's key", gone_secret, gone.user, is_admitted=False),
            Principal("disabled user", disabled_token, disabled.user, names_organization=True, is_admitted=False),
            Principal("staff without permission", token_of(staff), staff, is_stranger=True),
            Principal("guest", token_of(guest), guest, is_stranger=True),
        ]

    def a_id(self, kind: str) -> str:
        return self.a.id_of(kind)

    def b_id(self, kind: str) -> str:
        return self.b.id_of(kind)

    def random_id(self, kind: str) -> str:
        """A well-formed id of that type which names nothing."""
        theirs = self.b.id_of(kind)
        random = re.fullmatch(rf"(\w+[-_])[0-9A-Za-z]{{{ID_LENGTH}}}", theirs)
        return random[1] + random_base62(ID_LENGTH) if random else f"nobody/{new_id('none')}"

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore
from django.test import Client, RequestFactory

from apps.accounts.models import User
from apps.accounts.sessions import issue_tokens
from apps.api_keys.models import WIDE, ApiKey
from apps.api_keys.services import Holder, create_key
from apps.api_keys.tokens import KeyKind
from apps.organizations.models import Membership, Organization
from apps.organizations.roles import Role
from apps.projects.models import Project, ServiceAccount


@dataclass
class Caller:
    """Somebody with a credential, calling through Django, below the edge."""

    user: User
    secret: str
    key: ApiKey | None = None

    @property
    def organization(self) -> Organization:
        """The personal one."""
        return Organization.objects.get(memberships__user=self.user, memberships__role=Role.OWNER, is_personal=True)

    @property
    def project(self) -> Project:
        return Project.objects.get(organization=self.organization, is_default=True)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        sent = {"Authorization": f"Bearer {self.secret}", **{k.replace("_", "-"): v for k, v in headers.items()}}
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        return Client().generic(method, path, data, content_type="application/json", headers=sent)

    def with_key(self, *, kind: KeyKind = KeyKind.USER, name: str = "a key", **fields: Any) -> Caller:
        """The same person, calling with a new key; a service account of its project for a key of that kind."""
        project = fields.pop("project", None) or self.project
        place = project.organization if kind in WIDE else project
        holder = Holder(self.user)
        if kind is KeyKind.SERVICE_ACCOUNT:
            account = ServiceAccount.objects.create(organization=project.organization, project=project, name=name)
            holder = Holder(service_account=account)
        key, secret = create_key(kind=kind, name=name, place=place, holder=holder, **fields)
        return Caller(self.user, secret, key)


def token_of(user: User) -> str:
    """An access token of a new session."""
    request = RequestFactory().post("/")
    request.session, request.user = SessionStore(), AnonymousUser()
    return str(issue_tokens(request, user)["access_token"])


def sign_up(email: str, **fields: Any) -> Caller:
    user = User.objects.create_user(email, None, **fields)
    return Caller(user, token_of(user))


def join(user: User, organization: Organization, role: Role = Role.MEMBER) -> Membership:
    return Membership.objects.create(user=user, organization=organization, role=role)


@pytest.fixture
def ada(db: None) -> Caller:
    return sign_up("ada@example.com", name="Ada", username="ada")


@pytest.fixture
def eve(db: None) -> Caller:
    """Somebody Ada has nothing to do with."""
    return sign_up("eve@example.com")


@pytest.fixture
def guest(db: None) -> Caller:
    made = Client().post("/v1/auth/guest-login").json()
    return Caller(User.objects.get(pk=made["user_id"]), made["access_token"])

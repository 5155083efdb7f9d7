from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx2
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
from tests.server import Server

Curl = Callable[..., httpx2.Response]


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


@pytest.fixture
def curl(live: Server) -> Curl:
    """Do what a curl command says, at this server; `<words>` in it are replaced."""

    def run(command: str, **words: Any) -> httpx2.Response:
        for name, value in words.items():
            command = command.replace(f"<{name}>", str(value))
        arguments = shlex.split(command.replace("\\\n", " "))
        assert arguments.pop(0) == "curl"
        method, url, headers, body = None, "", {}, None
        while arguments:
            word = arguments.pop(0)
            if word == "-X":
                method = arguments.pop(0)
            elif word == "-H":
                name, _, value = arguments.pop(0).partition(": ")
                headers[name] = value
            elif word == "-d":
                body = arguments.pop(0).encode()
            else:
                url = word
        host = url.split("/")[2]
        assert host in ("localhost:8080", "localhost:8000")
        method = method or ("POST" if body is not None else "GET")
        if body is not None:  # as curl has it
            headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
        return httpx2.request(method, url.replace(f"http://{host}", live.base_url), headers=headers, content=body)

    return run

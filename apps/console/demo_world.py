"""
Two organizations to try everything with: `manage.py seed_demo`.

Made by the services that everybody's requests come to, each step a transaction of its own, so that it
works beside a running server. Running it again finds what is there, makes what is missing, and gives
every key a new secret.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.http import HttpRequest

from apps.accounts.models import User
from apps.accounts.people import add_user
from apps.accounts.sessions import issue_tokens
from apps.api_keys.authentication import Credentials, resolve
from apps.api_keys.models import ApiKey
from apps.api_keys.service_accounts import create_service_account
from apps.api_keys.services import Giver, Holder, create_key, revoke_key, rotate_key
from apps.api_keys.tokens import KeyKind
from apps.audit.services import SYSTEM
from apps.console.demo_conversations import TALKS, Speaker, chat_project_of, completions_of, conversations_of, share_of
from apps.console.demo_usage import Caller, write_month
from apps.conversations.models import Conversation, Item
from apps.core.errors import Conflict
from apps.organizations.members import EVERYTHING, add_member, change_role
from apps.organizations.models import Invite, Membership, Organization
from apps.organizations.principal import Principal
from apps.organizations.roles import ALL, ProjectRole, Role, Scope
from apps.projects.invites import resend_invite, send_invite
from apps.projects.members import add_member as add_to_project
from apps.projects.models import Project, ProjectMembership, ServiceAccount, default_project
from apps.projects.project_services import create_project
from apps.projects.services import create_organization
from apps.quotas.models import ALL_MODELS
from apps.quotas.services import set_project_limits

# Nobody can have an address there (RFC 2606), so nobody else can be these people.
DOMAIN = "demo.invalid"
_PROJECT_ROLES = {Role.MEMBER: ProjectRole.MEMBER, Role.VIEWER: ProjectRole.VIEWER}
_READ_ONLY = frozenset({Scope.MODELS_READ, Scope.API_KEYS_READ})


@dataclass
class Tenant:
    """One of the two, as far as it is made."""

    letter: str
    organization: Organization
    users: dict[Role, User]
    project: Project
    speakers: list[Speaker] = field(default_factory=list)

    @property
    def owner(self) -> User:
        return self.users[Role.OWNER]

    def text(self, kind: str) -> str:
        """Return what to write where content goes: words, and in B a canary that stands nowhere else."""
        return self.marked(kind, f"Demo {kind.replace('_', ' ')} of {self.letter}")

    def marked(self, kind: str, words: str) -> str:
        """Return words with the canary of a kind in B."""
        return f"{words}, {canary_of(kind)}" if self.letter == "B" else words


def canary_of(kind: str) -> str:
    """Return the canary of a kind of object, the same in every run on this server."""
    digest = hashlib.sha256(f"canary:{settings.SECRET_KEY}:{kind}".encode()).hexdigest()
    return f"canary-{kind}-{digest[:16]}"


def build() -> dict[str, Any]:
    """Make what is missing and return what the contract says of it (section 8), every secret good from now on."""
    tenants = [_tenant(letter) for letter in ("A", "B")]
    return {
        "base_url": settings.PUBLIC_URL,
        "organizations": [_document(tenant) for tenant in tenants],
        "canaries": [canary_of(kind) for kind in ("organization", "project", *OBJECTS) if kind not in _WORDLESS],
    }


def _document(tenant: Tenant) -> dict[str, Any]:
    keys = _keys(tenant)
    tokens = {role: _access_token(user) for role, user in tenant.users.items()}
    project_key = next(secret for key, secret in keys if key.kind == KeyKind.PROJECT)
    tenant.speakers = [
        Speaker(_principal(secret), tenant.marked) for secret in (tokens[Role.OWNER], tokens[Role.MEMBER], project_key)
    ]
    objects = {kind: make(tenant) for kind, make in OBJECTS.items()}
    write_month(tenant.organization, _callers(tenant, [key for key, _ in keys]))
    projects = [_first_project(tenant), tenant.project]
    return {
        "id": tenant.organization.public_id,
        "name": tenant.organization.name,
        "projects": [{"id": project.public_id, "name": project.name} for project in projects],
        "users": [
            {"id": user.pk, "email": user.email, "role": role.value, "access_token": tokens[role]}
            for role, user in tenant.users.items()
        ],
        "keys": [
            {"id": key.public_id, "kind": key.kind, "key": secret, "scopes": key.scopes, "name": key.name}
            for key, secret in keys
        ],
        "objects": objects,
    }


# --- Who and where ------------------------------------------------------------------------------


def _tenant(letter: str) -> Tenant:
    users = {role: _user(letter, role) for role in Role}
    organization = _organization(letter, users[Role.OWNER])
    for role, user in users.items():
        _join(organization, user, role)
    tenant = Tenant(letter, organization, users, _project(letter, organization, users[Role.OWNER]))
    for role, project_role in _PROJECT_ROLES.items():
        _place(tenant, users[role], project_role)
    return tenant


def _join(organization: Organization, user: User, role: Role) -> None:
    membership = Membership.objects.in_organization(organization.pk).filter(user=user).first()
    if membership is None:
        add_member(organization=organization, user=user, role=role, giver=EVERYTHING, actor=SYSTEM)
    elif membership.role != role:
        change_role(membership=membership, role=role, giver=EVERYTHING, actor=SYSTEM)


@transaction.atomic
def _user(letter: str, role: Role) -> User:
    """Return a person without a password and without an organization of its own, so that its token acts in this one."""
    email = f"{role}@{letter.lower()}.{DOMAIN}"
    user = User.objects.get_queryset().filter(email=email).first()
    if user is None:
        user = User(email=email, name=f"{role.capitalize()} of {letter}")
        user.set_unusable_password()
        add_user(user=user, actor=SYSTEM)
        Organization.objects.filter(memberships__user=user, is_personal=True).delete()
    if user.has_usable_password():
        raise Conflict(f"{email} belongs to somebody else.", code="email_taken")
    return user


def _organization(letter: str, owner: User) -> Organization:
    found = Organization.objects.of(owner.pk).filter(domain=f"{letter.lower()}.{DOMAIN}", is_personal=False).first()
    if found is not None:
        return found
    description = f"Demo organization, {canary_of('organization')}" if letter == "B" else "Demo organization"
    return create_organization(
        name=f"Demo {letter}", owner=owner, domain=f"{letter.lower()}.{DOMAIN}", description=description, actor=SYSTEM
    )


def _project(letter: str, organization: Organization, owner: User) -> Project:
    name = f"Research {letter}"
    found: Project | None = Project.objects.in_organization(organization.pk).active().filter(name=name).first()
    if found is not None:
        return found
    description = f"Demo project, {canary_of('project')}" if letter == "B" else "Demo project"
    return create_project(organization=organization, name=name, description=description, creator=owner, actor=SYSTEM)


def _place(tenant: Tenant, user: User, role: ProjectRole) -> None:
    membership = Membership.objects.in_organization(tenant.organization.pk).get(user=user)
    places = ProjectMembership.objects.in_organization(tenant.organization.pk)
    if not places.filter(project=tenant.project, membership=membership).exists():
        add_to_project(project=tenant.project, membership=membership, role=role, giver=ALL, actor=SYSTEM)


def _first_project(tenant: Tenant) -> Project:
    found: Project = default_project(tenant.organization.pk)
    return found


def _access_token(user: User) -> str:
    request = HttpRequest()
    request.META = {"REMOTE_ADDR": "127.0.0.1", "HTTP_USER_AGENT": "manage.py seed_demo"}
    request.session, request.user = {}, AnonymousUser()  # type: ignore[assignment]  # it gets a session of its own
    return str(issue_tokens(request, user)["access_token"])


def _principal(secret: str) -> Principal:
    """Return who a token or a key is, as every request does."""
    principal = resolve(Credentials(bearer=secret))
    assert principal is not None  # something was sent
    return principal


# --- Keys ---------------------------------------------------------------------------------------


def _keys(tenant: Tenant) -> list[tuple[ApiKey, str]]:
    owner, project, organization = Holder(tenant.owner), tenant.project, tenant.organization
    account = Holder(service_account=_service_account(tenant))
    made = [
        _key(KeyKind.USER, "user", _first_project(tenant), Holder(tenant.users[Role.MEMBER])),
        _key(KeyKind.PROJECT, "project", project, owner),
        _key(KeyKind.PROJECT, "read_only", project, owner, _READ_ONLY),
        _key(KeyKind.ADMIN, "admin", organization, owner),
        _key(KeyKind.ORGANIZATION, "organization", organization, owner),
        _key(KeyKind.SERVICE_ACCOUNT, "service_account", project, account),
    ]
    parent = made[1][0]
    return [*made, _key(KeyKind.EPHEMERAL, "ephemeral", project, Holder(tenant.owner, parent=parent))]


def _callers(tenant: Tenant, keys: list[ApiKey]) -> list[Caller]:
    """Return who is to have called models: everybody who may, and the keys that stay."""
    first = _first_project(tenant).pk
    people = [Caller(first, user.pk) for role, user in tenant.users.items() if role is not Role.VIEWER]
    return people + [
        Caller(key.project_id or first, key.service_account.public_id if key.service_account else key.user_id, key.pk)
        for key in keys
        if Scope.INFERENCE in key.rights and key.kind not in (KeyKind.ADMIN, KeyKind.EPHEMERAL)
    ]


def _key(
    kind: KeyKind, name: str, place: Project | Organization, holder: Holder, scopes: frozenset[Scope] | None = None
) -> tuple[ApiKey, str]:
    """Give the demo's key of this name a new secret, or make it."""
    key = _found_key(kind, name, place)
    if key is not None and kind is not KeyKind.EPHEMERAL:
        return rotate_key(key=key, actor=SYSTEM, overlap=datetime.timedelta(0))
    if key is not None:
        revoke_key(key=key, actor=SYSTEM)
    return create_key(kind=kind, name=name, place=place, holder=holder, scopes=scopes, actor=SYSTEM)


def _found_key(kind: KeyKind, name: str, place: Project | Organization) -> ApiKey | None:
    organization = place.organization if isinstance(place, Project) else place
    keys = ApiKey.objects.in_organization(organization.pk).unended()
    found: ApiKey | None = keys.filter(kind=kind, name=name).first()
    return found


def _service_account(tenant: Tenant) -> ServiceAccount:
    name = tenant.text("service_account")
    found: ServiceAccount | None = ServiceAccount.objects.active_in(tenant.project).filter(name=name).first()
    return found or create_service_account(
        project=tenant.project, name=name, role=ProjectRole.MEMBER, creator=tenant.owner, giver=Giver(ALL), actor=SYSTEM
    )


# --- Objects to look for ------------------------------------------------------------------------


def _invites(tenant: Tenant) -> list[str]:
    email, owner = f"invited@{tenant.letter.lower()}.{DOMAIN}", tenant.owner
    invites = Invite.objects.in_organization(tenant.organization.pk).filter(email=email)
    invite: Invite | None = invites.open().first()
    if invite is None and (overdue := invites.overdue().first()) is not None:
        invite = resend_invite(invite=overdue, inviter=owner, actor=SYSTEM).invite
    if invite is None:
        invite = send_invite(
            organization=tenant.organization,
            email=email,
            role=Role.MEMBER,
            inviter=owner,
            actor=SYSTEM,
            message=tenant.text("invite"),
        ).invite
    return [invite.public_id]


def _admin_api_keys(tenant: Tenant) -> list[str]:
    return [_object_key(tenant, KeyKind.ADMIN, "admin_api_key", tenant.organization)]


def _project_api_keys(tenant: Tenant) -> list[str]:
    return [_object_key(tenant, KeyKind.PROJECT, "project_api_key", tenant.project)]


def _object_key(tenant: Tenant, kind: KeyKind, what: str, place: Project | Organization) -> str:
    """Return the id of a key that is there to be found. Its secret is nobody's."""
    name = tenant.text(what)
    key = _found_key(kind, name, place)
    if key is None:
        key, _ = create_key(kind=kind, name=name, place=place, holder=Holder(tenant.owner), actor=SYSTEM)
    return key.public_id


def _service_accounts(tenant: Tenant) -> list[str]:
    return [_service_account(tenant).public_id]


def _rate_limits(tenant: Tenant) -> list[str]:
    amounts = {"max_requests_per_1_minute": 5000}
    limits = set_project_limits(project=tenant.project, model=ALL_MODELS, amounts=amounts, actor=SYSTEM)
    return [limits.public_id]


def _conversations(tenant: Tenant) -> list[str]:
    return [each.public_id for each in _said(tenant)]


def _items(tenant: Tenant) -> list[str]:
    """Return the items of one conversation of each who has some."""
    items = Item.objects.in_organization(tenant.organization.pk).order_by("pk")
    said = _said(tenant)[:: len(TALKS)]
    return list(items.filter(conversation__in=said).values_list("public_id", flat=True))


def _said(tenant: Tenant) -> list[Conversation]:
    return [each for speaker in tenant.speakers for each in conversations_of(speaker)]


def _chat_projects(tenant: Tenant) -> list[str]:
    return [chat_project_of(speaker).public_id for speaker in tenant.speakers]


def _chat_completions(tenant: Tenant) -> list[str]:
    return [each.public_id for speaker in tenant.speakers for each in completions_of(speaker)]


def _shares(tenant: Tenant) -> list[str]:
    return [share_of(speaker).public_id for speaker in tenant.speakers]


# Each finds or makes a tenant's objects of a kind and returns their ids. What comes to exist adds a line.
OBJECTS: dict[str, Callable[[Tenant], list[str]]] = {
    "invite": _invites,
    "admin_api_key": _admin_api_keys,
    "project_api_key": _project_api_keys,
    "service_account": _service_accounts,
    "rate_limit": _rate_limits,
    "conversation": _conversations,
    "item": _items,
    "chat_project": _chat_projects,
    "chat_completion": _chat_completions,
    "share": _shares,
}
_WORDLESS = frozenset({"rate_limit"})

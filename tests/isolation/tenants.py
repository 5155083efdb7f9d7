"""
Two tenants, built alike, and everybody who may come to one of them with the other's ids.

Tenant B's texts all hold a canary, so that whatever shows one to A has leaked.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

from allauth.account.models import EmailAddress
from django.db import models
from django.utils import timezone

from apps.accounts.models import User
from apps.api_keys.models import ApiKey
from apps.api_keys.services import Holder, create_key
from apps.api_keys.tokens import KeyKind
from apps.audit.models import AuditEvent
from apps.audit.services import SYSTEM, Action, record
from apps.catalog.models import Model, ModelAlias, Provider, ProviderKind, Route
from apps.completions.models import StoredCompletion
from apps.conversations.models import Branch, ChatProject, Conversation, Item
from apps.core.ids import new_id
from apps.idempotency.models import IdempotencyRecord
from apps.organizations.models import (
    CustomRole,
    Group,
    GroupMembership,
    Invite,
    Membership,
    Organization,
    OrganizationRoleAssignment,
)
from apps.organizations.roles import ROLE_SCOPES, ProjectRole, Role, Scope
from apps.personal_data.models import DataExport
from apps.projects.models import (
    InvitedProject,
    Project,
    ProjectMembership,
    ProjectRoleAssignment,
    ServiceAccount,
)
from apps.projects.services import create_organization
from apps.quotas.models import RateLimit
from apps.shares.models import Share
from apps.sso.models import IdentityProvider, SSODomain
from apps.usage.models import State, UsageRecord

CANARY = "canary"
NOTHING: frozenset[Scope] = frozenset()
LONG_AGO = timezone.now() - datetime.timedelta(days=40)


class Tenant:
    """One organization with a row of every kind. `row(kind)` is what the access table's ids name."""

    def __init__(self, name: str, mark: str, *, provider_url: str = "http://192.0.2.1/v1") -> None:
        self.name, self.mark = name, mark
        self.provider_url = provider_url
        self.people: dict[str, User] = {}
        self.rows: dict[str, models.Model] = {}
        self.owner = self._person("owner")
        self.organization = create_organization(name=self.text("organization"), owner=self.owner)
        self.organization.description = self.text("about")
        self.organization.domain = f"{mark}.example"
        self.organization.settings = {"note": self.text("settings")}
        self.organization.save()
        self.rows["organization"] = self.organization
        for kind, make in MAKERS.items():
            self.rows[kind] = make(self)
        record(
            Action.USER_ADDED, actor=SYSTEM, organization=self.organization.public_id,
            target_kind="user", target_id=self.people["owner"].pk, note=self.text("audit"),
        )  # fmt: skip
        self.rows["audit_event"] = AuditEvent.objects.in_organization(self.organization.public_id).latest("pk")

    def text(self, what: str) -> str:
        return f"{self.mark} {what} of {self.name}"

    def _person(self, who: str, **fields: Any) -> User:
        email = None if fields.get("is_guest") else f"{who}.{self.mark}@{self.name}.example"
        named = {"name": self.text(who), "username": f"{self.mark}-{who}", **fields}
        user = User.objects.create_user(email, "correct-horse-9", **named)
        if email:
            EmailAddress.objects.create(user=user, email=email, verified=True, primary=True)
        self.people[who] = user
        return user

    def member(self, who: str, role: Role, **fields: Any) -> Membership:
        user = self._person(who, **fields)
        return Membership.objects.create(user=user, organization=self.organization, role=role)

    def in_project(self, who: str, role: ProjectRole, at: Role = Role.MEMBER, **fields: Any) -> Membership:
        membership = self.member(who, at, **fields)
        ProjectMembership.objects.create(
            organization=self.organization, project=self.rows["project"], membership=membership, role=role
        )
        return membership

    def key(self, kind: KeyKind, place: Project | Organization, holder: Holder, **fields: Any) -> tuple[ApiKey, str]:
        name, about = self.text(f"{kind} key"), self.text("key's use")
        return create_key(kind=kind, name=name, place=place, holder=holder, description=about, **fields)

    def row(self, kind: str) -> Any:
        return self.rows[kind]

    def id_of(self, kind: str) -> str:
        """How a request names a row: its public id, a member's user id, a model's name."""
        row = self.rows[kind]
        if isinstance(row, Membership):
            return str(row.user_id)
        return row.model_id if isinstance(row, Model) else str(getattr(row, "public_id", None) or row)

    def ids(self) -> set[str]:
        """Every public id the tenant has."""
        owned = {str(getattr(row, "public_id", "")) for row in self.rows.values()}
        return (owned | {user.pk for user in self.people.values()}) - {""}


MAKERS: dict[str, Callable[[Tenant], models.Model]] = {}


def makes(kind: str) -> Callable[[Callable[[Tenant], models.Model]], Callable[[Tenant], models.Model]]:
    """Register the maker of a kind. Makers run in the order they are written in."""

    def registered(make: Callable[[Tenant], models.Model]) -> Callable[[Tenant], models.Model]:
        MAKERS[kind] = make
        return make

    return registered


def _project(tenant: Tenant, what: str, **fields: Any) -> Project:
    return Project.objects.create(
        organization=tenant.organization, name=tenant.text(what), description=tenant.text("about it"),
        settings={"note": tenant.text("settings")}, created_by=tenant.owner, **fields,
    )  # fmt: skip


@makes("default_project")
def _default(tenant: Tenant) -> Project:
    project = Project.objects.get(organization=tenant.organization, is_default=True)
    project.name, project.description = tenant.text("default"), tenant.text("about it")
    project.settings = {"note": tenant.text("settings")}
    project.save()
    return project


@makes("project")
def _work(tenant: Tenant) -> Project:
    return _project(tenant, "work")


@makes("archived_project")
def _attic(tenant: Tenant) -> Project:
    return _project(tenant, "attic", archived_at=timezone.now())


@makes("member")
def _member(tenant: Tenant) -> Membership:
    """Somebody to look at, change and remove, with a place in the project."""
    return tenant.in_project("spare", ProjectRole.MEMBER)


@makes("newcomer")
def _newcomer(tenant: Tenant) -> Membership:
    """A member who is in no project and no group yet."""
    return tenant.member("newcomer", Role.MEMBER)


@makes("project_membership")
def _project_membership(tenant: Tenant) -> ProjectMembership:
    return ProjectMembership.objects.get(membership=tenant.row("member"))


@makes("invite")
def _invite(tenant: Tenant) -> Invite:
    return Invite.objects.create(
        organization=tenant.organization, email=f"asked.{tenant.mark}@{tenant.name}.example", role=Role.MEMBER,
        message=tenant.text("message"), token_digest=f"{tenant.name:0<64}", invited_by=tenant.owner,
        inviter=tenant.text("inviter"), expires_at=timezone.now() + datetime.timedelta(days=5), sent_at=LONG_AGO,
    )  # fmt: skip


@makes("invited_project")
def _invited_project(tenant: Tenant) -> InvitedProject:
    return InvitedProject.objects.create(
        organization=tenant.organization, invite=tenant.row("invite"), project=tenant.row("project"),
        role=ProjectRole.MEMBER,
    )  # fmt: skip


@makes("group")
def _group(tenant: Tenant) -> Group:
    return Group.objects.create(organization=tenant.organization, name=tenant.text("group"))


@makes("new_group")
def _new_group(tenant: Tenant) -> Group:
    """A group without people or roles."""
    return Group.objects.create(organization=tenant.organization, name=tenant.text("new group"))


@makes("group_membership")
def _group_membership(tenant: Tenant) -> GroupMembership:
    return GroupMembership.objects.create(
        organization=tenant.organization, group=tenant.row("group"), membership=tenant.row("member")
    )


def _role(tenant: Tenant, what: str, resource: str) -> CustomRole:
    return CustomRole.objects.create(
        organization=tenant.organization, name=tenant.text(what), description=tenant.text("its use"),
        resource_type=resource, permissions=[Scope.MODELS_READ.value],
    )  # fmt: skip


@makes("role")
def _organization_role(tenant: Tenant) -> CustomRole:
    return _role(tenant, "role", "organization")


@makes("new_role")
def _new_role(tenant: Tenant) -> CustomRole:
    """A role that nobody has yet."""
    return _role(tenant, "new role", "organization")


@makes("project_role")
def _project_role(tenant: Tenant) -> CustomRole:
    return _role(tenant, "role", "project")


@makes("new_project_role")
def _new_project_role(tenant: Tenant) -> CustomRole:
    return _role(tenant, "new role", "project")


@makes("assignment")
def _assignment(tenant: Tenant) -> OrganizationRoleAssignment:
    for to in ({"membership": tenant.row("member")}, {"group": tenant.row("group")}):
        made = OrganizationRoleAssignment.objects.create(
            organization=tenant.organization, role=tenant.row("role"), **to
        )
    return made


@makes("project_assignment")
def _project_assignment(tenant: Tenant) -> ProjectRoleAssignment:
    for to in ({"membership": tenant.row("member")}, {"group": tenant.row("group")}):
        made = ProjectRoleAssignment.objects.create(
            organization=tenant.organization, project=tenant.row("project"), role=tenant.row("project_role"), **to
        )
    return made


@makes("service_account")
def _service_account(tenant: Tenant) -> ServiceAccount:
    return ServiceAccount.objects.create(
        organization=tenant.organization, project=tenant.row("project"), name=tenant.text("account"),
        created_by=tenant.owner,
    )  # fmt: skip


@makes("project_key")
def _project_key(tenant: Tenant) -> ApiKey:
    return tenant.key(KeyKind.PROJECT, tenant.row("project"), Holder(tenant.owner))[0]


@makes("key")
def _key(tenant: Tenant) -> ApiKey:
    """A key of the default project, in which tokens act that name none."""
    return tenant.key(KeyKind.PROJECT, tenant.row("default_project"), Holder(tenant.owner))[0]


@makes("user_key")
def _user_key(tenant: Tenant) -> ApiKey:
    return tenant.key(KeyKind.USER, tenant.row("default_project"), Holder(tenant.owner))[0]


@makes("admin_key")
def _admin_key(tenant: Tenant) -> ApiKey:
    # An admin may change it: it can no more than an admin.
    scopes = ROLE_SCOPES[Role.ADMIN]
    return tenant.key(KeyKind.ADMIN, tenant.organization, Holder(tenant.owner), scopes=scopes)[0]


@makes("organization_key")
def _organization_key(tenant: Tenant) -> ApiKey:
    return tenant.key(KeyKind.ORGANIZATION, tenant.organization, Holder(tenant.owner))[0]


@makes("service_account_key")
def _service_account_key(tenant: Tenant) -> ApiKey:
    holder = Holder(service_account=tenant.row("service_account"))
    return tenant.key(KeyKind.SERVICE_ACCOUNT, tenant.row("project"), holder)[0]


@makes("ephemeral_key")
def _ephemeral_key(tenant: Tenant) -> ApiKey:
    holder = Holder(tenant.owner, parent=tenant.row("project_key"))
    return tenant.key(KeyKind.EPHEMERAL, tenant.row("project"), holder)[0]


@makes("provider")
def _provider(tenant: Tenant) -> Provider:
    provider = Provider(
        organization=tenant.organization, name=tenant.text("provider"), kind=ProviderKind.VLLM,
        base_url=tenant.provider_url, last_error=tenant.text("error"),
    )  # fmt: skip
    provider.credential = f"sk-{tenant.mark}-credential-0123456789"
    provider.save()
    return provider


@makes("model")
def _model(tenant: Tenant) -> Model:
    return Model.objects.create(
        organization=tenant.organization, model_id=f"{tenant.mark}/{tenant.name}-private",
        display_name=tenant.text("model"), owned_by=tenant.text("maker"), capabilities=["chat", tenant.mark],
        supported_parameters={"names": [tenant.text("parameter")]},
    )  # fmt: skip


@makes("rate_limit")
def _rate_limit(tenant: Tenant) -> RateLimit:
    name = tenant.row("model").model_id
    for place in ({"api_key": tenant.row("project_key")}, {"project": tenant.row("project")}):
        made = RateLimit.objects.create(
            organization=tenant.organization, model=name, max_requests_per_1_minute=9, **place
        )
    return made


@makes("route")
def _route(tenant: Tenant) -> Route:
    return Route.objects.create(
        model=tenant.row("model"), provider=tenant.row("provider"), upstream_model=f"{tenant.mark}-upstream"
    )


@makes("alias")
def _alias(tenant: Tenant) -> ModelAlias:
    return ModelAlias.objects.create(
        organization=tenant.organization, alias=f"{tenant.mark}-alias-of-{tenant.name}", model=tenant.row("model")
    )


@makes("usage_record")
def _usage_record(tenant: Tenant) -> UsageRecord:
    return UsageRecord.objects.create(
        request_id=f"req_{tenant.mark}_{tenant.name}", organization=tenant.organization, project=tenant.row("project"),
        user=tenant.owner, api_key=tenant.row("project_key"), provider=tenant.row("provider"),
        endpoint="chat/completions", model=tenant.row("model").model_id, state=State.COMPLETED, status=200,
        error_code=tenant.mark, prompt_tokens=7, completion_tokens=1200, raw_usage={"note": tenant.text("usage")},
        accepted_at=timezone.now() - datetime.timedelta(hours=2), ended_at=timezone.now(),
    )  # fmt: skip


@makes("idempotency_record")
def _idempotency_record(tenant: Tenant) -> IdempotencyRecord:
    return IdempotencyRecord.objects.create(
        organization=tenant.organization, credential=tenant.row("project_key").public_id, key=tenant.text("key"),
        route=f"POST /v1/{tenant.mark}", digest="0" * 64, state="finished", status=200, lease_until=timezone.now(),
        finished_at=timezone.now(), body=tenant.text("answer").encode(),
    )  # fmt: skip


@makes("identity_provider")
def _identity_provider(tenant: Tenant) -> IdentityProvider:
    """Its slug and name are what the sign-in page's button says to everybody, so they hold no canary."""
    provider = IdentityProvider(
        slug=f"sign-in-of-{tenant.name}", name=f"Sign-in of {tenant.name}", kind="oidc",
        issuer=f"https://{tenant.mark}.{tenant.name}.example", organization=tenant.organization,
        client_id=tenant.text("client"), roles={tenant.mark: "member"},
    )  # fmt: skip
    provider.client_secret = f"{tenant.mark}-client-secret"
    provider.save()
    return provider


@makes("sso_domain")
def _sso_domain(tenant: Tenant) -> SSODomain:
    return SSODomain.objects.create(
        organization=tenant.organization, provider=tenant.row("identity_provider"), is_required=False,
        domain=f"{tenant.mark}.{tenant.name}.example",
    )  # fmt: skip


@makes("chat_project")
def _chat_project(tenant: Tenant) -> ChatProject:
    """The owner's own, in the project its token acts in."""
    return ChatProject.objects.create(
        organization=tenant.organization, project=tenant.row("default_project"), user=tenant.owner,
        name=tenant.text("folder"), instruction=tenant.text("instruction"),
    )  # fmt: skip


@makes("conversation")
def _conversation(tenant: Tenant) -> Conversation:
    """The owner's own, in the project its token acts in, in its folder."""
    return Conversation.objects.create(
        organization=tenant.organization, project=tenant.row("default_project"), user=tenant.owner,
        chat_project=tenant.row("chat_project"), title=tenant.text("conversation"), model=f"{tenant.mark}-model",
        metadata={"note": tenant.text("metadata")}, referrer=tenant.mark, summary=tenant.text("summary"),
    )  # fmt: skip


@makes("branch")
def _branch(tenant: Tenant) -> Branch:
    conversation = tenant.row("conversation")
    branch = Branch.objects.create(
        organization=tenant.organization, conversation=conversation, last_sequence=1, item_count=1
    )
    conversation.active_branch = branch
    conversation.save()
    return branch


@makes("item")
def _item(tenant: Tenant) -> Item:
    said = tenant.text("message")
    return Item.objects.create(
        public_id=new_id("msg"), organization=tenant.organization, conversation=tenant.row("conversation"),
        branch=tenant.row("branch"), sequence=1, type="message", role="user", status="completed",
        data={"content": [{"type": "input_text", "text": said}]}, metadata={"note": tenant.text("metadata")}, text=said,
    )  # fmt: skip


@makes("fork")
def _fork(tenant: Tenant) -> Branch:
    """A branch with a name that only this tenant has."""
    main = tenant.row("branch")
    return Branch.objects.create(
        organization=tenant.organization, conversation=main.conversation, name=new_id(tenant.mark), parent=main,
        fork_sequence=1, last_sequence=1, item_count=1,
    )  # fmt: skip


@makes("completion")
def _completion(tenant: Tenant) -> StoredCompletion:
    message = {"role": "assistant", "content": tenant.text("answer"), "refusal": None}
    return StoredCompletion.objects.create(
        organization=tenant.organization, project=tenant.row("default_project"), user=tenant.owner,
        model=tenant.row("model").model_id, request_id=f"req_{tenant.mark}", metadata={tenant.mark: tenant.mark},
        messages=[{"role": "user", "content": tenant.text("question")}],
        answer={"choices": [{"index": 0, "finish_reason": "stop", "message": message}]},
    )  # fmt: skip


@makes("share")
def _share(tenant: Tenant) -> Share:
    share = Share(
        organization=tenant.organization, project=tenant.row("default_project"), user=tenant.owner,
        conversation=tenant.row("conversation"), title=tenant.text("share"),
        snapshot=[{"type": "message", "role": "user", "parts": [{"type": "text", "text": tenant.text("said")}]}],
    )  # fmt: skip
    share.draw_slug(tenant.organization.public_id)
    share.save()
    return share


@makes("export")
def _export(tenant: Tenant) -> DataExport:
    """One that a task is still to write."""
    return DataExport.objects.create(user=tenant.owner)

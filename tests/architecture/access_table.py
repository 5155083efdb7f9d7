"""
Who may do what where: every route and method of the API.

An entry says which ids a request takes (by the kinds of `tests.isolation.tenants`: in the path, the
query and the body), which scope is asked and where, and the least role that holds it there. A route
without an entry fails the suite, and so does an entry without a route.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from apps.organizations.roles import Scope


class Place(StrEnum):
    """Where a scope has to be held."""

    PUBLIC = "nowhere: it is public"
    ANY = "nowhere: any credential will do"
    OWN_PROJECT = "in the project the caller acts in"
    ORGANIZATION = "at the organization"
    PROJECT = "in the project of the path"


@dataclass(frozen=True)
class Id:
    """An id of this kind stands here."""

    kind: str


@dataclass(frozen=True)
class Entry:
    """
    One route and method, by its canonical path. `ids` are those of the path, `query` the optional ones,
    `fixed` a query every request needs. `answers` is what the owner gets with ids of its own.
    """

    method: str
    path: str
    place: Place
    scope: Scope | None = None
    role: str | None = None
    ids: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    body: Any = None
    fixed: str = ""
    answers: int = 200

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def is_mirrored(self) -> bool:
        """Whether the same is under /v1/organization/{org_id}/ too."""
        return self.path.startswith("/v1/organization/") and "{org_id}" not in self.path

    @property
    def mirror(self) -> str:
        return self.path.replace("/v1/organization/", "/v1/organization/{org_id}/", 1)


def _named(prefix: str, place: Place) -> Any:
    def entry(method: str, path: str, scope: Scope | None = None, role: str | None = None, **fields: Any) -> Entry:
        return Entry(method, prefix + path, place, scope, role, **fields)

    return entry


public = _named("/v1/", Place.PUBLIC)
anybody = _named("/v1/", Place.ANY)
own = _named("/v1/", Place.OWN_PROJECT)
organization = _named("/v1/organization", Place.ORGANIZATION)
project = _named("/v1/organization/projects/{project_id}", Place.PROJECT)
in_project = {"project_id": "project"}

# Outside of /v1.
ROOT = [
    *(Entry("GET", f"/{name}", Place.PUBLIC) for name in ("health", "healthcheck", "healthz", "readyz")),
    Entry("GET", "/.well-known/jwks.json", Place.PUBLIC),
    Entry("GET", "/metrics", Place.ANY, answers=403),
    *(
        Entry("GET", f"/{prefix}swagger/{name}", Place.PUBLIC)
        for prefix in ("api/", "v1/")
        for name in ("doc.json", "index.html")
    ),
]

PLATFORM = [
    *(public("GET", name) for name in ("healthz", "readyz", "version")),
    anybody("GET", "status"),
    *(own("GET", name, Scope.MODELS_READ, "viewer") for name in ("models", "models/providers", "conv/models")),
    *(
        own("GET", f"models/{name}{{model_id}}", Scope.MODELS_READ, "viewer", ids={"model_id": kind})
        for name, kind in (("", "model"), ("catalogs/", "model"))
    ),
]

_SAID = [{"role": "user", "content": "hello"}]
_TURN = {"model": Id("model"), "messages": _SAID}
# The edge's own. Their rights are asked by the gateway.
INFERENCE = [
    own("POST", "chat/completions", Scope.INFERENCE, "member", body=_TURN),
    *(
        own("POST", path, Scope.INFERENCE, "member", body={**_TURN, "conversation_id": Id("conversation")})
        for path in ("conv/chat/completions", "conv/mcp")
    ),
    own("POST", "completions", Scope.INFERENCE, "member", body={"model": Id("model"), "prompt": "hello"}),
    own("POST", "embeddings", Scope.INFERENCE, "member", body={"model": Id("model"), "input": "hello"}),
    *(
        own(
            "POST", f"conversations/{{conversation_id}}/{name}/{{item_id}}/{verb}", Scope.INFERENCE, "member",
            ids={"conversation_id": "conversation", "item_id": "item"}, body=_TURN,
        )
        for name in ("items", "messages")
        for verb in ("edit", "regenerate")
    ),
]  # fmt: skip
WEBSOCKETS = [
    Entry(
        "WEBSOCKET", "/ws/v1/chat/completions", Place.OWN_PROJECT, Scope.INFERENCE, "member",
        body={"model": Id("model"), "messages": _SAID},
    ),
    Entry(
        "WEBSOCKET", "/ws/v1/conversations/{conversation_id}", Place.OWN_PROJECT, Scope.CONVERSATIONS_READ, "viewer",
        ids={"conversation_id": "conversation"},
    ),
]  # fmt: skip

SIGN_IN = [
    public("POST", "auth/guest-login", answers=201),
    *(
        public(method, f"auth/{name}", answers=401)
        for name in ("refresh-token", "refresh", "logout")
        for method in ("GET", "POST")
    ),
    public("POST", "auth/revoke", answers=400),
    *(public("GET", f"auth/{name}", answers=404) for name in ("login", "google", "google/login")),
    *(public("GET", f"auth/{name}", answers=400) for name in ("callback", "google/callback")),
    public("POST", "auth/google/callback", answers=400),
    public("POST", "auth/validate"),
    public("POST", "auth/validate-api-key"),
    anybody("GET", "auth/me"),
    anybody("GET", "user/profile"),
    anybody("POST", "auth/upgrade", body={"email": "somebody@new.example"}, answers=409),
]

# Whose they are is asked by the view: a person.
USER_SETTINGS = [
    anybody("GET", "users/me/settings"),
    *(anybody(method, "users/me/settings", body={"enable_tools": False}) for method in ("POST", "PATCH")),
]
YOUR_DATA = [
    *(anybody(method, "users/me/export") for method in ("GET", "POST")),
    anybody("GET", "users/me/export/{export_id}/download", ids={"export_id": "export"}, answers=409),
    anybody("DELETE", "users/me", body={"confirm": "somebody else"}, answers=400),
]

_KEY = {"key_id": "key"}
_A_KEY = {"name": "laptop", "kind": "project"}
API_KEYS = [
    entry
    for prefix in ("auth", "user")
    for entry in (
        own("GET", f"{prefix}/api-keys", Scope.API_KEYS_READ, "viewer", query={"after": "key", "before": "key"}),
        own("POST", f"{prefix}/api-keys", Scope.API_KEYS_WRITE, "member", body=_A_KEY, answers=201),
        own("GET", f"{prefix}/api-keys/{{key_id}}", Scope.API_KEYS_READ, "viewer", ids=_KEY),
        *(
            own(method, f"{prefix}/api-keys/{{key_id}}", Scope.API_KEYS_WRITE, "member", ids=_KEY, body={"name": "n"})
            for method in ("POST", "PATCH")
        ),
        own("DELETE", f"{prefix}/api-keys/{{key_id}}", Scope.API_KEYS_WRITE, "member", ids=_KEY, answers=204),
        own("POST", f"{prefix}/api-keys/{{key_id}}/rotate", Scope.API_KEYS_WRITE, "member", ids=_KEY),
    )
]

ORGANIZATIONS = [
    anybody("GET", "organization", query={"after": "organization"}),
    anybody("POST", "organization", body={"name": "new"}),
    *(
        Entry(
            method, "/v1/organization/{org_id}", Place.ORGANIZATION, scope, role, {"org_id": "organization"}, body=body
        )
        for method, scope, role, body in (
            ("GET", Scope.ORGANIZATION_READ, "viewer", None),
            ("POST", Scope.ORGANIZATION_WRITE, "admin", {"name": "renamed"}),
            ("PATCH", Scope.ORGANIZATION_WRITE, "admin", {"name": "renamed"}),
            ("DELETE", Scope.ORGANIZATION_DELETE, "owner", None),
        )
    ),
    organization("POST", "/transfer", Scope.ORGANIZATION_DELETE, "owner", body={"user_id": Id("member")}),
    organization("POST", "/leave", Scope.ORGANIZATION_READ, "viewer"),
]

_USER = {"user_id": "member"}
MEMBERS = [
    organization("GET", "/users", Scope.MEMBERS_READ, "viewer", query={"after": "member", "before": "member"}),
    organization("GET", "/users/{user_id}", Scope.MEMBERS_READ, "viewer", ids=_USER),
    *(
        organization(method, "/users/{user_id}", Scope.MEMBERS_WRITE, "admin", ids=_USER, body=body)
        for method, body in (("POST", {"role": "viewer"}), ("PATCH", {"role": "viewer"}), ("DELETE", None))
    ),
]

_GROUP, _GROUP_USER = {"group_id": "group"}, {"group_id": "group", "user_id": "member"}
_NAME = {"name": "another"}
GROUPS = [
    organization("GET", "/groups", Scope.GROUPS_READ, "admin", query={"after": "group"}),
    organization("POST", "/groups", Scope.GROUPS_WRITE, "admin", body=_NAME),
    organization("GET", "/groups/{group_id}", Scope.GROUPS_READ, "admin", ids=_GROUP),
    *(
        organization(method, "/groups/{group_id}", Scope.GROUPS_WRITE, "admin", ids=_GROUP, body=body)
        for method, body in (("POST", _NAME), ("PATCH", _NAME), ("DELETE", None))
    ),
    organization("GET", "/groups/{group_id}/users", Scope.GROUPS_READ, "admin", ids=_GROUP, query={"after": "member"}),
    organization(
        "POST", "/groups/{group_id}/users", Scope.GROUPS_WRITE, "admin", ids=_GROUP, body={"user_id": Id("newcomer")}
    ),
    organization("GET", "/groups/{group_id}/users/{user_id}", Scope.GROUPS_READ, "admin", ids=_GROUP_USER),
    organization("DELETE", "/groups/{group_id}/users/{user_id}", Scope.GROUPS_WRITE, "admin", ids=_GROUP_USER),
    project("GET", "/groups", Scope.GROUPS_READ, "owner", ids=in_project, query={"after": "group"}),
    project(
        "POST", "/groups", Scope.MEMBERS_WRITE, "owner", ids=in_project,
        body={"group_id": Id("new_group"), "role": Id("new_project_role")},
    ),
    project("GET", "/groups/{group_id}", Scope.GROUPS_READ, "owner", ids={**in_project, **_GROUP}),
    project("DELETE", "/groups/{group_id}", Scope.MEMBERS_WRITE, "owner", ids={**in_project, **_GROUP}),
]  # fmt: skip

_RIGHTS = {"role_name": "another", "permissions": ["models.read"]}


def _roles_of(entry: Any, roles: tuple[str, str], ids: dict[str, str], least: str) -> list[Entry]:
    """The routes of roles at a place, and of those given there to people and groups."""
    named = {**ids, "role_id": roles[0]}
    found = [
        entry("GET", "/roles", Scope.ROLES_READ, least, ids=ids, query={"after": roles[0]}),
        entry("POST", "/roles", Scope.ROLES_WRITE, least, ids=ids, body=_RIGHTS),
        entry("GET", "/roles/{role_id}", Scope.ROLES_READ, least, ids=named),
        *(
            entry(method, "/roles/{role_id}", Scope.ROLES_WRITE, least, ids=named, body=body)
            for method, body in (("POST", {"role_name": "n"}), ("PATCH", {"role_name": "n"}), ("DELETE", None))
        ),
    ]
    for holder, kind in (("users/{user_id}", "member"), ("groups/{group_id}", "group")):
        name = holder.partition("{")[2].rstrip("}")
        path, held = f"/{holder}/roles", {**ids, name: kind}
        found += [
            entry("GET", path, Scope.ROLES_READ, least, ids=held, query={"after": roles[0]}),
            entry("POST", path, Scope.ROLES_WRITE, least, ids=held, body={"role_id": Id(roles[1])}),
            entry("GET", f"{path}/{{role_id}}", Scope.ROLES_READ, least, ids={**held, "role_id": roles[0]}),
            entry("DELETE", f"{path}/{{role_id}}", Scope.ROLES_WRITE, least, ids={**held, "role_id": roles[0]}),
        ]
    return found


ROLES = [
    *_roles_of(organization, ("role", "new_role"), {}, "admin"),
    # OpenAI's SDK looks for the roles of projects here.
    *_roles_of(
        _named("/v1/projects/{project_id}", Place.PROJECT), ("project_role", "new_project_role"), in_project, "owner"
    ),
]

_INVITE = {"invite_id": "invite"}
_ANSWER = {"token": "wrong"}
INVITES = [
    organization("GET", "/invites", Scope.INVITES_READ, "admin", query={"after": "invite", "before": "invite"}),
    organization(
        "POST", "/invites", Scope.INVITES_WRITE, "admin",
        body={"email": "new@new.example", "role": "member", "projects": [{"id": Id("project"), "role": "member"}]},
    ),
    organization("GET", "/invites/{invite_id}", Scope.INVITES_READ, "admin", ids=_INVITE),
    organization("DELETE", "/invites/{invite_id}", Scope.INVITES_WRITE, "admin", ids=_INVITE),
    organization("POST", "/invites/{invite_id}/resend", Scope.INVITES_WRITE, "admin", ids=_INVITE),
    anybody("POST", "organization/invites/{invite_id}/accept", ids=_INVITE, body=_ANSWER, answers=404),
    anybody("POST", "organization/invites/{invite_id}/decline", ids=_INVITE, body=_ANSWER, answers=404),
]  # fmt: skip

_ARCHIVED = {"project_id": "archived_project"}
_MODELS = {"mode": "allow_list", "model_ids": [Id("model")]}
PROJECTS = [
    # Who may read a project lists those it may know of.
    own("GET", "organization/projects", Scope.PROJECTS_READ, "viewer", query={"after": "project", "before": "project"}),
    organization("POST", "/projects", Scope.PROJECTS_WRITE, "admin", body={"name": "new"}),
    project("GET", "", Scope.PROJECTS_READ, "viewer", ids=in_project),
    project("POST", "", Scope.PROJECTS_WRITE, "owner", ids=in_project, body={"name": "renamed"}),
    project("PATCH", "", Scope.PROJECTS_WRITE, "owner", ids=in_project, body={"description": "changed"}),
    project("DELETE", "", Scope.PROJECTS_WRITE, "owner", ids=in_project),
    project("POST", "/archive", Scope.PROJECTS_WRITE, "owner", ids=in_project),
    project("POST", "/unarchive", Scope.PROJECTS_WRITE, "owner", ids=_ARCHIVED),
    project("GET", "/model_permissions", Scope.PROJECTS_READ, "viewer", ids=in_project),
    project("POST", "/model_permissions", Scope.PROJECTS_WRITE, "owner", ids=in_project, body=_MODELS),
    project("PATCH", "/model_permissions", Scope.PROJECTS_WRITE, "owner", ids=in_project, body=_MODELS),
    project("DELETE", "/model_permissions", Scope.PROJECTS_WRITE, "owner", ids=in_project),
]

_PLACE = {"project_id": "project", "user_id": "member"}
PROJECT_USERS = [
    project("GET", "/users", Scope.MEMBERS_READ, "viewer", ids=in_project, query={"after": "member"}),
    project(
        "POST", "/users", Scope.MEMBERS_WRITE, "owner", ids=in_project,
        body={"user_id": Id("newcomer"), "role": "member"},
    ),
    project("GET", "/users/{user_id}", Scope.MEMBERS_READ, "viewer", ids=_PLACE),
    project("POST", "/users/{user_id}", Scope.MEMBERS_WRITE, "owner", ids=_PLACE, body={"role": "viewer"}),
    project("PATCH", "/users/{user_id}", Scope.MEMBERS_WRITE, "owner", ids=_PLACE, body={"role": "viewer"}),
    project("DELETE", "/users/{user_id}", Scope.MEMBERS_WRITE, "owner", ids=_PLACE),
]  # fmt: skip

WIDE_KEYS = [
    entry
    for path, kind in (("/admin_api_keys", "admin_key"), ("/api_keys", "organization_key"))
    for entry in (
        organization("GET", path, Scope.ADMIN_KEYS_READ, "admin", query={"after": kind, "before": kind}),
        organization("POST", path, Scope.ADMIN_KEYS_WRITE, "admin", body={"name": "new"}),
        organization("GET", f"{path}/{{key_id}}", Scope.ADMIN_KEYS_READ, "admin", ids={"key_id": kind}),
        *(
            organization(method, f"{path}/{{key_id}}", Scope.ADMIN_KEYS_WRITE, "admin", ids={"key_id": kind}, body=body)
            for method, body in (("POST", {"name": "n"}), ("PATCH", {"name": "n"}), ("DELETE", None))
        ),
        organization("POST", f"{path}/{{key_id}}/rotate", Scope.ADMIN_KEYS_WRITE, "admin", ids={"key_id": kind}),
    )
]

_PROJECT_KEY = {"project_id": "project", "key_id": "project_key"}
PROJECT_KEYS = [
    project("GET", "/api_keys", Scope.API_KEYS_READ, "viewer", ids=in_project, query={"after": "project_key"}),
    project("POST", "/api_keys", Scope.API_KEYS_WRITE, "member", ids=in_project, body={"name": "new"}),
    project("GET", "/api_keys/{key_id}", Scope.API_KEYS_READ, "viewer", ids=_PROJECT_KEY),
    *(
        project(method, "/api_keys/{key_id}", Scope.API_KEYS_WRITE, "member", ids=_PROJECT_KEY, body=body)
        for method, body in (("POST", {"name": "n"}), ("PATCH", {"name": "n"}), ("DELETE", None))
    ),
    project("POST", "/api_keys/{key_id}/rotate", Scope.API_KEYS_WRITE, "member", ids=_PROJECT_KEY),
]

_ACCOUNT = {"project_id": "project", "service_account_id": "service_account"}
_ONE = "/service_accounts/{service_account_id}"
SERVICE_ACCOUNTS = [
    project(
        "GET",
        "/service_accounts",
        Scope.SERVICE_ACCOUNTS_READ,
        "viewer",
        ids=in_project,
        query={"after": "service_account"},
    ),
    project("POST", "/service_accounts", Scope.SERVICE_ACCOUNTS_WRITE, "owner", ids=in_project, body={"name": "new"}),
    project("GET", _ONE, Scope.SERVICE_ACCOUNTS_READ, "viewer", ids=_ACCOUNT),
    *(
        project(method, _ONE, Scope.SERVICE_ACCOUNTS_WRITE, "owner", ids=_ACCOUNT, body=body)
        for method, body in (("POST", {"name": "n"}), ("PATCH", {"name": "n"}), ("DELETE", None))
    ),
    project("POST", f"{_ONE}/api_keys", Scope.SERVICE_ACCOUNTS_WRITE, "owner", ids=_ACCOUNT, body={"name": "new"}),
]

_LIMITS = {"project_id": "project", "rate_limit_id": "rate_limit"}
RATE_LIMITS = [
    project("GET", "/rate_limits", Scope.RATE_LIMITS_READ, "viewer", ids=in_project, query={"after": "rate_limit"}),
    *(
        project(
            method, "/rate_limits/{rate_limit_id}", Scope.RATE_LIMITS_WRITE, "admin of the organization", ids=_LIMITS,
            body=body,
        )
        for method, body in (
            ("POST", {"max_requests_per_1_minute": 9}), ("PATCH", {"max_requests_per_1_minute": 9}), ("DELETE", None),
        )
    ),
]  # fmt: skip

_USAGE = {"project_ids": "project", "user_ids": "member", "api_key_ids": "project_key", "models": "model"}
USAGE = [
    organization(
        "GET", f"/usage/{name}", Scope.USAGE_READ, "admin", query=_USAGE,
        fixed="start_time=1700000000&limit=2&group_by=project_id",
    )
    for name in ("completions", "embeddings")
]  # fmt: skip

_EVENTS = {"after": "audit_event", "before": "audit_event", "project_ids": "project", "actor_ids": "member"}
AUDIT_LOGS = [organization("GET", "/audit_logs", Scope.AUDIT_LOGS_READ, "admin", query=_EVENTS)]

_CHAT_PROJECT = {"project_id": "chat_project"}
CHAT_PROJECTS = [
    own(
        "GET", "projects", Scope.CONVERSATIONS_READ, "viewer", query={"after": "chat_project", "before": "chat_project"}
    ),
    own("POST", "projects", Scope.CONVERSATIONS_WRITE, "member", body={"name": "new"}, answers=201),
    own("GET", "projects/{project_id}", Scope.CONVERSATIONS_READ, "viewer", ids=_CHAT_PROJECT),
    own(
        "GET", "projects/{project_id}/conversations", Scope.CONVERSATIONS_READ, "viewer", ids=_CHAT_PROJECT,
        query={"after": "conversation"},
    ),
    *(
        own(method, "projects/{project_id}", Scope.CONVERSATIONS_WRITE, "member", ids=_CHAT_PROJECT, body=body)
        for method, body in (("POST", {"name": "renamed"}), ("PATCH", {"instruction": "changed"}), ("DELETE", None))
    ),
]  # fmt: skip

_CONVERSATION = {"conversation_id": "conversation"}
_ITEM = {**_CONVERSATION, "item_id": "item"}
_IN_FOLDER = {"title": "new", "project_id": Id("chat_project")}
CONVERSATIONS = [
    own(
        "GET", "conversations", Scope.CONVERSATIONS_READ, "viewer",
        query={"after": "conversation", "before": "conversation", "project_id": "chat_project"},
    ),
    own("POST", "conversations", Scope.CONVERSATIONS_WRITE, "member", body=_IN_FOLDER),
    own("DELETE", "conversations", Scope.CONVERSATIONS_WRITE, "member"),
    own("GET", "conversations/{conversation_id}", Scope.CONVERSATIONS_READ, "viewer", ids=_CONVERSATION),
    *(
        own(method, "conversations/{conversation_id}", Scope.CONVERSATIONS_WRITE, "member", ids=_CONVERSATION, body=body)
        for method, body in (("POST", _IN_FOLDER), ("PATCH", _IN_FOLDER), ("DELETE", None))
    ),
    *(
        entry
        for name in ("items", "messages")
        for path in (f"conversations/{{conversation_id}}/{name}",)
        for entry in (
            own("GET", path, Scope.CONVERSATIONS_READ, "viewer", ids=_CONVERSATION, query={"after": "item", "before": "item"}),
            own("POST", path, Scope.CONVERSATIONS_WRITE, "member", ids=_CONVERSATION, body={"items": _SAID}),
            own("GET", f"{path}/{{item_id}}", Scope.CONVERSATIONS_READ, "viewer", ids=_ITEM),
            *(
                own(method, f"{path}/{{item_id}}", Scope.CONVERSATIONS_WRITE, "member", ids=_ITEM, body=body)
                for method, body in (("POST", {"rating": "like"}), ("PATCH", {"rating": "like"}), ("DELETE", None))
            ),
        )
    ),
]  # fmt: skip

_FORK = {**_CONVERSATION, "name": "fork"}
_BRANCHES = "conversations/{conversation_id}/branches"
BRANCHES = [
    own("GET", _BRANCHES, Scope.CONVERSATIONS_READ, "viewer", ids=_CONVERSATION, query={"after": "fork", "before": "fork"}),
    own(
        "POST", _BRANCHES, Scope.CONVERSATIONS_WRITE, "member", ids=_CONVERSATION, body={"from_item": Id("item")},
        answers=201,
    ),
    own("GET", f"{_BRANCHES}/{{name}}", Scope.CONVERSATIONS_READ, "viewer", ids=_FORK),
    own("DELETE", f"{_BRANCHES}/{{name}}", Scope.CONVERSATIONS_WRITE, "member", ids=_FORK),
    own("POST", f"{_BRANCHES}/{{name}}/activate", Scope.CONVERSATIONS_WRITE, "member", ids=_FORK),
]  # fmt: skip

_COMPLETION = {"completion_id": "completion"}
_STORED = "chat/completions/{completion_id}"
_LABELS = {"metadata": {"topic": "changed"}}
COMPLETIONS = [
    own("GET", "chat/completions", Scope.CONVERSATIONS_READ, "viewer", query={"after": "completion", "model": "model"}),
    own("GET", _STORED, Scope.CONVERSATIONS_READ, "viewer", ids=_COMPLETION),
    own("GET", f"{_STORED}/messages", Scope.CONVERSATIONS_READ, "viewer", ids=_COMPLETION),
    *(
        own(method, _STORED, Scope.CONVERSATIONS_WRITE, "member", ids=_COMPLETION, body=body)
        for method, body in (("POST", _LABELS), ("PATCH", _LABELS), ("DELETE", None))
    ),
]

_SHARED = {"conversation_id": "conversation"}
SHARES = [
    own("POST", "conversations/{conversation_id}/share", Scope.CONVERSATIONS_WRITE, "member", ids=_SHARED, body={}),
    own(
        "GET", "conversations/{conversation_id}/shares", Scope.CONVERSATIONS_READ, "viewer", ids=_SHARED,
        query={"after": "share"},
    ),
    own(
        "DELETE", "conversations/{conversation_id}/shares/{share_id}", Scope.CONVERSATIONS_WRITE, "member",
        ids={**_SHARED, "share_id": "share"},
    ),
    # Whoever has the slug may read what is behind it, of whichever tenant; an id opens nothing.
    public("GET", "public/shares/{slug}", ids={"slug": "share"}, answers=404),
]  # fmt: skip

OF_ORGANIZATIONS = [
    *ORGANIZATIONS,
    *MEMBERS,
    *GROUPS,
    *ROLES,
    *INVITES,
    *PROJECTS,
    *PROJECT_USERS,
    *WIDE_KEYS,
    *PROJECT_KEYS,
    *SERVICE_ACCOUNTS,
    *RATE_LIMITS,
    *USAGE,
    *AUDIT_LOGS,
]
DJANGO = [
    *ROOT,
    *PLATFORM,
    *SIGN_IN,
    *USER_SETTINGS,
    *YOUR_DATA,
    *API_KEYS,
    *CHAT_PROJECTS,
    *CONVERSATIONS,
    *BRANCHES,
    *COMPLETIONS,
    *SHARES,
    *OF_ORGANIZATIONS,
]
TABLE = [*DJANGO, *INFERENCE, *WEBSOCKETS]

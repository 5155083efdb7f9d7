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
        return self.path.startswith("/v1/organization/")

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
    *(own("GET", name, Scope.MODELS_READ, "viewer") for name in ("models", "models/providers")),
    *(
        own("GET", f"models/{name}{{model_id}}", Scope.MODELS_READ, "viewer", ids={"model_id": kind})
        for name, kind in (("", "model"), ("catalogs/", "model"))
    ),
]

_SAID = [{"role": "user", "content": "hello"}]
# The edge's own. Their rights are asked by the gateway.
INFERENCE = [
    own("POST", "chat/completions", Scope.INFERENCE, "member", body={"model": Id("model"), "messages": _SAID}),
    own("POST", "completions", Scope.INFERENCE, "member", body={"model": Id("model"), "prompt": "hello"}),
    own("POST", "embeddings", Scope.INFERENCE, "member", body={"model": Id("model"), "input": "hello"}),
]
WEBSOCKETS = [
    Entry(
        "WEBSOCKET", "/ws/v1/chat/completions", Place.OWN_PROJECT, Scope.INFERENCE, "member",
        body={"model": Id("model"), "messages": _SAID},
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

_A_KEY = {"name": "laptop", "kind": "project"}
API_KEYS = [
    entry
    for prefix in ("auth", "user")
    for entry in (
        own("GET", f"{prefix}/api-keys", Scope.API_KEYS_READ, "viewer", query={"after": "key", "before": "key"}),
        own("POST", f"{prefix}/api-keys", Scope.API_KEYS_WRITE, "member", body=_A_KEY, answers=201),
        own("GET", f"{prefix}/api-keys/{{key_id}}", Scope.API_KEYS_READ, "viewer", ids={"key_id": "key"}),
        own(
            "DELETE",
            f"{prefix}/api-keys/{{key_id}}",
            Scope.API_KEYS_WRITE,
            "member",
            ids={"key_id": "key"},
            answers=204,
        ),
        own("POST", f"{prefix}/api-keys/{{key_id}}/rotate", Scope.API_KEYS_WRITE, "member", ids={"key_id": "key"}),
    )
]

_USAGE = {"project_ids": "project", "user_ids": "member", "api_key_ids": "project_key", "models": "model"}
USAGE = [
    organization(
        "GET", f"/usage/{name}", Scope.USAGE_READ, "admin", query=_USAGE,
        fixed="start_time=1700000000&limit=2&group_by=project_id",
    )
    for name in ("completions", "embeddings")
]  # fmt: skip

DJANGO = [*ROOT, *PLATFORM, *SIGN_IN, *API_KEYS, *USAGE]
TABLE = [*DJANGO, *INFERENCE, *WEBSOCKETS]

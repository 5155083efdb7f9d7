"""Who is calling: one shape for HTTP, WebSocket and everything later."""

from __future__ import annotations

import msgspec

from apps.core.errors import Forbidden
from apps.organizations.organization_settings import Storage
from apps.organizations.roles import Scope


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """
    The caller, and the one (organization, project) it acts in.

    Made by `apps.api_keys.authentication.resolve` and nowhere else. It holds ids, not rows, so
    a cache may keep it. `user_id` is a service account's id for a key of one. `owner_id` is the
    person whose own the conversations are that it has, None if they are its project's. `is_guest`: has a
    guest's rights and limits, as an account also has until its address is confirmed. `scopes` is
    what it may do in its project, `organization_scopes` at its organization; `limit` is what its
    key was given, None for a token. `parent_key_id` is the key that made an ephemeral one.
    `expires_at` is unix seconds, None for a credential without an end. `allowed_models` is None
    for every model, `allowed_networks` None for every address. `conversation_id` is the only
    conversation it may be in, None for all of its own. `storage` is what may be kept of its content.
    """

    user_id: str
    owner_id: str | None
    is_guest: bool
    organization_id: int
    organization_public_id: str
    project_id: int
    project_public_id: str
    scopes: frozenset[Scope]
    organization_scopes: frozenset[Scope]
    auth_method: str
    is_archived: bool = False
    limit: frozenset[Scope] | None = None
    key_id: int | None = None
    key_public_id: str | None = None
    key_kind: str | None = None
    key_label: str = ""
    parent_key_id: int | None = None
    service_account_id: int | None = None
    expires_at: float | None = None
    allowed_models: frozenset[str] | None = None
    denied_models: frozenset[str] = frozenset()
    allowed_networks: tuple[str, ...] | None = None
    default_model: str | None = None
    conversation_id: str | None = None
    storage: Storage = Storage.STORE

    def require(self, scope: Scope) -> None:
        """Raise Forbidden unless the caller may do this in its project."""
        if scope not in self.scopes:
            raise self.refusal(scope, is_archived=self.is_archived)

    def may_call(self, name: str, model_id: str) -> bool:
        """Say whether the caller may call a model under this name: a model's own id in a list means all its names."""
        names = (name, model_id)
        if not self.denied_models.isdisjoint(names):
            return False
        return self.allowed_models is None or not self.allowed_models.isdisjoint(names)

    def refusal(self, scope: Scope, *, is_archived: bool = False) -> Forbidden:
        """Return why the caller may not do this, in words that help."""
        details = {"required_scope": scope.value}
        if self.key_kind == "admin" and scope in TALKING:
            return Forbidden(
                "An admin key manages the organization; it calls no models and keeps no conversations. Use a project "
                "key (jan_pk_…), an organization key (jan_ok_…), a personal key (sk_…) or an access token.",
                code="wrong_key_kind",
                details=details,
            )
        if self.key_kind == "ephemeral" and scope not in EPHEMERAL:
            return Forbidden(
                "An ephemeral key calls models, in conversations too, and does nothing else. Use the credential that "
                "made it.",
                code="wrong_key_kind",
                details=details,
            )
        if self.key_kind not in (None, "admin") and scope in MANAGING:
            return Forbidden(
                f"A key of kind '{self.key_kind}' calls models and manages nothing. Use an admin key (jan_ak_…), or "
                "the access token of somebody who may do this.",
                code="wrong_key_kind",
                details=details,
            )
        if is_archived:
            return Forbidden("The project is archived, so it can only be read.", code="project_archived")
        return Forbidden(f"This credential lacks the scope '{scope}'.", details=details)


# What every key but an admin key can do at all.
CALLING = frozenset(
    {
        Scope.INFERENCE,
        Scope.MODELS_READ,
        Scope.CONVERSATIONS_READ,
        Scope.CONVERSATIONS_WRITE,
        Scope.API_KEYS_READ,
        Scope.API_KEYS_WRITE,
    }
)
MANAGING = frozenset(Scope) - CALLING
EPHEMERAL = frozenset({Scope.INFERENCE, Scope.MODELS_READ, Scope.CONVERSATIONS_READ, Scope.CONVERSATIONS_WRITE})
# What people say to models, and all that an admin key cannot do.
TALKING = frozenset({Scope.INFERENCE, Scope.CONVERSATIONS_READ, Scope.CONVERSATIONS_WRITE})

"""The look of the operator's admin (django-unfold)."""

from typing import Any

from django.templatetags.static import static
from django.urls import reverse_lazy


def _item(title: str, icon: str, view: str, site: str = "admin") -> dict[str, Any]:
    item: dict[str, Any] = {"title": title, "icon": icon, "link": reverse_lazy(f"{site}:{view}")}
    if site == "admin" and view.endswith("_changelist"):
        app, model, _ = view.rsplit("_", 2)
        item["permission"] = lambda request: may_open(request.user, app, model)
    return item


def may_open(user: Any, app: str, model: str) -> bool:
    """Say whether an operator's permissions let it see a list. Django's own are superusers' only."""
    if app == "auth":
        return bool(user.is_superuser)
    return bool(user.has_perm(f"{app}.view_{model}") or user.has_perm(f"{app}.change_{model}"))


def _own(title: str, icon: str, view: str) -> dict[str, Any]:
    return _item(title, icon, view, "tenant")


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Jan Server",
    "SITE_HEADER": "Jan Server",
    "SITE_SUBHEADER": "Operators",
    "SITE_URL": "/",
    "SITE_ICON": lambda request: static("console/icon.svg"),
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("console/icon.svg")},
    ],
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "DASHBOARD_CALLBACK": "apps.console.dashboard.dashboard",
    "COMMAND": {"search_models": ["accounts.user", "organizations.organization", "catalog.provider", "catalog.model"]},
    "SIDEBAR": {
        "show_search": True,
        "navigation": [
            {"items": [_item("Dashboard", "monitoring", "index")]},
            {
                "title": "People and tenants",
                "items": [
                    _item("Users", "person", "accounts_user_changelist"),
                    _item("Invitations", "outgoing_mail", "accounts_invitation_changelist"),
                    _item("User settings", "tune", "user_settings_usersettings_changelist"),
                    _item("Organizations", "apartment", "organizations_organization_changelist"),
                    _item("Members", "group", "organizations_membership_changelist"),
                    _item("Invites", "mail", "organizations_invite_changelist"),
                    _item("Projects", "folder", "projects_project_changelist"),
                    _item("Project members", "folder_shared", "projects_projectmembership_changelist"),
                    _item("Service accounts", "smart_toy", "projects_serviceaccount_changelist"),
                    _item("API keys", "key", "api_keys_apikey_changelist"),
                ],
            },
            {
                "title": "Conversations",
                "items": [
                    _item("Conversations", "forum", "conversations_conversation_changelist"),
                    _item("Chat projects", "topic", "conversations_chatproject_changelist"),
                    _item("Shares", "share", "shares_share_changelist"),
                    _item("Stored completions", "inventory_2", "completions_storedcompletion_changelist"),
                ],
            },
            {
                "title": "Groups and roles",
                "items": [
                    _item("Groups", "groups", "organizations_group_changelist"),
                    _item("Group members", "group_add", "organizations_groupmembership_changelist"),
                    _item("Custom roles", "badge", "organizations_customrole_changelist"),
                    _item("Given roles", "verified_user", "organizations_organizationroleassignment_changelist"),
                    _item("Given in projects", "admin_panel_settings", "projects_projectroleassignment_changelist"),
                ],
            },
            {
                "title": "Sign-in",
                "items": [
                    _item("Sessions", "devices", "usersessions_usersession_changelist"),
                    _item("E-mail addresses", "mail", "account_emailaddress_changelist"),
                    _item("Second factors", "shield_lock", "mfa_authenticator_changelist"),
                    _item("Accounts elsewhere", "link", "socialaccount_socialaccount_changelist"),
                    _item("Identity providers", "passkey", "sso_identityprovider_changelist"),
                    _item("SSO domains", "domain", "sso_ssodomain_changelist"),
                    _item("Staff roles", "local_police", "auth_group_changelist"),
                ],
            },
            {
                "title": "Catalog",
                "items": [
                    _item("Providers", "dns", "catalog_provider_changelist"),
                    _item("Models", "neurology", "catalog_model_changelist"),
                    _item("Routes", "alt_route", "catalog_route_changelist"),
                    _item("Aliases", "label", "catalog_modelalias_changelist"),
                ],
            },
            {
                "title": "Usage",
                "items": [
                    _item("Requests", "receipt_long", "usage_usagerecord_changelist"),
                    _item("Rate limits", "speed", "quotas_ratelimit_changelist"),
                    _item("Idempotency keys", "replay", "idempotency_idempotencyrecord_changelist"),
                    _item("Audit log", "history", "audit_auditevent_changelist"),
                ],
            },
        ],
    },
}

# What owners see of their own organization.
UNFOLD_ORGANIZATION: dict[str, Any] = {
    **{
        name: UNFOLD[name] for name in ("SITE_TITLE", "SITE_ICON", "SITE_FAVICONS", "SHOW_HISTORY", "SHOW_VIEW_ON_SITE")
    },
    "SITE_HEADER": "apps.console.tenant.look.header",
    "SITE_SUBHEADER": "apps.console.tenant.look.subheader",
    "SITE_URL": "/accounts/",
    "SITE_DROPDOWN": [
        {"title": "Another organization, or a new one", "icon": "swap_horiz", "link": reverse_lazy("tenant:choose")},
        {"title": "Your account", "icon": "person", "link": "/accounts/"},
    ],
    "ACCOUNT": {"navigation": [{"title": "Your account", "link": "/accounts/"}]},
    "COMMAND": {"search_models": True},
    "SIDEBAR": {
        "show_search": True,
        "navigation": [
            {"items": [_own("Overview", "apartment", "organizations_organization_changelist")]},
            {
                "title": "People",
                "items": [
                    _own("Members", "group", "organizations_membership_changelist"),
                    _own("Invites", "mail", "organizations_invite_changelist"),
                    _own("Groups", "groups", "organizations_group_changelist"),
                    _own("Group members", "group_add", "organizations_groupmembership_changelist"),
                ],
            },
            {
                "title": "Projects and keys",
                "items": [
                    _own("Projects", "folder", "projects_project_changelist"),
                    _own("Project members", "folder_shared", "projects_projectmembership_changelist"),
                    _own("Service accounts", "smart_toy", "projects_serviceaccount_changelist"),
                    _own("API keys", "key", "api_keys_apikey_changelist"),
                ],
            },
            {
                "title": "Conversations",
                "items": [
                    _own("Conversations", "forum", "conversations_conversation_changelist"),
                    _own("Chat projects", "topic", "conversations_chatproject_changelist"),
                ],
            },
            {
                "title": "Roles",
                "items": [
                    _own("Custom roles", "badge", "organizations_customrole_changelist"),
                    _own("Given here", "verified_user", "organizations_organizationroleassignment_changelist"),
                    _own("Given in projects", "admin_panel_settings", "projects_projectroleassignment_changelist"),
                ],
            },
            {
                "title": "Usage",
                "items": [
                    _own("Requests", "receipt_long", "usage_usagerecord_changelist"),
                    _own("Rate limits", "speed", "quotas_ratelimit_changelist"),
                    _own("Audit log", "history", "audit_auditevent_changelist"),
                ],
            },
        ],
    },
}

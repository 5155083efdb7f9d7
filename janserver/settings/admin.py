"""The look of the operator's admin (django-unfold)."""

from typing import Any

from django.templatetags.static import static
from django.urls import reverse_lazy


def _item(title: str, icon: str, view: str) -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": reverse_lazy(f"admin:{view}")}


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
                    _item("Organizations", "apartment", "organizations_organization_changelist"),
                    _item("Memberships", "group", "organizations_membership_changelist"),
                    _item("Projects", "folder", "projects_project_changelist"),
                    _item("API keys", "key", "api_keys_apikey_changelist"),
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
                    _item("Audit log", "history", "audit_auditevent_changelist"),
                ],
            },
        ],
    },
}

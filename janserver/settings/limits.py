"""
Rate limits: the contract's table (section 6), amounts in the notation of the `limits` library.

`per` says whose requests are counted together: an address (/64 for IPv6), a user, a key, a guest, a
session, the recipient of mails, or a caller, which is a key, or a user with a token. A project's are
what it has as long as nothing else is set for it (`apps.quotas`); tokens are counted when a call has ended.
"""

from typing import Any

RATE_LIMITS: dict[str, dict[str, Any]] = {
    "all": {"limits": ["600/minute", "10000/hour"], "per": "address"},
    "v1": {"limits": ["120/minute"], "per": "address"},
    "inference_user": {"limits": ["60/minute"], "per": "user"},
    "inference_key": {"limits": ["1000/hour"], "per": "key"},
    "inference_guest": {"limits": ["10/minute"], "per": "guest"},
    "conversation_user": {"limits": ["30/minute"], "per": "user"},
    "conversation_key": {"limits": ["500/hour"], "per": "key"},
    "conversation_guest": {"limits": ["5/minute"], "per": "guest"},
    "project_requests": {"limits": ["6000/minute", "1000000/day"], "per": "project"},
    "project_tokens": {"limits": ["10000000/minute"], "per": "project"},
    "organization_admin": {"limits": ["100/minute"], "per": "caller"},
    "organization_projects": {"limits": ["200/minute"], "per": "caller"},
    "organization_keys": {"limits": ["50/minute"], "per": "caller"},
    "organization_invites": {"limits": ["20/minute"], "per": "caller"},
    "conversation_reads": {"limits": ["100/minute"], "per": "caller"},
    "conversation_writes": {"limits": ["50/minute"], "per": "caller"},
    "conversation_deletes": {"limits": ["20/minute"], "per": "caller"},
    "public_shares": {"limits": ["100/minute", "1000/hour"], "per": "address"},
    "guest_login": {"limits": ["5/minute"], "per": "address"},
    "sign_in": {"limits": ["20/minute", "200/hour"], "per": "address"},
    "sign_up": {"limits": ["10/minute", "60/hour"], "per": "address"},
    "password_reset": {"limits": ["10/minute", "60/hour"], "per": "address"},
    "single_sign_on": {"limits": ["30/minute"], "per": "address"},
    "account_pages": {"limits": ["120/minute"], "per": "address"},
    "refresh": {"limits": ["60/minute"], "per": "address"},
    "refresh_session": {"limits": ["30/minute"], "per": "session"},
    "end_session": {"limits": ["60/minute"], "per": "address"},
    "validate": {"limits": ["60/minute"], "per": "address"},
    "confirmation_mail": {"limits": ["5/hour"], "per": "recipient"},
    "invite_mail": {"limits": ["5/hour"], "per": "recipient"},
    "invite_link": {"limits": ["60/minute"], "per": "address"},
}

# Every way in has a limit of its own: its name, the methods (empty: all), and how the canonical path begins.
# The first line that fits counts; tests/edge/test_sign_in_limits.py looks for routes that have none.
SIGN_IN_ROUTES: tuple[tuple[str, str, str], ...] = (
    ("guest_login", "", "/v1/auth/guest-login"),
    ("sign_up", "", "/v1/auth/upgrade"),
    ("refresh", "", "/v1/auth/refresh"),
    ("end_session", "", "/v1/auth/revoke"),
    ("end_session", "", "/v1/auth/logout"),
    ("validate", "", "/v1/auth/validate"),
    ("single_sign_on", "", "/v1/auth/google"),
    ("single_sign_on", "", "/v1/auth/login"),
    ("single_sign_on", "", "/v1/auth/callback"),
    ("single_sign_on", "", "/accounts/sso/"),
    ("single_sign_on", "", "/accounts/saml/"),
    ("invite_link", "", "/v1/organization/invites/"),
    ("sign_up", "POST", "/accounts/signup/"),
    ("password_reset", "POST", "/accounts/password/reset/"),
    ("sign_in", "POST", "/accounts/"),
    ("sign_in", "POST", "/admin/login/"),
    ("account_pages", "", "/accounts/"),
    ("account_pages", "", "/admin/login/"),
)

# What an organization is managed with: the name of the limit and a pattern of how the canonical path begins,
# under both names of an organization. The first line that fits counts.
_ORGANIZATION = r"/v1/organization(?:/org_[0-9A-Za-z]+)?"
ORGANIZATION_ROUTES: tuple[tuple[str, str], ...] = (
    ("organization_invites", rf"{_ORGANIZATION}/invites(?:/|$)"),
    (
        "organization_keys",
        rf"{_ORGANIZATION}/(?:projects/[^/]+/)?(?:service_accounts/[^/]+/)?(?:admin_)?api_keys(?:/|$)",
    ),
    ("organization_projects", rf"{_ORGANIZATION}/projects(?:/|$)"),
    ("organization_projects", r"/v1/projects/[^/]+/(?:users|groups|roles)(?:/|$)"),
    ("organization_admin", rf"{_ORGANIZATION}(?:/|$)"),
)

# What conversations and their items are read, written and deleted with: the name of the limit, the methods (empty: all)
# and a pattern of how the canonical path begins. The first line that fits counts.
_CONVERSATIONS = r"/v1/conversations(?:/|$)"
CONVERSATION_ROUTES: tuple[tuple[str, str, str], ...] = (
    ("public_shares", "", r"/(?:share|v1/public/shares)/"),
    ("conversation_reads", "GET HEAD", _CONVERSATIONS),
    ("conversation_deletes", "DELETE", _CONVERSATIONS),
    ("conversation_writes", "", _CONVERSATIONS),
)

# Streams that may run at once.
CONCURRENT_STREAMS: dict[str, int] = {"key": 20, "guest": 3, "organization": 100}

# What allauth counts: tries for one account (`key`: the address typed, known or not). Addresses count at the edge.
# `login_failed` counts passwords for an account from one address, so that nobody else's tries keep its owner out;
# `login_failed_anywhere`, from all of them, bounds guessing from many. Codes count for the account alone.
ACCOUNT_LIMITS: dict[str, tuple[str, ...]] = {
    "login": (),
    "login_failed": ("10/m/ip", "5/300s/key"),
    "login_failed_anywhere": ("100/h/key",),
    "signup": (),
    "reset_password": ("5/m/key", "20/h/key"),
    "reset_password_from_key": (),
    "confirm_email": ("1/180s/key",),
    "reauthenticate": ("10/m/user",),
    "change_password": ("5/m/user",),
    "manage_email": ("10/m/user",),
}


def scaled_account_limits(scale: float) -> dict[str, str | None]:
    """Return ACCOUNT_LIMITS as allauth reads them, each amount multiplied and at least 1."""

    def scaled(limit: str) -> str:
        amount, _, rest = limit.partition("/")
        return f"{max(1, round(int(amount) * scale))}/{rest}"

    return {action: ",".join(map(scaled, limits)) or None for action, limits in ACCOUNT_LIMITS.items()}

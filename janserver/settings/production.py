"""Production: every secret and URL is given, and a start is refused while something is unsafe."""

from django.core.exceptions import ImproperlyConfigured

from janserver.settings.base import *  # noqa: F403
from janserver.settings.base import (
    ALLOWED_CORS_HOSTS,
    ALLOWED_HOSTS,
    API_KEY_PEPPERS,
    BEHIND_TLS,
    DATABASES,
    DEBUG,
    EGRESS_EXTRA_PUBLIC,
    EGRESS_RESOLVER,
    ENCRYPTION_KEYS,
    JWT_PRIVATE_KEYS,
    JWT_SECRETS,
    OPERATOR_MFA,
    REDIS_URL,
    SECRET_KEY,
    SIGNUP,
    SMTP_HOST,
)

_PLACEHOLDERS = ("changeme", "change-me", "change_me", "your-", "your_", "placeholder", "example", "insecure", "secret")


def _weak(secret: str) -> bool:
    return len(secret) < 32 or any(word in secret.lower() for word in _PLACEHOLDERS) or len(set(secret)) < 10


_CHECKS = [
    (_weak(SECRET_KEY), "SECRET_KEY is short or a placeholder: set 50 random characters."),
    (
        not API_KEY_PEPPERS or any(map(_weak, API_KEY_PEPPERS)),
        "APIKEY_SECRET is short or a placeholder: set 32 random characters or more.",
    ),
    (
        not ENCRYPTION_KEYS or any(map(_weak, ENCRYPTION_KEYS)),
        "MODEL_PROVIDER_SECRET is short or a placeholder: set 32 random characters or more.",
    ),
    (
        not JWT_SECRETS and not JWT_PRIVATE_KEYS,
        "Neither JWT_PRIVATE_KEY nor JWT_SECRET is set: set the key that signs tokens.",
    ),
    (any(map(_weak, JWT_SECRETS)), "JWT_SECRET is short or a placeholder: set 32 random characters or more."),
    (not OPERATOR_MFA, "JAN_OPERATOR_MFA is off: set it to true, so that operators need a second factor."),
    (
        SIGNUP == "open" and not SMTP_HOST,
        "JAN_SIGNUP is open and SMTP_HOST is not set, so nobody could confirm an address: set one of them.",
    ),
    (DEBUG, "DEBUG is on: turn it off."),
    ("*" in ALLOWED_HOSTS, "ALLOWED_HOSTS is *: list the host names clients use."),
    ("*" in ALLOWED_CORS_HOSTS, "ALLOWED_CORS_HOSTS is *: list the origins of your web clients."),
    (not BEHIND_TLS, "JAN_PUBLIC_URL is not https, so cookies would travel in the clear: set the https address."),
    (
        DATABASES["default"]["ENGINE"].endswith("sqlite3"),
        "The database is SQLite, which is for one process: set DATABASE_URL to PostgreSQL.",
    ),
    (not REDIS_URL, "REDIS_URL is not set, so limits would not be shared: set it to a Redis server."),
    (
        bool(EGRESS_EXTRA_PUBLIC or EGRESS_RESOLVER),
        "EGRESS_EXTRA_PUBLIC and EGRESS_RESOLVER are for tests: remove them.",
    ),
]

if _found := [sentence for is_unsafe, sentence in _CHECKS if is_unsafe]:
    raise ImproperlyConfigured("Jan Server does not start with this configuration:\n  - " + "\n  - ".join(_found))

SECURE_SSL_REDIRECT = False  # TLS ends at the proxy; `check --deploy` learns so here
SILENCED_SYSTEM_CHECKS = ["security.W008"]

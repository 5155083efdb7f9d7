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
    ENCRYPTION_KEYS,
    REDIS_URL,
    SECRET_KEY,
    env,
)

_PLACEHOLDERS = ("changeme", "change-me", "change_me", "your-", "your_", "placeholder", "example", "insecure", "secret")


def _weak(secret: str) -> bool:
    return len(secret) < 32 or any(word in secret.lower() for word in _PLACEHOLDERS) or len(set(secret)) < 10


def _problems() -> list[str]:
    found = []
    if _weak(SECRET_KEY):
        found.append("SECRET_KEY is short or a placeholder: set 50 random characters.")
    if any(_weak(pepper) for pepper in API_KEY_PEPPERS) or not API_KEY_PEPPERS:
        found.append("APIKEY_SECRET is short or a placeholder: set 32 random characters or more.")
    if any(_weak(key) for key in ENCRYPTION_KEYS) or not ENCRYPTION_KEYS:
        found.append("MODEL_PROVIDER_SECRET is short or a placeholder: set 32 random characters or more.")
    if DEBUG:
        found.append("DEBUG is on: turn it off.")
    if "*" in ALLOWED_HOSTS:
        found.append("ALLOWED_HOSTS is *: list the host names clients use.")
    if "*" in ALLOWED_CORS_HOSTS:
        found.append("ALLOWED_CORS_HOSTS is *: list the origins of your web clients.")
    if not BEHIND_TLS:
        found.append(
            "JAN_PUBLIC_URL is not https: cookies would travel in the clear. Set the https address clients use."
        )
    if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        found.append("The database is SQLite, which is for one process: set DATABASE_URL to PostgreSQL.")
    if not REDIS_URL:
        found.append("REDIS_URL is not set: limits and live updates would not be shared. Set it to a Redis server.")
    if EGRESS_EXTRA_PUBLIC or env.str("EGRESS_RESOLVER", default=""):
        found.append("EGRESS_EXTRA_PUBLIC and EGRESS_RESOLVER are for tests: remove them.")
    return found


if _found := _problems():
    raise ImproperlyConfigured("Jan Server does not start with this configuration:\n  - " + "\n  - ".join(_found))

SECURE_SSL_REDIRECT = False  # TLS ends at the proxy; `check --deploy` learns so here
SILENCED_SYSTEM_CHECKS = ["security.W008"]

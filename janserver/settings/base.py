"""What every profile shares. Each name read here stands in `.env.example`; a test compares both ways."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from apps.core.logs import logging_config
from janserver.settings.admin import UNFOLD as UNFOLD
from janserver.settings.admin import UNFOLD_ORGANIZATION as UNFOLD_ORGANIZATION
from janserver.settings.limits import CONCURRENT_STREAMS as CONCURRENT_STREAMS
from janserver.settings.limits import CONVERSATION_ROUTES as CONVERSATION_ROUTES
from janserver.settings.limits import ORGANIZATION_ROUTES as ORGANIZATION_ROUTES
from janserver.settings.limits import RATE_LIMITS as RATE_LIMITS
from janserver.settings.limits import SIGN_IN_ROUTES as SIGN_IN_ROUTES
from janserver.settings.limits import scaled_account_limits
from janserver.settings.openapi import SPECTACULAR_SETTINGS as SPECTACULAR_SETTINGS
from janserver.settings.places import *  # noqa: F403
from janserver.settings.places import BASE_DIR, BEHIND_TLS, DATA_DIR, PUBLIC_HOST, PUBLIC_URL, env
from janserver.settings.sign_in import *  # noqa: F403

# --- Secrets: no defaults -----------------------------------------------------------------------

SECRET_KEY = env.str("SECRET_KEY")
# Rings: comma-separated, newest first. The first one writes, all of them read.
API_KEY_PEPPERS = env.list("APIKEY_SECRET")
ENCRYPTION_KEYS = env.list("MODEL_PROVIDER_SECRET")
# What signs access and refresh tokens. JWT_SECRET (HMAC) wins; else RSA keys, PEM after PEM.
JWT_SECRETS = env.list("JWT_SECRET", default=[])
JWT_PRIVATE_KEYS = env.str("JWT_PRIVATE_KEY", default="", multiline=True)
# The embedded profile's keys are in this file instead, where `rotate_keys` changes them under a running server.
JWT_KEY_FILE: Path | None = None

# --- Django -------------------------------------------------------------------------------------

DEBUG = False
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]", PUBLIC_HOST or "localhost"])
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
ROOT_URLCONF = "janserver.urls"
ASGI_APPLICATION = "janserver.asgi.application"
APPEND_SLASH = False
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-us"
USE_I18N = False
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SILENCED_SYSTEM_CHECKS: list[str] = []
# What pages say once. It names addresses, so it stays here and is in no cookie.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"

INSTALLED_APPS = [
    "daphne",
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.headless",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.usersessions",
    "channels",
    "csp",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "hijack",
    "apps.core",
    "apps.audit",
    "apps.ratelimit",
    "apps.accounts",
    "apps.organizations",
    "apps.projects",
    "apps.sso",
    "apps.api_keys",
    "apps.quotas",
    "apps.catalog",
    "apps.idempotency",
    "apps.usage",
    "apps.conversations",
    "apps.completions",
    "apps.shares",
    "apps.gateway",
    "apps.user_settings",
    "apps.prompting",
    "apps.chat",
    "apps.personal_data",
    "apps.health",
    "apps.console",
    "apps.edge",
]
# SAML is there where its extra is installed: `pip install -r requirements-saml.txt`.
if find_spec("onelogin") is not None:
    INSTALLED_APPS += ["allauth.socialaccount.providers.saml"]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "apps.core.http.wall.WallMiddleware",
    "apps.console.middleware.AdminPolicyMiddleware",
    "apps.accounts.caching.PrivatePagesMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "allauth.usersessions.middleware.UserSessionsMiddleware",
    "hijack.middleware.HijackUserMiddleware",
    "apps.console.acting_middleware.ActingMiddleware",
    "apps.accounts.middleware.AccountPolicyMiddleware",
]

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# --- Database -----------------------------------------------------------------------------------

# DATABASE_URL wins over the two older names. None of them: SQLite in the data folder.
DATABASE_URL = (
    env.str("DATABASE_URL", default="")
    or env.str("DB_POSTGRESQL_WRITE_DSN", default="")
    or env.str("DB_DSN", default="")
    or f"sqlite:///{DATA_DIR / 'jan.sqlite3'}"
)
# Connections a process may hold at most. Open streams hold none.
DATABASE_POOL_SIZE = env.int("DATABASE_POOL_SIZE", default=10)
_database: dict[str, Any] = dict(env.db_url_config(DATABASE_URL))
# Django's own engine with what apps.core.before_commit and apps.core.wall add.
_database["ENGINE"] = _database["ENGINE"].replace("django.db.backends.", "apps.core.backends.")
if _database["ENGINE"] == "apps.core.backends.sqlite3":
    _database["OPTIONS"] = {
        # A write lock taken at BEGIN waits its turn; one taken later fails at once with "database is locked".
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-20000;",
    }
else:
    _database["CONN_MAX_AGE"] = 0  # the pool keeps connections; under ASGI a thread would keep one each
    _database["OPTIONS"] = {
        **_database.get("OPTIONS", {}),
        "pool": {"min_size": 1, "max_size": DATABASE_POOL_SIZE, "timeout": 5},
    }
DATABASES = {"default": _database}

# --- Redis: broker, channel layer, cache and shared limits. None: all of it in this process ------

REDIS_URL = env.str("REDIS_URL", default="")
if REDIS_URL:
    CACHES: dict[str, Any] = {
        "default": {
            "BACKEND": "apps.ratelimit.cache.SharedCache",
            "LOCATION": REDIS_URL,
            "OPTIONS": {"socket_connect_timeout": 0.5, "socket_timeout": 0.5},
        }
    }
    # The layer waits for messages as long as it takes; a timeout on reading would end every quiet WebSocket.
    _layer = {"hosts": [{"address": REDIS_URL, "socket_timeout": None}]}
    CHANNEL_LAYERS: dict[str, Any] = {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": _layer}}
else:
    # Django would drop a third of it beyond 300 entries, counted tries and used codes with it.
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
            "OPTIONS": {"MAX_ENTRIES": 100_000},
        }
    }
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

CELERY_BROKER_URL = REDIS_URL or "memory://localhost"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "default"
# Every task has its place here; a test looks for those that have none.
CELERY_TASK_ROUTES = {
    "apps.accounts.tasks.*": {"queue": "default"},
    "apps.catalog.tasks.*": {"queue": "default"},
    "apps.completions.tasks.*": {"queue": "default"},
    "apps.conversations.tasks.*": {"queue": "default"},
    "apps.idempotency.tasks.*": {"queue": "default"},
    "apps.organizations.tasks.*": {"queue": "default"},
    "apps.personal_data.tasks.*": {"queue": "default"},
    "apps.projects.tasks.*": {"queue": "default"},
}
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {} if REDIS_URL else {"polling_interval": 0.1}
CELERY_BEAT_SCHEDULE = {
    "tidy-accounts": {"task": "apps.projects.tasks.tidy_accounts", "schedule": 600.0},
    "purge-projects": {"task": "apps.projects.tasks.purge_deleted_projects", "schedule": 3600.0},
    "purge-chat-projects": {"task": "apps.conversations.tasks.purge_chat_projects", "schedule": 3600.0},
    "expire-conversations": {"task": "apps.conversations.tasks.expire", "schedule": 3600.0},
    "expire-completions": {"task": "apps.completions.tasks.expire", "schedule": 3600.0},
    "expire-invites": {"task": "apps.projects.tasks.expire_invites", "schedule": 300.0},
    "purge-organizations": {"task": "apps.organizations.tasks.purge", "schedule": 3600.0},
    "tidy-personal-data": {"task": "apps.personal_data.tasks.tidy", "schedule": 600.0},
    "purge-idempotency-records": {"task": "apps.idempotency.tasks.purge_records", "schedule": 600.0},
    "sync-providers": {"task": "apps.catalog.tasks.sync_providers", "schedule": 3600.0},
}

# --- Files --------------------------------------------------------------------------------------

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
MEDIA_ROOT = DATA_DIR / "media"
STORAGES: dict[str, Any] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

# --- The edge -----------------------------------------------------------------------------------

# Reverse proxies in front that append to X-Forwarded-For. 0: the header is not believed.
TRUSTED_PROXY_COUNT = env.int("TRUSTED_PROXY_COUNT", default=0)
# The edge tells Django the client's address, so nothing behind it reads the header again.
ALLAUTH_TRUSTED_PROXY_COUNT = 0
# Browser origins that may call the API: exact origins, or `*example.com` for example.com and its subdomains over https.
ALLOWED_CORS_HOSTS = env.list("ALLOWED_CORS_HOSTS", default=["http://localhost:8080"])
PUBLIC_MODEL_LIST = env.bool("PUBLIC_MODEL_LIST", default=False)
MAX_JSON_BYTES = env.int("JAN_MAX_JSON_BYTES", default=10 * 1024 * 1024)
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_JSON_BYTES
# Seconds running streams get at SIGTERM before they end with an error event.
DRAIN_SECONDS = env.float("JAN_DRAIN_SECONDS", default=25.0)
# Hours an answer is kept under its Idempotency-Key, the bytes it may have, and the seconds after which a request
# counts as interrupted whose process has stopped saying that it works on it.
IDEMPOTENCY_HOURS = env.float("JAN_IDEMPOTENCY_HOURS", default=24.0)
IDEMPOTENCY_MAX_BYTES = env.int("JAN_IDEMPOTENCY_MAX_BYTES", default=10 * 1024 * 1024)
IDEMPOTENCY_LEASE_SECONDS = env.float("JAN_IDEMPOTENCY_LEASE_SECONDS", default=60.0)
# One line per request in the log.
ACCESS_LOG = env.bool("JAN_ACCESS_LOG", default=True) and env.str("LOG_LEVEL", default="info").lower() in (
    "debug",
    "info",
)

# --- Limits -------------------------------------------------------------------------------------

# Multiplies every limit, concurrent streams too. For load tests and generous installations.
RATELIMIT_SCALE = env.float("JAN_RATELIMIT_SCALE", default=1.0)
ACCOUNT_RATE_LIMITS = scaled_account_limits(RATELIMIT_SCALE)
# Days a deleted organization is kept before it is purged.
ORGANIZATION_PURGE_DAYS = env.float("JAN_ORGANIZATION_PURGE_DAYS", default=30.0)
# Days a deleted project is kept before it is purged.
PROJECT_PURGE_DAYS = env.float("JAN_PROJECT_PURGE_DAYS", default=30.0)
# Hours the file with somebody's data is kept after it was made.
EXPORT_HOURS = env.float("JAN_EXPORT_HOURS", default=24.0)
# How long a turn holds its conversation after the process that runs it was heard of last.
TURN_LEASE_SECONDS = env.float("JAN_TURN_LEASE_SECONDS", default=30.0)
# What a model is taken to hold, in tokens, that does not say so itself.
DEFAULT_CONTEXT_LENGTH = env.int("JAN_DEFAULT_CONTEXT_LENGTH", default=8192)
# Let the model of a conversation write its title, and sum up what no longer fits. Both are calls that count.
MODEL_TITLES = env.bool("JAN_MODEL_TITLES", default=False)
MODEL_SUMMARIES = env.bool("JAN_MODEL_SUMMARIES", default=False)
# Personal API keys that may work at once, per user and over all organizations.
MAX_KEYS_PER_USER = env.int("JAN_MAX_KEYS_PER_USER", default=20)
# Keys that may work at once: a project's and its service accounts', an organization's own (admin keys and keys of
# kind organization), and ephemeral ones in a project.
MAX_KEYS_PER_PROJECT = env.int("JAN_MAX_KEYS_PER_PROJECT", default=500)
MAX_KEYS_PER_ORGANIZATION = env.int("JAN_MAX_KEYS_PER_ORGANIZATION", default=200)
MAX_EPHEMERAL_KEYS = env.int("JAN_MAX_EPHEMERAL_KEYS", default=10_000)

# --- Providers ----------------------------------------------------------------------------------

INFERENCE_MODEL_URL = env.str("JAN_INFERENCE_MODEL_URL", default="")
INFERENCE_MODEL_API_KEY = env.str("JAN_INFERENCE_MODEL_API_KEY", default="")
# Look for Ollama, vLLM, LM Studio, Jan and llama.cpp on this machine at start.
DISCOVER_PROVIDERS = env.bool("JAN_DISCOVER_PROVIDERS", default=True)
# Seconds. Connect: to an open connection. Headers: from the request sent to the answer's first byte of a stream.
# Idle: between two bytes of a stream; long answers are fine, silent sockets are not. Total: a whole answer.
UPSTREAM_CONNECT_TIMEOUT = env.float("JAN_UPSTREAM_CONNECT_TIMEOUT", default=5.0)
UPSTREAM_HEADERS_TIMEOUT = env.float("JAN_UPSTREAM_HEADERS_TIMEOUT", default=120.0)
UPSTREAM_IDLE_TIMEOUT = env.float("JAN_UPSTREAM_IDLE_TIMEOUT", default=60.0)
UPSTREAM_TOTAL_TIMEOUT = env.float("JAN_UPSTREAM_TOTAL_TIMEOUT", default=900.0)
# What happens upstream when a client leaves: "drain" reads on to the usage event (bounded below), "cancel" hangs up.
CLIENT_GONE_POLICY = env.str("JAN_CLIENT_GONE_POLICY", default="drain")
CLIENT_GONE_DRAIN_SECONDS = env.float("JAN_CLIENT_GONE_DRAIN_SECONDS", default=30.0)
CLIENT_GONE_MAX_DRAINS = env.int("JAN_CLIENT_GONE_MAX_DRAINS", default=100)

# --- Usage --------------------------------------------------------------------------------------

JOURNAL_DIR = DATA_DIR / "journal"
# Seconds between two fdatasync: what a power cut may lose. A killed process loses nothing.
JOURNAL_SYNC_SECONDS = env.float("JAN_JOURNAL_SYNC_SECONDS", default=0.05)

# --- Guarded client (tests and unusual networks) ------------------------------------------------

EGRESS_RESOLVER: dict[str, str] = env.dict("EGRESS_RESOLVER", default={})
EGRESS_EXTRA_PUBLIC = env.list("EGRESS_EXTRA_PUBLIC", default=[])

# --- Mail ---------------------------------------------------------------------------------------

# Without SMTP_HOST mails are written to files in the data folder.
SMTP_HOST = env.str("SMTP_HOST", default="")
MAIL_DIR = DATA_DIR / "mail"
EMAIL_BACKEND = f"apps.accounts.mail.{'QueueBackend' if SMTP_HOST else 'FileBackend'}"
EMAIL_HOST = SMTP_HOST
EMAIL_PORT = env.int("SMTP_PORT", default=587)
EMAIL_HOST_USER = env.str("SMTP_USERNAME", default="")
EMAIL_HOST_PASSWORD = env.str("SMTP_PASSWORD", default="")
# "starttls", "tls" or "none".
SMTP_SECURITY = env.str("SMTP_SECURITY", default="starttls")
EMAIL_USE_TLS = SMTP_SECURITY == "starttls"
EMAIL_USE_SSL = SMTP_SECURITY == "tls"
EMAIL_TIMEOUT = 15
DEFAULT_FROM_EMAIL = env.str("SMTP_SENDER_EMAIL", default="") or f"Jan Server <noreply@{PUBLIC_HOST}>"
# The operator's own page for people who are invited: the secret is added as `token`, the invite's id as `invite_id`.
# Without it the link leads to a page of this server.
INVITE_REDIRECT_URL = env.str("INVITE_REDIRECT_URL", default="")

# --- Logs ---------------------------------------------------------------------------------------

LOG_LEVEL = env.str("LOG_LEVEL", default="info")
LOG_FORMAT = env.str("LOG_FORMAT", default="text")
LOGGING = logging_config(level=LOG_LEVEL, log_format=LOG_FORMAT)

# --- Headers ------------------------------------------------------------------------------------

X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXY_COUNT else None
SECURE_HSTS_SECONDS = 31_536_000 if BEHIND_TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = BEHIND_TLS
SECURE_HSTS_PRELOAD = BEHIND_TLS
SECURE_SSL_REDIRECT = False
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
}

# --- API ----------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["apps.api_keys.authentication.PrincipalAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["apps.organizations.permissions.HasScope"],
    "DEFAULT_PARSER_CLASSES": ["apps.core.http.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "apps.core.http.errors.exception_handler",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "DATETIME_FORMAT": "iso-8601",
}

# --- Version ------------------------------------------------------------------------------------

VERSION = "0.1.0"

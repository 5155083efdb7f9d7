"""The suite's settings: fixed secrets, everything else as in the embedded profile."""

import os
import tempfile

os.environ.setdefault("JAN_DATA_DIR", tempfile.mkdtemp(prefix="jan-test-"))
os.environ.setdefault("SECRET_KEY", "only for tests: not-a-secret-0123456789abcdefghij")
os.environ.setdefault("APIKEY_SECRET", "only for tests: pepper-0123456789abcdefghij")
os.environ.setdefault("MODEL_PROVIDER_SECRET", "only for tests: ring-0123456789abcdefghij")

from pathlib import Path

from janserver.settings.generated import provide_secrets

provide_secrets(Path(os.environ["JAN_DATA_DIR"]))
(Path(os.environ["JAN_DATA_DIR"]) / "static").mkdir(exist_ok=True)  # WhiteNoise warns when it is missing

from janserver.settings.base import *  # noqa: F403
from janserver.settings.base import DATA_DIR, DATABASES

JWT_KEY_FILE = DATA_DIR / "signing-keys.json"

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

# The suite opens few connections and drops databases; a pool would hold on to them.
DATABASES["default"].get("OPTIONS", {}).pop("pool", None)

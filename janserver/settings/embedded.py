"""The default profile: `make up` on one machine. Any URL given (DATABASE_URL, REDIS_URL) is used."""

import os
from pathlib import Path

from janserver.settings.generated import provide_secrets

_ROOT = Path(__file__).resolve().parent.parent.parent
provide_secrets(Path(os.environ.get("JAN_DATA_DIR") or _ROOT / "data"))

from janserver.settings.base import *  # noqa: F403
from janserver.settings.base import DATA_DIR, JWT_PRIVATE_KEYS, JWT_SECRETS

JWT_KEY_FILE = None if JWT_SECRETS or JWT_PRIVATE_KEYS else DATA_DIR / "signing-keys.json"

"""Where things are: on this machine, and from outside."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import environ

env = environ.Env()
BASE_DIR = Path(__file__).resolve().parent.parent.parent
# Journals, the embedded database, generated secrets, collected static files.
DATA_DIR = Path(env.str("JAN_DATA_DIR", default="") or BASE_DIR / "data").resolve()
HTTP_HOST = env.str("HTTP_HOST", default="127.0.0.1")
HTTP_PORT = env.int("HTTP_PORT", default=8000)
# Where clients reach the server from outside: links in mails, token issuer, cookies (https makes them Secure).
PUBLIC_URL = env.str("JAN_PUBLIC_URL", default=f"http://localhost:{HTTP_PORT}").rstrip("/")
PUBLIC_HOST = urlsplit(PUBLIC_URL).hostname
BEHIND_TLS = urlsplit(PUBLIC_URL).scheme == "https"

"""Which origins of browsers are ours: the list of ALLOWED_CORS_HOSTS."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlsplit

from django.conf import settings


@lru_cache(maxsize=1024)
def is_allowed(origin: str) -> bool:
    """
    Say whether ALLOWED_CORS_HOSTS lists this origin.

    `*example.com` matches example.com and names under it, over https only: never `evilexample.com`.
    """
    for allowed in settings.ALLOWED_CORS_HOSTS:
        if not allowed.startswith("*"):
            if origin == allowed.rstrip("/"):
                return True
            continue
        parts, suffix = urlsplit(origin), allowed.lstrip("*.")
        host = parts.hostname or ""
        if parts.scheme == "https" and suffix and (host == suffix or host.endswith("." + suffix)):
            return True
    return False

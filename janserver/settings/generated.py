"""
Secrets of the embedded profile: made once, kept in the data folder, never printed.

A secret given in the environment wins and is not stored.
"""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

_FILE = "secrets.json"


_MAKERS = {
    "SECRET_KEY": lambda: secrets.token_urlsafe(48),
    "APIKEY_SECRET": lambda: secrets.token_urlsafe(48),
    "MODEL_PROVIDER_SECRET": lambda: secrets.token_urlsafe(48),
}


def provide_secrets(data_dir: Path) -> None:
    """
    Put every secret the environment lacks into it, from `data_dir/secrets.json`, making what is missing.

    Two processes may start at once on one folder: the file is made whole under another name and
    linked into place, so both read the secrets of whichever came first.
    """
    path = data_dir / _FILE
    stored = _read(path)
    missing = [name for name in _MAKERS if name not in stored]
    if missing:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        _store(path, {**stored, **{name: _MAKERS[name]() for name in missing}}, replace=bool(stored))
        stored = _read(path)
    for name in _MAKERS:
        os.environ.setdefault(name, stored[name])


def _read(path: Path) -> dict[str, str]:
    try:
        return dict(json.loads(path.read_text()))
    except FileNotFoundError:
        return {}


def _store(path: Path, values: dict[str, str], *, replace: bool) -> None:
    draft = path.with_name(f".{_FILE}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump(values, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    try:
        if replace:
            os.replace(draft, path)
        else:
            os.link(draft, path)
    except FileExistsError:
        pass  # another process was first; its secrets count
    finally:
        draft.unlink(missing_ok=True)

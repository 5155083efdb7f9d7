"""The files of exports: written to disk piece by piece, kept in the default storage, at no address."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Callable

import msgspec
from django.core.files.base import File
from django.core.files.storage import default_storage

from apps.accounts.models import User
from apps.core.ids import random_base62
from apps.personal_data.contents import SECTIONS

FOLDER = "exports"
# Lines between two signs of life.
_LINES = 500


def write_archive(user: User, name: str, still_there: Callable[[], None]) -> tuple[str, int]:
    """
    Write all that a person owns into a zip and return its name in the storage and its size.

    `still_there` is called again and again while it is written, and may raise to end it.
    """
    with tempfile.TemporaryFile() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for section in SECTIONS:
                still_there()
                _write_section(archive, section, user, still_there)
        size = file.tell()
        file.seek(0)
        # Nobody guesses it, even where a bucket is open by mistake.
        return default_storage.save(f"{FOLDER}/{name}-{random_base62(24)}.zip", File(file)), size


def _write_section(archive: zipfile.ZipFile, section: str, user: User, still_there: Callable[[], None]) -> None:
    with archive.open(f"{section}.jsonl", "w", force_zip64=True) as lines:
        for number, document in enumerate(SECTIONS[section](user), start=1):
            lines.write(msgspec.json.encode(document) + b"\n")
            if number % _LINES == 0:
                still_there()


def open_archive(file: str) -> File[bytes]:
    """Open a file for reading. Raises FileNotFoundError."""
    found: File[bytes] = default_storage.open(file)
    return found


def delete_archive(file: str) -> None:
    """Delete a file, if there is one."""
    if file:
        default_storage.delete(file)

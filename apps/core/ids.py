"""
Public ids: `<type>_` and 24 random base62 characters (142 bits).

They are in clients, logs and URLs for ever; integer keys never leave the server.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from django.db import models

if TYPE_CHECKING:
    _CharField = models.CharField[str, str]
else:
    _CharField = models.CharField

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ID_LENGTH = 24


def random_base62(length: int) -> str:
    """Return `length` base62 characters, each drawn evenly from the system's randomness."""
    # 2**(8 * length) is so far above 62**length that the remainder is even to 2**-49 for 24 characters.
    number = int.from_bytes(secrets.token_bytes(length), "big")
    return to_base62(number % 62**length, length)


def to_base62(number: int, length: int) -> str:
    """Write `number` with `length` base62 digits, zeros in front."""
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(BASE62[digit])
    return "".join(reversed(digits))


def new_id(prefix: str) -> str:
    """Return a fresh public id such as `proj_4Xn0…`."""
    return f"{prefix}_{random_base62(ID_LENGTH)}"


class PublicIdField(_CharField):
    """A row's name to the outside: unique, made once, never changed."""

    def __init__(self, prefix: str, **kwargs: Any) -> None:
        self.prefix = prefix
        kwargs.update(max_length=len(prefix) + 1 + ID_LENGTH, unique=True, editable=False)
        kwargs["default"] = self.make
        super().__init__(**kwargs)

    def make(self) -> str:
        return new_id(self.prefix)

    def deconstruct(self) -> tuple[str, str, list[Any], dict[str, Any]]:
        name, path, args, kwargs = super().deconstruct()
        for made_here in ("max_length", "unique", "editable", "default"):
            kwargs.pop(made_here, None)
        return name, path, [self.prefix, *args], kwargs

"""A month of believable usage for the demo, written as the drainer writes: journal lines through the ledger."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import msgspec
from django.db import transaction

from apps.organizations.models import Organization
from apps.usage import ledger
from apps.usage.journal import Accepted, EndLine, Tokens
from apps.usage.models import State

DAYS = 30
_HOUR = 3600
_BATCH = 500
_MODELS = ("jan-v1-4b", "jan-v1-4b", "jan-v1-8b")
# How requests end, most of them well.
_ENDS = [(State.COMPLETED, 200, "")] * 47 + [
    (State.CLIENT_GONE, 499, ""),
    (State.UPSTREAM_ERROR, 502, "upstream_error"),
    (State.CANCELLED, 200, "cancelled"),
]
_encode = msgspec.json.Encoder().encode


class Caller(NamedTuple):
    """Who made a call, where, and with which key if it was one."""

    project_id: int
    user_id: str
    api_key_id: int | None = None


def write_month(organization: Organization, callers: Sequence[Caller]) -> None:
    """
    Write the last thirty days up to the hour that is over.

    An hour always holds the same requests under the same ids, so writing it again adds nothing.
    """
    hour = int(time.time()) // _HOUR
    lines = (line for at in range(hour - DAYS * 24, hour) for line in _hour(organization, callers, at))
    while batch := list(islice(lines, _BATCH)):
        moved = [read for line in batch if (read := ledger.read(line)) is not None]
        with transaction.atomic():
            ledger.write(moved)


def _hour(organization: Organization, callers: Sequence[Caller], at: int) -> Iterator[bytes]:
    dice = random.Random(f"{organization.public_id}:{at}")  # noqa: S311  the same hour is to look the same again
    is_working_time = at // 24 % 7 not in (2, 3) and 8 <= at % 24 < 18  # 1970 began on a Thursday
    for number in range(dice.randint(1, 4) if is_working_time else dice.randint(0, 1)):
        name = hashlib.sha256(f"{organization.public_id}:{at}:{number}".encode()).hexdigest()[:24]
        caller = dice.choice(callers)
        is_embedding = dice.random() < 0.15
        state, status, code = dice.choice(_ENDS)
        accepted_at = at * _HOUR + dice.random() * (_HOUR - 60)
        took = dice.randint(150, 20_000)
        prompt = dice.randint(20, 3000)
        yield _encode(
            EndLine(
                record=Accepted(
                    usage_id=f"usage_{name}",
                    request_id=f"req_{name}",
                    organization_id=organization.pk,
                    project_id=caller.project_id,
                    user_id=caller.user_id,
                    api_key_id=caller.api_key_id,
                    provider_id=None,
                    endpoint="embeddings" if is_embedding else "chat/completions",
                    model="jan-embed" if is_embedding else dice.choice(_MODELS),
                    is_stream=not is_embedding and dice.random() < 0.7,
                    accepted_at=accepted_at,
                ),
                state=state,
                status=status,
                error_code=code,
                tokens=Tokens(
                    prompt=prompt,
                    completion=0 if is_embedding else dice.randint(5, 800),
                    cached=dice.randint(0, prompt // 2),
                ),
                first_token_ms=dice.randint(80, 900),
                duration_ms=took,
                ended_at=accepted_at + took / 1000,
            )
        )

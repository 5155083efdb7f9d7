"""The ring of signing keys."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jwt
import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.core.management import call_command

from apps.accounts.models import User
from apps.accounts.signing_keys import key_ring, new_pem, rotate
from apps.accounts.tokens import TokenUse, published_keys, sign, verify_access_token
from apps.core.errors import Unauthenticated

DAY = 24 * 3600


@pytest.fixture
def key_file(settings: Any, tmp_path: Path) -> Path:
    settings.JWT_SECRETS, settings.JWT_KEY_FILE = [], tmp_path / "keys.json"
    return tmp_path / "keys.json"


def entries(path: Path) -> list[dict[str, Any]]:
    return list(json.loads(path.read_text()))


def test_the_first_key_is_made_once_and_for_its_owner_only(key_file: Path):
    with ThreadPoolExecutor(8) as pool:
        rings = list(pool.map(lambda _: key_ring(), range(8)))
    assert len({ring.newest.kid for ring in rings}) == 1
    assert len(entries(key_file)) == 1
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600


def test_processes_that_start_at_once_agree_on_the_first_key(tmp_path: Path):
    script = (
        "import django; django.setup(); from pathlib import Path; from django.conf import settings;"
        f"settings.JWT_SECRETS = []; settings.JWT_KEY_FILE = Path({str(tmp_path / 'keys.json')!r});"
        "from apps.accounts.signing_keys import key_ring; print(key_ring().newest.kid)"
    )
    running = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    kids = {process.communicate(timeout=60)[0].strip() for process in running}
    assert len(kids) == 1
    assert kids != {""}


def test_rotation_signs_with_the_new_key_and_verifies_with_both(key_file: Path):
    first = key_ring().newest.kid
    assert rotate() is None
    assert [key.kid for key in key_ring().keys][1:] == [first]
    assert key_ring().newest.kid != first
    assert [key["kid"] for key in published_keys()["keys"]] == [key.kid for key in key_ring().keys]
    assert all(set(key) == {"kty", "kid", "use", "alg", "n", "e", "key_ops"} for key in published_keys()["keys"])


def test_a_key_is_forgotten_when_no_token_of_it_can_be_good(key_file: Path, settings: Any):
    settings.HEADLESS_JWT_REFRESH_TOKEN_EXPIRES_IN = 30 * DAY
    key_ring()
    rotate()
    newest, retired = entries(key_file)
    assert (newest["retired_at"], retired["retired_at"]) == (None, pytest.approx(time.time(), abs=60))
    retired["retired_at"] = time.time() - 31 * DAY
    key_file.write_text(json.dumps([newest, retired]))
    rotate()
    assert [entry["pem"] for entry in entries(key_file)][1:] == [newest["pem"]]


@pytest.mark.parametrize("kind", ["secrets", "pems"])
def test_a_ring_in_the_environment_is_printed_anew(settings: Any, kind: str, capsys: pytest.CaptureFixture[str]):
    settings.JWT_KEY_FILE = None
    if kind == "secrets":
        settings.JWT_SECRETS = ["o" * 40]
    else:
        settings.JWT_SECRETS, settings.JWT_PRIVATE_KEYS = [], new_pem()
    [old] = key_ring().keys
    call_command("rotate_keys")
    printed = capsys.readouterr().out.strip()
    if kind == "secrets":
        settings.JWT_SECRETS = printed.split(",")
    else:
        settings.JWT_PRIVATE_KEYS = printed
    ring = key_ring().keys
    assert [key.kid for key in ring][1:] == [old.kid]
    assert ring[0].kid != old.kid


@pytest.mark.django_db
def test_a_token_dies_with_its_key(key_file: Path):
    user = User.objects.create_user("ada@example.com", "analytical-engine-1")
    session = SessionStore()
    session["_auth_user_id"], session["_auth_user_hash"] = user.pk, user.get_session_auth_hash()
    session["_auth_user_backend"] = "apps.accounts.backends.ProvenAddressBackend"
    session.save()
    token, jti = sign(TokenUse.ACCESS, user, session)
    rotate()
    verified = verify_access_token(token)
    assert (verified.user, verified.jti) == (user, jti)
    key_file.unlink()
    assert jwt.get_unverified_header(token)["kid"] not in {key.kid for key in key_ring().keys}
    with pytest.raises(Unauthenticated) as refused:
        verify_access_token(token)
    assert refused.value.code == "invalid_token"

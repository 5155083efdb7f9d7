"""No forged token opens anything: the whole corpus against a running server, as access and as refresh token."""

from __future__ import annotations

import json
from pathlib import Path

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.jwt_corpus import Genuine, Signer, forgeries, sign, valid_token
from tests.provider import Provider
from tests.server import Server, start_server

pytestmark = [pytest.mark.e2e]
SECRET = "correct-horse-battery-staple-1234"


@pytest.fixture(scope="module", params=["RS256", "HS256"])
def server(request: pytest.FixtureRequest, provider: Provider):
    extra = {"JWT_SECRET": SECRET} if request.param == "HS256" else {}
    with start_server(provider, profile="sqlite", **extra) as server:
        yield server


def genuine(server: Server, token: str, wrong_type: str) -> Genuine:
    """Take a real token apart; the server's own key, so that forgeries can be signed right."""
    header = jwt.get_unverified_header(token)
    claims = jwt.decode(token, options={"verify_signature": False})
    if header["alg"] == "HS256":
        signer = Signer("HS256", SECRET, header["kid"])
    else:
        [entry] = json.loads((Path(server.env["JAN_DATA_DIR"]) / "signing-keys.json").read_text())
        signer = Signer("RS256", load_pem_private_key(entry["pem"].encode(), None), header["kid"])
    types = (
        wrong_type,
        "JWT",
        "jwt",
        "",
        5,
        None,
        [header["typ"]],
        header["typ"].upper(),
        f"application/{header['typ']}",
    )
    return Genuine(
        header, claims, signer, wrong_types=types, required=("iss", "sub", "exp", "iat", "aud", "sid", "jti")
    )


@pytest.mark.parametrize("use", ["access", "refresh"])
def test_none_of_the_corpus_is_accepted(server: Server, use: str):
    with httpx2.Client(base_url=server.base_url, timeout=30) as client:
        guest = client.post("/v1/auth/guest-login").json()

        def present(token: str) -> httpx2.Response:
            if use == "access":
                return client.get("/v1/auth/me", headers={"authorization": f"Bearer {token}"})
            return client.post("/v1/auth/refresh-token", json={"refresh_token": token})

        parts = genuine(server, guest[f"{use}_token"], "refresh+jwt" if use == "access" else "at+jwt")
        if use == "access":
            assert present(valid_token(parts)).json()["id"] == guest["user_id"]
            moved = {**parts.claims, "exp": parts.claims["exp"] + 60}
            assert present(sign(parts.header, moved, parts.signer)).status_code == 200
        forms = dict(forgeries(parts))
        assert len(forms) >= 60
        answers = {name: present(token) for name, token in forms.items()}
        accepted = {name: answer.text for name, answer in answers.items() if answer.status_code not in (400, 401, 431)}
        assert accepted == {}
        refused = [name for name, answer in answers.items() if answer.status_code != 401]
        assert len(refused) <= 3, refused  # too large for a header, or empty
        if use == "refresh":  # and no forgery ended the session
            assert present(valid_token(parts)).status_code == 200

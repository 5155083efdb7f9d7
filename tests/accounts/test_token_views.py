"""Tokens given up or exchanged as OAuth's clients do it, with forms, and as the API's document says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import RefreshTokenFamily

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
REFRESH_PATHS = ("/v1/auth/refresh-token", "/v1/auth/refresh")
DOCUMENT = Path(__file__).parents[2] / "docs" / "openapi.json"


@pytest.fixture
def tokens(client: Client, db: None) -> dict[str, str]:
    return client.post("/v1/auth/guest-login").json()


def newest() -> list[str]:
    return list(RefreshTokenFamily.objects.values_list("newest_jti", flat=True))


@pytest.mark.parametrize("kind", [JSON, FORM])
def test_parameters_that_revoking_does_not_know_are_ignored(client: Client, tokens: dict[str, str], kind: str):
    fields = f"token={tokens['refresh_token']}&client_id=a&client_secret=b&more=1"
    more = {"client_id": "a", "client_secret": "b", "more": [1]}
    body = fields if kind == FORM else json.dumps({"token": tokens["refresh_token"], **more})
    answer = client.post("/v1/auth/revoke", body, content_type=kind)
    assert (answer.status_code, answer.json()) == (200, {"status": "revoked"})
    assert newest() == []


@pytest.mark.parametrize(
    ("body", "kind"),
    [("client_id=a&client_secret=b", FORM), ("token=", FORM), ('{"client_id": "a"}', JSON), ("{}", JSON)],
)
def test_revoking_needs_a_token(client: Client, tokens: dict[str, str], body: str, kind: str):
    before = newest()
    answer = client.post("/v1/auth/revoke", body, content_type=kind)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "missing_required_parameter", "token")
    assert newest() == before


@pytest.mark.parametrize("body", ["[]", '"x"', "null"])
def test_a_revocation_is_an_object(client: Client, tokens: dict[str, str], body: str):
    before = newest()
    answer = client.post("/v1/auth/revoke", body, content_type=JSON)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_value")
    assert newest() == before


@pytest.mark.parametrize("path", REFRESH_PATHS)
@pytest.mark.parametrize("kind", [JSON, FORM])
@pytest.mark.parametrize("extra", [{}, {"grant_type": "refresh_token", "client_id": "a"}])
def test_a_refresh_token_comes_as_a_form_too(
    client: Client, tokens: dict[str, str], path: str, kind: str, extra: dict[str, str]
):
    fields = {**extra, "refresh_token": tokens["refresh_token"]}
    form = "&".join(f"{name}={value}" for name, value in fields.items())
    answer = client.post(path, form if kind == FORM else json.dumps(fields), content_type=kind)
    assert answer.status_code == 200, answer.json()
    assert set(answer.json()) == {"access_token", "refresh_token", "token_type", "expires_in"}
    assert answer.json()["refresh_token"] != tokens["refresh_token"]
    assert answer["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ("grant_type=password&refresh_token={token}", "invalid_value", "grant_type"),
        ("grant_type=refresh_token", "missing_required_parameter", "refresh_token"),
        ("refresh_token=", "missing_required_parameter", "refresh_token"),
        ("refresh_token={token}&odd=1", "unknown_parameter", "odd"),
        ("refresh_token=%00", "invalid_value", "refresh_token"),
    ],
)
def test_bad_refresh_forms_are_refused(client: Client, tokens: dict[str, str], body: str, code: str, param: str):
    before = newest()
    answer = client.post(REFRESH_PATHS[0], body.replace("{token}", tokens["refresh_token"]), content_type=FORM)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, code, param)
    assert newest() == before


@pytest.mark.parametrize(
    ("path", "method", "security"),
    [
        *((path, "post", [{}, {"bearer": []}]) for path in REFRESH_PATHS),
        *((path, "get", [{"bearer": []}]) for path in REFRESH_PATHS),
        ("/v1/auth/logout", "post", [{"bearer": []}]),
        ("/v1/auth/logout", "get", [{"bearer": []}]),
    ],
)
def test_the_document_says_where_the_token_goes(path: str, method: str, security: list[dict[str, Any]]):
    """As a security scheme: a header parameter called Authorization is ignored by what reads the document."""
    operation = json.loads(DOCUMENT.read_text())["paths"][path][method]
    assert operation["security"] == security
    assert "parameters" not in operation

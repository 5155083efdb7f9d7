"""Tokens given up or exchanged as OAuth's clients do it, with forms, and as the API's document says."""

from __future__ import annotations

import json

import pytest
from django.test import Client

from apps.accounts.models import RefreshTokenFamily

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


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

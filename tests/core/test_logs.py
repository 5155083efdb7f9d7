import json
import logging
import logging.config

import pytest
from django.urls import get_resolver, reverse

from apps.core.logs import AccessLog, logging_config, redact, request_id

SECRETS = [
    "sk_0123456789abcdefABCDEF0123456789abcdef",
    "jan_pk_0123456789abcdefABCDEF0123456789abcdef",
    "sk-proj-0123456789abcdef",
    "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ1c2VyIn0.c2lnbmF0dXJl",
    "Bearer abcdefgh12345678",
    "postgres://jan:hunter2hunter2@db/jan",
    "eyJhbGciOiJSUzI1NiJ9...cut",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_secrets_are_known_by_their_shape(secret):
    tail = secret.rsplit(" ", 1)[-1].rsplit(":", 1)[-1].split("@")[0]
    assert tail not in redact(f"before {secret} after")


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_a_line_holds_no_secret_and_is_one_line(capsys, log_format):
    before = logging.getLogger().handlers[:]
    logging.config.dictConfig(logging_config(level="info", log_format=log_format))
    token = request_id.set("req_1")
    try:
        extra = logging.getLogger("jan.test")
        extra.warning("two\nlines\x1b[31m %s", SECRETS[0])
    finally:
        request_id.reset(token)
        logging.getLogger().handlers[:] = before
    written = capsys.readouterr().err
    assert written.count("\n") == 1
    assert "\x1b" not in written
    assert SECRETS[0] not in written
    assert "req_1" in written


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_an_access_line_masks_its_path(capsys, log_format):
    AccessLog(log_format).write(f"/v1/x\n{SECRETS[0]}", {"request_id": "req_1", "status": 200})
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert SECRETS[0] not in line
    if log_format == "json":
        assert json.loads(line)["path"] == "/v1/x?[redacted]"


# Every route whose path is enough to act for somebody: what it takes, and what may be read of it.
LINKS = {
    "account_confirm_email": ({"key": "MTc:1vXyZ0:c2lnbmF0dXJl-_9"}, "/accounts/confirm-email/[redacted]"),
    "account_reset_password_from_key": (
        {"uidb36": "user_0Ab", "key": "cz1k2m-3f9a6e0b7c"},
        "/accounts/password/reset/key/[redacted]",
    ),
    "account_invitation": ({"token": "ImFkYUBleGFtcGxlLmNvbSI:1vXyZ0:c2lnb"}, "/accounts/invitation/[redacted]"),
}


@pytest.mark.parametrize("name", LINKS)
def test_links_of_mails_are_masked_wherever_they_are_logged(name, capsys):
    taken, masked = LINKS[name]
    link = reverse(name, kwargs=taken)
    before = logging.getLogger().handlers[:]
    try:
        for log_format in ("json", "text"):
            logging.config.dictConfig(logging_config(level="info", log_format=log_format))
            logging.getLogger("django.request").warning("%s: %s", "Not Found", link)
            AccessLog(log_format).write(link, {"status": 200})
    finally:
        logging.getLogger().handlers[:] = before
    lines = capsys.readouterr().err.splitlines()
    assert [masked in line for line in lines] == [True] * 4
    assert [value for value in taken.values() if any(value in line for line in lines)] == []


def test_a_secret_that_an_address_asks_with_is_masked():
    link = "https://jan.example.com/accounts/invite/?token=q8sT2vW5yZ7aC9dE3b1J4fT0pLq8sT2v&invite_id=inv_1"
    assert redact(link) == "https://jan.example.com/accounts/invite/?token=[redacted]&invite_id=inv_1"


def test_every_route_that_takes_a_secret_is_among_these_links():
    taking = {
        name
        for name, ways in get_resolver().reverse_dict.lists()
        if isinstance(name, str) and any({"key", "token"} & set(possible[0][0][1]) for possible in ways)
    }
    assert taking == set(LINKS)

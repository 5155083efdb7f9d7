import json
import logging
import logging.config

import pytest

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

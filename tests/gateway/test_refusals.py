import json

import pytest

from apps.catalog.snapshot import Target
from apps.core.errors import RateLimited, UpstreamFailed, UpstreamRefused, UpstreamTimeout
from apps.core.http.errors import status_of
from apps.gateway.exchange import refusal_of

TARGET = Target(
    model_id="m", upstream_model="m", provider_id=1, kind="custom", base_url="http://x/v1", credential="hunter2-hunter2"
)


def test_a_4xx_about_the_request_passes_with_its_message_and_without_credentials():
    said = {
        "message": "key hunter2-hunter2 sk-abcdefghijkl: too long",
        "code": "context_length_exceeded",
        "param": "messages",
    }
    error = refusal_of(400, None, json.dumps({"error": said}).encode(), TARGET)
    assert isinstance(error, UpstreamRefused)
    assert (status_of(error), error.code, error.param) == (400, "context_length_exceeded", "messages")
    assert error.message == "key [redacted] [redacted]: too long"


@pytest.mark.parametrize(
    ("status", "kind", "ours"),
    [
        (500, UpstreamFailed, 502),
        (502, UpstreamFailed, 502),
        (503, UpstreamFailed, 502),
        (504, UpstreamTimeout, 504),
        (408, UpstreamTimeout, 504),
        (401, UpstreamFailed, 502),
        (403, UpstreamFailed, 502),
        (302, UpstreamFailed, 502),
        (204, UpstreamFailed, 502),
        (429, RateLimited, 429),
    ],
)
def test_what_is_not_about_the_request_is_ours_and_says_nothing_of_the_provider(status, kind, ours):
    error = refusal_of(status, None, b'{"error":{"message":"internal host db-7"}}', TARGET)
    assert (type(error), status_of(error)) == (kind, ours)
    assert "db-7" not in error.message


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("3", 3.0), ("0.5", 0.5), ("-1", None), ("soon", None), ("", None), (None, None), ("nan", None), ("1e9", None)],
)
def test_retry_after_is_kept_when_it_makes_sense(header, seconds):
    assert refusal_of(429, header, b"", TARGET).retry_after == seconds


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error":"plain"}', b'{"detail":"plain"}', b'{"error":5}'])
def test_odd_refusals_do_not_break(body):
    error = refusal_of(422, None, body, TARGET)
    assert status_of(error) == 422
    assert error.message in ("plain", "The provider refused the request with status 422.")

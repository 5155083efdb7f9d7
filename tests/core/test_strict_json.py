import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.errors import BadRequest
from apps.core.strict_json import MAX_DEPTH, MAX_NODES, parse_json

ESCAPED_NUL, BACKSLASH = b'{"a": "\\u0000"}', b'{"a": "\\\\u0000"}'


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b'{"a": 1,}', "not valid JSON"),
        (b'{"a": 1} x', "not valid JSON"),
        (b"\xff", "not valid UTF-8"),
        (b'"\xed\xa0\x80"', "not valid UTF-8"),
        (b"\xef\xbb\xbf{}", "not valid JSON"),
        (b'{"a": 1, "a": 2}', "stands twice"),
        (b'[{"b": {"a": 1, "a": 1}}]', "stands twice"),
        (ESCAPED_NUL, "NUL"),
        (b'{"\\u0000": 1}', "NUL"),
        (b'["a\x00"]', "not valid JSON"),
        (b'"\\ud800"', "lone surrogate"),
        (b'"\\uDFFF x"', "lone surrogate"),
        (b"NaN", "not JSON"),
        (b"[-Infinity]", "not JSON"),
        (b"1e999", "too large"),
        (b"1" * 5000, "too many digits"),
        (b"[" * 65 + b"]" * 65, "nested deeper"),
        (b"[" * 200_000, "nested deeper"),
        (b'{"a":' * 70 + b"1" + b"}" * 70, "nested deeper"),
        (b"[" + b"1," * MAX_NODES + b"1]", "more than"),
    ],
)
def test_what_something_behind_would_stumble_over_is_refused(body, words):
    with pytest.raises(BadRequest) as refusal:
        parse_json(body)
    assert refusal.value.code == "invalid_json"
    assert words in refusal.value.message


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (BACKSLASH, {"a": "\\u0000"}),
        (b'"\\ud83d\\ude00"', "😀"),
        (b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, None),
        (b"12345678901234567890", 12345678901234567890),
        (b"1.50", 1.5),
        (b" null ", None),
    ],
)
def test_what_is_right_is_read(body, value):
    read = parse_json(body)
    assert value is None or read == value


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(body):
    with contextlib.suppress(BadRequest):
        parse_json(body)

import json

import pytest

from apps.catalog.snapshot import Target
from apps.core.errors import BadRequest
from apps.gateway.calls import Call

HELLO = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def call(endpoint="chat/completions", **body):
    raw = json.dumps(body).encode()
    return Call(endpoint, json.loads(raw), raw)


def target(upstream_model="m"):
    return Target(
        model_id="m", upstream_model=upstream_model, provider_id=1, kind="custom", base_url="http://x/v1", credential=""
    )


def test_a_body_that_needs_no_change_leaves_as_it_came():
    raw = b'{ "model":"m", "messages":[{"role":"user","content":"hi"}], "odd": 1.50, "temperature":0 }'
    assert Call("chat/completions", json.loads(raw), raw).body_for(target()) is raw


def test_a_stream_is_asked_for_its_usage_and_keeps_every_field():
    asked = call(
        **HELLO, stream=True, stream_options={"include_obfuscation": False}, tools=[{"x": 1}], unknown={"a": [1]}
    )
    assert json.loads(asked.body_for(target())) == {
        **HELLO,
        "stream": True,
        "stream_options": {"include_obfuscation": False, "include_usage": True},
        "tools": [{"x": 1}],
        "unknown": {"a": [1]},
    }


def test_an_alias_becomes_the_providers_name():
    assert json.loads(call(**HELLO).body_for(target("real"))) == {**HELLO, "model": "real"}


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, "missing_required_parameter", "model"),
        ({"model": "m"}, "missing_required_parameter", "messages"),
        ({**HELLO, "model": 5}, "invalid_value", "model"),
        ({**HELLO, "model": ""}, "invalid_value", "model"),
        ({**HELLO, "model": "x" * 256}, "invalid_value", "model"),
        ({**HELLO, "messages": []}, "invalid_value", "messages"),
        ({**HELLO, "messages": "hi"}, "invalid_value", "messages"),
        ({**HELLO, "messages": [1]}, "invalid_value", "messages[0]"),
        ({**HELLO, "stream": "yes"}, "invalid_value", "stream"),
        ({**HELLO, "stream_options": 3}, "invalid_value", "stream_options"),
        ({**HELLO, "n": 9}, "invalid_value", "n"),
        ({**HELLO, "n": 0}, "invalid_value", "n"),
        ({**HELLO, "tools": [{}] * 129}, "invalid_value", "tools"),
    ],
)
def test_bad_bodies_name_the_parameter(body, code, param):
    with pytest.raises(BadRequest) as refusal:
        call(**body)
    assert (refusal.value.code, refusal.value.param) == (code, param)


@pytest.mark.parametrize("body", [{"messages": HELLO["messages"]}, {**HELLO, "model": None}])
def test_a_body_without_a_model_means_the_default(body):
    raw = json.dumps({**body, "odd": 1.5}).encode()
    meant = Call("chat/completions", json.loads(raw), raw, "usual")
    assert meant.model == "usual"
    assert json.loads(meant.body_for(target("usual"))) == {**body, "odd": 1.5, "model": "usual"}
    assert json.loads(meant.body_for(target("real"))) == {**body, "odd": 1.5, "model": "real"}
    with pytest.raises(BadRequest) as refusal:
        Call("chat/completions", json.loads(raw), raw)
    assert (refusal.value.code, refusal.value.param) == ("missing_required_parameter", "model")


def test_a_default_changes_nothing_for_a_body_that_names_its_model():
    raw = json.dumps(HELLO).encode()
    named = Call("chat/completions", json.loads(raw), raw, "usual")
    assert (named.model, named.body_for(target()) is raw) == ("m", True)


@pytest.mark.parametrize("default", [None, "usual"])
@pytest.mark.parametrize("document", [[], "x", 1, None, True])
def test_a_body_must_be_an_object(document, default):
    with pytest.raises(BadRequest) as refusal:
        Call("chat/completions", document, b"", default)
    assert refusal.value.code == "invalid_json"

import json

import pytest

from apps.core.errors import UpstreamFailed
from apps.gateway.chunks import DONE, ChunkFilter, read_answer


def chunk(content=None, *, finish=None, index=0, **extra):
    delta = {"content": content} if content is not None else {}
    choices = [{"index": index, "delta": delta, "finish_reason": finish}]
    return json.dumps({"id": "c1", "model": "m", "choices": choices, **extra}).encode()


USAGE = json.dumps(
    {
        "choices": [],
        "usage": {
            "prompt_tokens": 5,
            "completion_tokens": 7,
            "prompt_tokens_details": {"cached_tokens": 2},
            "completion_tokens_details": {"reasoning_tokens": 3},
        },
    }
).encode()


def test_chunks_pass_as_the_same_bytes():
    payloads = [chunk("a", service_tier="x"), chunk(finish="stop"), DONE]
    assert ChunkFilter(rename=None, show_usage=False).take(payloads) == payloads


@pytest.mark.parametrize(("asked", "passed"), [(False, [DONE]), (True, [USAGE, DONE])])
def test_the_usage_chunk_is_shown_only_to_who_asked_and_always_counted(asked, passed):
    chunks = ChunkFilter(rename=None, show_usage=asked)
    assert chunks.take([USAGE, DONE]) == passed
    assert (chunks.usage.prompt, chunks.usage.completion, chunks.usage.cached, chunks.usage.reasoning) == (5, 7, 2, 3)


def test_nothing_after_done_passes():
    assert ChunkFilter(rename=None, show_usage=False).take([DONE, chunk("late")]) == [DONE]


def test_chunks_without_choices_are_dropped():
    assert ChunkFilter(rename=None, show_usage=False).take([b'{"ping":true}', chunk("a")]) == [chunk("a")]


def test_an_alias_is_the_only_thing_that_changes():
    [passed] = ChunkFilter(rename="nick", show_usage=False).take([chunk("a", logprob=1.50)])
    assert json.loads(passed) == {**json.loads(chunk("a", logprob=1.50)), "model": "nick"}


@pytest.mark.parametrize(
    "payload", [b"{", b"[]", b"null", b'{"choices": 5}', b'{"error": {"message": "secret"}}', b"\xff"]
)
def test_what_is_no_chunk_ends_the_stream_without_the_providers_words(payload):
    with pytest.raises(UpstreamFailed) as failure:
        ChunkFilter(rename=None, show_usage=False).take([payload])
    assert "secret" not in str(failure.value)


def test_a_stream_is_finished_when_every_choice_said_why_it_ended():
    chunks = ChunkFilter(rename=None, show_usage=False)
    chunks.take([chunk("a", index=0), chunk("b", index=1), chunk(finish="stop", index=0)])
    assert not chunks.is_finished
    chunks.take([chunk(finish="length", index=1)])
    assert chunks.is_finished
    assert chunks.content_chunks == 2


@pytest.mark.parametrize("number", [-1, 1e18, 2.5, "12", True, 10**18, None])
def test_mad_counts_are_not_believed(number):
    usage = json.dumps({"choices": [], "usage": {"prompt_tokens": number, "completion_tokens": number}}).encode()
    chunks = ChunkFilter(rename=None, show_usage=False)
    chunks.take([usage])
    assert chunks.usage is None


def test_a_whole_answer_is_untouched_and_counted():
    body = b'{"id":"x","model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2},"odd":1.50}'
    passed, tokens = read_answer(body, rename=None)
    assert passed == body
    assert (tokens.prompt, tokens.completion, bytes(tokens.raw)) == (1, 2, b'{"prompt_tokens":1,"completion_tokens":2}')


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error":"x"}', b'{"a":'])
def test_what_is_no_answer_is_a_failure_of_the_provider(body):
    with pytest.raises(UpstreamFailed):
        read_answer(body, rename=None)

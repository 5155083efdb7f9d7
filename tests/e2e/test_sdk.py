"""The official OpenAI SDK in strict mode against the running server."""

from __future__ import annotations

import json

import httpx2
import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.provider import PROMPT_TOKENS, Provider
from tests.server import Server

pytestmark = pytest.mark.e2e
HELLO = [{"role": "user", "content": "hi"}]


@pytest.fixture(scope="session")
def key(live: Server) -> str:
    return live.user_key()


@pytest.fixture
def client(live: Server, key: str):
    with OpenAI(base_url=f"{live.base_url}/v1", api_key=key, max_retries=0, _strict_response_validation=True) as client:
        yield client


@pytest.fixture
def lenient(live: Server, key: str):
    with OpenAI(base_url=f"{live.base_url}/v1", api_key=key, max_retries=0) as client:
        yield client


@pytest.fixture
async def aclient(live: Server, key: str):
    url = f"{live.base_url}/v1"
    async with AsyncOpenAI(base_url=url, api_key=key, max_retries=0, _strict_response_validation=True) as client:
        yield client


def test_a_whole_answer(client):
    answer = client.chat.completions.create(model="plain", messages=HELLO)
    assert answer.choices[0].message.content == "word word word word word "
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (PROMPT_TOKENS, 5)
    assert answer.model_extra["odd"] == {"provider": [1.5, None]}
    assert answer._request_id.startswith("req_")


def test_a_stream_and_its_usage(client):
    chunks = list(client.chat.completions.create(model="plain", messages=HELLO, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "w0 w1 w2 w3 w4 "
    asked = client.chat.completions.create(
        model="plain", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    assert list(asked)[-1].usage.completion_tokens == 5


@pytest.mark.parametrize("model", ["plain", "open-end"])
async def test_a_stream_read_to_its_end_is_booked_as_completed(live: Server, lenient, aclient, model: str):
    """The SDK hangs up at `[DONE]`, before the answer's own end."""
    ids = [f"read-{model}-{way}" for way in ("sync", "async", "text")]
    asked = {"model": model, "messages": HELLO, "stream": True}
    assert list(lenient.chat.completions.create(**asked, extra_headers={"x-request-id": ids[0]}))
    stream = await aclient.chat.completions.create(**asked, extra_headers={"x-request-id": ids[1]})
    assert [chunk async for chunk in stream]
    assert list(
        lenient.completions.create(model=model, prompt="hi", stream=True, extra_headers={"x-request-id": ids[2]})
    )
    live.settled(3)
    script = (
        "import json; from apps.usage.models import UsageRecord;"
        f"rows = UsageRecord.objects.filter(request_id__in={ids!r}).order_by('accepted_at');"
        "print(json.dumps([[row.request_id, row.state, row.status, row.error_code] for row in rows]))"
    )
    rows = json.loads(live.manage("shell", "--no-imports", "-c", script).stdout.splitlines()[-1])
    assert rows == [[request_id, "completed", 200, ""] for request_id in ids]


def test_the_stream_helper_gathers_text(client):
    with client.chat.completions.stream(model="plain", messages=HELLO) as stream:
        events = [event.type for event in stream]
    assert "content.delta" in events
    assert stream.get_final_completion().choices[0].message.content == "w0 w1 w2 w3 w4 "


def test_the_stream_helper_gathers_parallel_tool_calls(client):
    tools = [
        {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
        for name in ("first", "second")
    ]
    with client.chat.completions.stream(model="tools", messages=HELLO, tools=tools) as stream:
        stream.until_done()
    calls = stream.get_final_completion().choices[0].message.tool_calls
    assert [(call.id, call.function.name, call.function.arguments) for call in calls] == [
        ("call_0", "first", '{"n": 0}'),
        ("call_1", "second", '{"n": 1}'),
    ]


def test_the_stream_helper_gathers_a_refusal(client):
    with client.chat.completions.stream(model="refusal", messages=HELLO) as stream:
        stream.until_done()
    assert stream.get_final_completion().choices[0].message.refusal == "I cannot."


def test_every_parameter_reaches_the_provider(client, provider: Provider):
    sent = {
        "model": "plain",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "é\u2028"}, {"type": "image_url", "image_url": {"url": "data:x"}}]}],
        "temperature": 0.5,
        "top_p": 1,
        "n": 2,
        "logprobs": True,
        "top_logprobs": 3,
        "stop": ["x"],
        "seed": 7,
        "parallel_tool_calls": False,
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}, "strict": True}},
        "reasoning_effort": "low",
        "max_completion_tokens": 9,
        "logit_bias": {"5": -1},
        "metadata": {"a": "b"},
    }  # fmt: skip
    answer = client.chat.completions.create(**sent, extra_body={"unknown": {"deep": [1.50, None]}})
    assert provider.of(answer._request_id).body == {**sent, "unknown": {"deep": [1.5, None]}}


def test_reasoning_fields_pass(client):
    chunks = list(client.chat.completions.create(model="reasoning", messages=HELLO, stream=True))
    assert chunks[0].choices[0].delta.model_extra["reasoning_content"] == "hm"


def test_completions(client, lenient):
    assert client.completions.create(model="plain", prompt="once").choices[0].text == "word word word word word "
    # The SDK's own type of a piece knows no open `finish_reason`, so its strict mode takes no stream, not even OpenAI's.
    pieces = list(lenient.completions.create(model="plain", prompt="once", stream=True))
    assert "".join(piece.choices[0].text for piece in pieces) == "w0 w1 w2 w3 w4 "


def test_embeddings_in_base64_and_as_numbers(client, lenient):
    # Strict mode checks the answer before the SDK decodes the base64 it asked for by itself.
    assert lenient.embeddings.create(model="text-embedding-small", input=["a"]).data[0].embedding == [0.5, -0.25]
    answer = client.embeddings.create(model="text-embedding-small", input=["a"], encoding_format="float")
    assert answer.data[0].embedding == [0.5, -0.25]
    assert answer.usage.prompt_tokens == PROMPT_TOKENS


def test_models_with_slashes(client):
    ids = [model.id for model in client.models.list()]
    assert "org/plain" in ids
    assert client.models.retrieve("org/plain").id == "org/plain"


async def test_the_async_client(aclient):
    answer = await aclient.chat.completions.create(model="plain", messages=HELLO)
    assert answer.usage.completion_tokens == 5
    stream = await aclient.chat.completions.create(model="plain", messages=HELLO, stream=True)
    assert len([chunk async for chunk in stream]) == 7
    async with aclient.chat.completions.stream(model="plain", messages=HELLO) as helper:
        final = await helper.get_final_completion()
    assert final.choices[0].message.content == "w0 w1 w2 w3 w4 "
    assert "org/plain" in [model.id async for model in await aclient.models.list()]


@pytest.mark.parametrize(
    ("model", "error", "code"),
    [
        ("nope", openai.NotFoundError, "model_not_found"),
        ("status-400", openai.BadRequestError, "context_length_exceeded"),
        ("status-401", openai.InternalServerError, "provider_credential_refused"),
        ("status-429", openai.RateLimitError, "provider_rate_limited"),
        ("status-500", openai.InternalServerError, "upstream_error"),
        ("status-503", openai.InternalServerError, "upstream_error"),
        ("html", openai.InternalServerError, "upstream_error"),
        ("hang-headers", openai.InternalServerError, "upstream_timeout"),
    ],
)
def test_failures_have_their_class_and_keep_the_providers_secrets(client, model, error, code):
    with pytest.raises(error) as failure:
        client.chat.completions.create(model=model, messages=HELLO, stream=model == "hang-headers")
    assert failure.value.code == code
    assert failure.value.request_id == failure.value.body["request_id"]
    assert "db-7" not in str(failure.value.body)
    assert "sk-provider" not in str(failure.value.body)


def test_a_providers_retry_after_is_kept(client):
    with pytest.raises(openai.RateLimitError) as failure:
        client.chat.completions.create(model="status-429", messages=HELLO)
    assert failure.value.response.headers["retry-after"] == "3"


@pytest.mark.parametrize(("model", "calls"), [("status-400", 1), ("status-500", 3)])
def test_the_sdk_retries_what_may_heal(live: Server, key: str, provider: Provider, model: str, calls: int):
    before = len(provider.requests)
    with (
        OpenAI(base_url=f"{live.base_url}/v1", api_key=key, max_retries=2) as client,
        pytest.raises(openai.APIStatusError),
    ):
        client.chat.completions.create(model=model, messages=HELLO)
    assert len([each for each in provider.requests[before:] if each.body["model"] == model]) == calls


def test_a_wrong_key_is_an_authentication_error(live: Server):
    with (
        OpenAI(base_url=f"{live.base_url}/v1", api_key="sk_wrong", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError) as failure,
    ):
        client.models.list()
    assert failure.value.code == "invalid_api_key"


@pytest.mark.parametrize(
    "model",
    ["reset", "fin", "truncated", "bad-json", "error-event", "no-done-cut", "hang-stream", "huge"],
)
def test_a_stream_that_breaks_ends_with_a_typed_error_and_never_cleanly(live: Server, key: str, model: str):
    with httpx2.stream(
        "POST",
        f"{live.base_url}/v1/chat/completions",
        headers={"x-api-key": key},
        json={"model": model, "messages": HELLO, "stream": True},
        timeout=30,
    ) as answer:
        wire = answer.read().decode()
    assert "[DONE]" not in wire
    last = wire.strip().split("\n\n")[-1]
    if answer.status_code == 502:  # broken before anything could be sent on
        last = f"data: {last}"
    code = "upstream_timeout" if model == "hang-stream" else "upstream_error"
    assert last.startswith('data: {"error":{')
    assert f'"code":"{code}"' in last
    assert "db-7" not in wire


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ("crlf", "x"), ("split", "hé"), ("odd-lines", "a"), ("comments", "a"), ("no-choices", "a"),
        ("after-done", "ab"), ("no-done", "ab"), ("multi-line", "ab"), ("empty-data", "a"), ("mad-usage", "ab"),
    ],
)  # fmt: skip
def test_odd_streams_are_read_by_the_standard(live: Server, lenient, key: str, model: str, text: str):
    chunks = list(lenient.chat.completions.create(model=model, messages=HELLO, stream=True))
    assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices) == text
    wire = httpx2.post(
        f"{live.base_url}/v1/chat/completions",
        headers={"x-api-key": key},
        json={"model": model, "messages": HELLO, "stream": True},
        timeout=30,
    ).text
    assert wire.endswith("data: [DONE]\n\n")
    assert all(line == "" or line.startswith("data: {") for line in wire.split("\n")[:-3])


def test_the_answer_headers_say_who_and_how_much_is_left(live: Server, key: str):
    answer = httpx2.get(f"{live.base_url}/v1/models", headers={"x-api-key": key, "x-request-id": "mine-1"})
    assert answer.headers["x-request-id"] == "mine-1"
    assert answer.headers["x-auth-method"] == "api_key"
    assert answer.headers["openai-organization"].startswith("org_")
    assert answer.headers["openai-project"].startswith("proj_")
    for name in ("limit", "remaining", "reset", "limit-minute", "remaining-minute", "limit-requests", "reset-requests"):
        assert f"x-ratelimit-{name}" in answer.headers

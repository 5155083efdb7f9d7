import base64
import json
import struct

import pytest

from apps.gateway import demo

CHAT, TEXT, EMBED = "chat/completions", "completions", "embeddings"


def chat(content="Good morning!", **fields):
    return {"model": "jan-demo", "messages": [{"role": "user", "content": content}], **fields}


def said(body):
    return demo.answer(CHAT, body)["choices"][0]["message"]["content"]


def tool(name="weather", **parameters):
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def arguments(body):
    [call] = demo.answer(CHAT, body)["choices"][0]["message"]["tool_calls"]
    return json.loads(call["function"]["arguments"])


def gathered(endpoint, body):
    """What a client puts together from the chunks of choice 0."""
    text, finish = "", None
    for chunk in demo.stream(endpoint, body):
        for choice in chunk["choices"]:
            if choice["index"] == 0:
                text += choice["text"] if endpoint == TEXT else choice["delta"].get("content") or ""
                finish = choice["finish_reason"] or finish
    return text, finish


def test_it_says_what_it_is_and_how_to_connect_a_real_model():
    text = said(chat())
    assert "built-in demo, not a language model" in text
    assert "JAN_INFERENCE_MODEL_URL=" in text
    assert "make up" in text
    assert "Providers" in text
    assert "“Good morning!”" in text


def test_a_long_question_is_echoed_briefly():
    assert said(chat("x" * 5000)).endswith("“" + "x" * 200 + "…”")


def test_text_parts_are_read_and_others_passed_over():
    parts = [{"type": "text", "text": "What is"}, {"type": "image_url", "image_url": {"url": "data:"}}]
    assert "“What is”" in said(chat(parts))


def test_an_answer_has_openais_shape():
    answer = demo.answer(CHAT, chat("one, two"))
    assert (answer["object"], answer["model"], answer["system_fingerprint"]) == (
        "chat.completion",
        "jan-demo",
        "jan-demo",
    )
    [choice] = answer["choices"]
    assert (choice["index"], choice["finish_reason"], choice["message"]["role"]) == (0, "stop", "assistant")
    completion = demo.count_tokens(choice["message"]["content"])
    assert answer["usage"] == {"prompt_tokens": 3, "completion_tokens": completion, "total_tokens": 3 + completion}


def test_a_completion_answers_the_prompt():
    answer = demo.answer(TEXT, {"model": "jan-demo", "prompt": "Once upon a time"})
    assert (answer["object"], answer["usage"]["prompt_tokens"]) == ("text_completion", 4)
    assert answer["choices"][0]["text"].endswith("“Once upon a time”")


@pytest.mark.parametrize(("endpoint", "body"), [(CHAT, chat()), (TEXT, {"prompt": "Once"})])
@pytest.mark.parametrize("fields", [{}, {"max_tokens": 5}, {"stop": "demo"}, {"stop": ["language", "demo"]}])
def test_a_stream_says_the_same_as_the_whole_answer(endpoint, body, fields):
    body = {**body, **fields}
    whole = demo.answer(endpoint, body)
    [choice] = whole["choices"]
    text = choice["text"] if endpoint == TEXT else choice["message"]["content"]
    assert gathered(endpoint, body) == (text, choice["finish_reason"])
    *_, last = demo.stream(endpoint, body)
    assert (last["choices"], last["usage"]) == ([], whole["usage"])


def test_a_stream_begins_with_the_role_and_keeps_its_id():
    chunks = list(demo.stream(CHAT, chat()))
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert {chunk["system_fingerprint"] for chunk in chunks} == {"jan-demo"}


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_token_limit_cuts_the_answer(name):
    answer = demo.answer(CHAT, chat(**{name: 4}))
    assert answer["choices"][0]["message"]["content"] == "This is Jan Server"
    assert (answer["choices"][0]["finish_reason"], answer["usage"]["completion_tokens"]) == ("length", 4)


def test_a_stop_word_ends_the_answer_before_it():
    answer = demo.answer(CHAT, chat(stop=["never said", " Server"]))
    assert answer["choices"][0]["message"]["content"] == "This is Jan"
    assert answer["choices"][0]["finish_reason"] == "stop"


def test_n_choices_are_given_and_counted():
    answer = demo.answer(CHAT, chat(n=3, max_tokens=4))
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2]
    assert answer["usage"]["completion_tokens"] == 12
    chunks = demo.stream(CHAT, chat(n=3, max_tokens=4))
    ends = [each["index"] for chunk in chunks for each in chunk["choices"] if each["finish_reason"]]
    assert ends == [0, 1, 2]


def test_n_is_bounded():
    assert len(demo.answer(CHAT, chat(n=10**9))["choices"]) == 8


def test_a_tool_is_called_with_arguments_that_fit_its_schema():
    schema = {
        "type": "object",
        "properties": {
            "place": {"type": "string"},
            "unit": {"enum": ["celsius", "fahrenheit"]},
            "kind": {"const": "forecast"},
            "days": {"type": "integer"},
            "exact": {"type": ["null", "boolean"]},
            "tags": {"type": "array", "items": {"type": "string"}},
            "note": {"anyOf": [{"type": "null"}, {"type": "number"}]},
            "where": {"$ref": "#/$defs/Where"},
            "optional": {"type": "string"},
        },
        "required": ["place", "unit", "kind", "days", "exact", "tags", "note", "where"],
        "$defs": {"Where": {"type": "object", "properties": {"zip": {"type": "string"}}}},
    }
    assert arguments(chat("Hanoi", tools=[tool(**schema)])) == {
        "place": "Hanoi",
        "unit": "celsius",
        "kind": "forecast",
        "days": 1,
        "exact": True,
        "tags": ["Hanoi"],
        "note": 1,
        "where": {"zip": "Hanoi"},
    }


def test_a_tool_call_ends_the_answer():
    answer = demo.answer(CHAT, chat(tools=[tool()]))
    [choice] = answer["choices"]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("tool_calls", None)
    [call] = choice["message"]["tool_calls"]
    assert (call["type"], call["function"]) == ("function", {"name": "weather", "arguments": "{}"})


def test_a_streamed_tool_call_comes_in_pieces():
    body = chat("Hanoi", tools=[tool(properties={"place": {"type": "string"}, "days": {"type": "number"}})])
    deltas = [chunk["choices"][0]["delta"] for chunk in demo.stream(CHAT, body) if chunk["choices"]]
    calls = [delta["tool_calls"][0] for delta in deltas if "tool_calls" in delta]
    assert (calls[0]["index"], calls[0]["function"]["name"], calls[0]["id"][:5]) == (0, "weather", "call_")
    assert len(calls) > 3
    assert json.loads("".join(call["function"]["arguments"] for call in calls)) == {"place": "Hanoi", "days": 1}
    assert gathered(CHAT, body) == ("", "tool_calls")


@pytest.mark.parametrize(
    ("choice", "called"),
    [
        (None, "first"),
        ("auto", "first"),
        ("required", "first"),
        ({"type": "function", "function": {"name": "second"}}, "second"),
    ],
)
def test_the_named_tool_is_called_else_the_first(choice, called):
    body = chat(tools=[tool("first"), tool("second")], tool_choice=choice)
    assert demo.answer(CHAT, body)["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == called


def test_no_tool_is_called_when_none_may_be():
    assert "built-in demo" in said(chat(tools=[tool()], tool_choice="none"))


@pytest.mark.parametrize("role", ["system", "assistant", "developer"])
def test_only_a_users_message_calls_a_tool(role):
    body = chat(tools=[tool()])
    body["messages"].append({"role": role, "content": "Go on."})
    assert "“Go on.”" in said(body)


def test_a_tools_result_is_quoted():
    body = chat(tools=[tool()])
    body["messages"] += [{"role": "assistant", "tool_calls": []}, {"role": "tool", "content": "31 °C"}]
    assert said(body).startswith("The tool answered: “31 °C”")


def test_a_schema_that_refers_to_itself_comes_to_an_end():
    names = [f"n{number}" for number in range(50)]
    node = {"type": "object", "properties": {name: {"$ref": "#/$defs/Node"} for name in names}}
    made = arguments(chat(tools=[tool(**node, **{"$defs": {"Node": node}})]))
    assert set(made) == set(names)
    assert len(json.dumps(made)) < 10_000_000


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [{}, {"function": 7}]},
        {"tools": "none"},
        {"tools": [{"function": {"name": None, "parameters": {"properties": [1], "required": 3, "type": {}}}}]},
        {"tools": [tool(properties={"a": {"anyOf": "x"}, "b": {"$ref": 5}, "c": None}, required=["a", "b", "c", 4])]},
        {"stop": 5, "max_tokens": "many", "n": "two"},
        {"messages": []},
        {"messages": [{"role": "user"}]},
        {"messages": [{"role": "user", "content": [1, None, {"text": 5}]}]},
    ],
)
def test_odd_bodies_get_an_answer(fields):
    body = {**chat(), **fields}
    assert demo.answer(CHAT, body)["choices"][0]["finish_reason"] in ("stop", "tool_calls")
    assert list(demo.stream(CHAT, body))[-1]["usage"]["total_tokens"] > 0


def vectors(given, **fields):
    return [each["embedding"] for each in demo.answer(EMBED, {"input": given, **fields})["data"]]


def test_equal_texts_have_equal_vectors_of_length_one():
    one, other, same = vectors(["the cat", "a dog", "The cat"])
    assert one == same != other
    assert len(one) == demo.DIMENSIONS
    assert sum(value * value for value in one) == pytest.approx(1.0)


def test_vectors_come_as_base64_when_asked():
    [text] = vectors("the cat", encoding_format="base64")
    assert struct.unpack(f"<{demo.DIMENSIONS}f", base64.b64decode(text)) == pytest.approx(vectors("the cat")[0])


def test_embeddings_are_labelled_and_counted():
    answer = demo.answer(EMBED, {"input": ["one two", "three!"]})
    assert (answer["object"], answer["model"], answer["system_fingerprint"]) == ("list", "jan-demo", "jan-demo")
    assert [each["index"] for each in answer["data"]] == [0, 1]
    assert answer["usage"] == {"prompt_tokens": 4, "total_tokens": 4}


@pytest.mark.parametrize(
    ("given", "count", "tokens"),
    [([1, 2, 3], 1, 3), ([[1, 2], [3]], 2, 3), ([], 0, 0), ([1, "a"], 2, 2), ([{"a": 1}, None], 2, None), ("", 1, 0)],
)
def test_every_spelling_of_an_input_is_taken(given, count, tokens):
    answer = demo.answer(EMBED, {"input": given})
    assert len(answer["data"]) == count
    assert tokens in (None, answer["usage"]["prompt_tokens"])

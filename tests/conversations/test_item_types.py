"""Every type of item that OpenAI's SDK knows, as its own definitions say: taken in, given out, refused when wrong."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from openai._models import validate_type
from openai.types.conversations import ConversationItem, Message
from pydantic import BaseModel, ValidationError

from apps.conversations.documents import item_document
from apps.conversations.item_types import TYPES
from apps.conversations.models import Conversation, Item, Status
from apps.projects.models import Project
from tests.api_keys.conftest import Caller
from tests.conversations.conftest import PATH, made, refused

SHAPES: list[type[BaseModel]] = list(get_args(get_args(ConversationItem)[0]))
OTHERS = [shape for shape in SHAPES if shape is not Message]
# Hints for a provider's cache are taken and left out. Of tools that items tell of we know what they must have.
LEFT_OUT = {"prompt_cache_breakpoint"}
# What makes no sense without it, although its type does not ask for it.
NEEDED_HERE = {
    "function_call_output": {"call_id": "call_1"},
    "input_image": {"image_url": "https://e.example/a.png"},
    "input_file": {"file_id": "file_1"},
}


def kind_of(shape: type[BaseModel]) -> str:
    return str(get_args(shape.model_fields["type"].annotation)[0])


def name_of(shape: type[BaseModel], field: str) -> str:
    return str(shape.model_fields[field].alias or field)


PLAIN: dict[Any, Any] = {str: "text", int: 7, float: 0.5, bool: True, object: {"any": ["thing"]}}


def examples(wanted: Any) -> Iterator[Any]:
    """Values of a type: of a union one of each, of an object the least and the least with each of its other fields."""
    origin, inner = get_origin(wanted), get_args(wanted)
    if origin is Annotated:
        yield from examples(inner[0])
    elif origin in (Union, types.UnionType):
        yield from (example for choice in inner if choice is not type(None) for example in examples(choice))
    elif origin is Literal:
        yield from inner
    elif origin is list:
        yield from ([example] for example in examples(inner[0]))
    elif origin is dict:
        yield from ({"key": example} for example in examples(inner[1]))
    elif wanted in PLAIN:
        yield PLAIN[wanted]
    else:
        yield from objects(wanted)


def objects(shape: type[BaseModel]) -> Iterator[dict[str, Any]]:
    least = least_of(shape)
    yield least
    is_tool = shape.__module__.endswith(("_tool", ".tool"))
    for field, info in shape.model_fields.items():
        if field in LEFT_OUT or (is_tool and not info.is_required()):
            continue
        for example in examples(info.annotation):
            yield {**least, name_of(shape, field): example}


def least_of(shape: type[BaseModel]) -> dict[str, Any]:
    required = [field for field, info in shape.model_fields.items() if info.is_required()]
    least = {name_of(shape, field): next(examples(shape.model_fields[field].annotation)) for field in required}
    return {**least, **NEEDED_HERE.get(str(least.get("type")), {})}


@pytest.fixture
def path(ada: Caller) -> str:
    return f"{PATH}/{made(ada)['id']}"


def test_there_are_29_types():
    assert len(SHAPES) == 29
    assert {kind_of(shape) for shape in OTHERS} == set(TYPES)


@pytest.mark.parametrize("shape", OTHERS, ids=kind_of)
def test_what_the_sdk_says_comes_back_as_it_was(ada: Caller, path: str, shape: type[BaseModel]):
    wanted = [example for example in objects(shape) if "tools" not in example or _is_known(example["tools"][0])]
    assert wanted
    for start in range(0, len(wanted), 20):
        given = wanted[start : start + 20]
        answer = ada.call("POST", f"{path}/items", {"items": given})
        assert answer.status_code == 200, (given, answer.content)
        for sent, got in zip(given, answer.json()["data"], strict=True):
            parsed = validate_type(type_=ConversationItem, value=got)
            assert isinstance(parsed, shape)
            assert {name: without_hints(got[name]) for name in sent if name != "id"} == {
                name: value for name, value in sent.items() if name != "id"
            }


def _is_known(tool: dict[str, Any]) -> bool:
    return set(tool) <= {"type", "name", "description", "parameters", "strict", "vector_store_ids", "server_label",
                         "container", "display_height", "display_width", "environment", "tools", "input_schema", "annotations"}  # fmt: skip


def without_hints(value: Any) -> Any:
    """As it was sent: without the second spelling of parts."""
    if isinstance(value, list):
        return [without_hints(each) for each in value]
    if isinstance(value, dict) and str(value.get("type")) in ("input_text", "reasoning_text"):
        return {"type": value["type"], "text": value["text"]}
    if isinstance(value, dict) and value.get("type") == "input_image":
        return {name: inner for name, inner in value.items() if inner is not None and name != "image"}
    return value


@pytest.mark.parametrize("shape", OTHERS, ids=kind_of)
def test_what_the_sdk_asks_for_has_to_be_there(ada: Caller, path: str, shape: type[BaseModel]):
    whole = {**least_of(shape), "type": kind_of(shape)}
    for field, info in shape.model_fields.items():
        name = name_of(shape, field)
        if not info.is_required() or name in ("id", "type", "status"):
            continue
        given = {key: value for key, value in whole.items() if key != name}
        if name == "summary":  # of reasoning: an empty one is meant
            assert ada.call("POST", f"{path}/items", given).json()["data"][0]["summary"] == []
            continue
        assert refused(ada.call("POST", f"{path}/items", given))[:2] == (400, "missing_required_parameter")
        for wrong in (7.5, [7.5], {"a": 7.5}):
            if info.annotation is object:
                continue
            status, code, param = refused(ada.call("POST", f"{path}/items", {**whole, name: wrong}))
            assert (status, (param or "").startswith(name)) == (400, True), (name, wrong, code, param)
    assert refused(ada.call("POST", f"{path}/items", {**whole, "colour": "red"})) == (
        400, "unknown_parameter", "colour",
    )  # fmt: skip


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("shape", SHAPES, ids=kind_of)
def test_an_item_whose_text_was_not_kept_goes_out_too(ada: Caller, rf: Any, shape: type[BaseModel], status: str):
    Project.objects.filter(pk=ada.project.pk).update(settings={"storage": "metadata"})
    path = f"{PATH}/{made(ada)['id']}"
    given = {**least_of(shape), "type": kind_of(shape)}
    ada.call("POST", f"{path}/items", given)
    row = Item.objects.get()
    kept = {name: value for name, value in row.data.items() if name not in ("call_id", "approval_request_id")}
    assert (row.text, "'text'" in str(kept)) == ("", False)
    row.status = status
    request = rf.get("/")
    request.query_params = {}
    document = item_document(request, Conversation.objects.get(), row)
    parsed = validate_type(type_=ConversationItem, value=document)
    assert isinstance(parsed, shape)


def test_the_sdk_would_see_what_is_wrong():
    with pytest.raises(ValidationError):
        validate_type(type_=ConversationItem, value={"type": "function_call", "id": "fc_1"})

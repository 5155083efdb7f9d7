"""Whatever is sent, the answer is one of ours: never a 500, and what is refused stores nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai._models import validate_type
from openai.types.conversations import Conversation as SDKConversation
from openai.types.conversations import ConversationItem

from apps.conversations.item_types import TYPES
from apps.conversations.models import Conversation, Item
from tests.api_keys.conftest import Caller
from tests.conversations.conftest import PATH, made

FIELDS = ["title", "model", "metadata", "description", "project_id", "referrer", "archived", "is_archived", "items"]
ITEM_FIELDS = sorted(
    {"type", "role", "content", "status", "metadata", "tool_calls", "tool_call_id", "reasoning_content", "refusal",
     "annotations", "phase", "rating"} | {name for shape in TYPES.values() for name in shape.__struct_encode_fields__}
)  # fmt: skip
PART_FIELDS = ["type", "text", "input_text", "output_text", "annotations", "logprobs", "image_url", "image", "file_id",
               "detail", "file", "file_data", "filename", "input_audio", "refusal", "function", "id", "name", "url"]  # fmt: skip
WORDS = ["message", "user", "assistant", "tool", "completed", "failed", "input_text", "output_text", "image_url", "file",
         "input_audio", "refusal", "reasoning_text", "text", "search", "auto", *TYPES]  # fmt: skip
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from([*WORDS, "x" * 600, "\u202e", "😀", 2**70, -0.0])
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(PART_FIELDS + ITEM_FIELDS) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=8,
)
ITEMS = st.fixed_dictionaries(
    {"type": st.sampled_from(["message", *TYPES])},
    optional={name: VALUES for name in ITEM_FIELDS if name != "type"},
) | st.dictionaries(st.sampled_from(ITEM_FIELDS), VALUES, max_size=5)
MESSAGES = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["user", "assistant", "system", "tool"]),
        "content": VALUES | st.lists(VALUES, max_size=3),
    },
    optional={"tool_calls": VALUES, "metadata": st.dictionaries(st.text(), VALUES, max_size=3)},
)
ODD = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
RAW = [b"", b"{", b"null", b"[]", b'"x"', b'{"title": "\\u0000"}', b'{"items": [{"role": "user", "content": "\\ud800"}]}',
       b"\xff", b"[" * 200, b'{"a":1,"a":2}', b'{"title":' + b"9" * 5000 + b"}", b'{"metadata": {"a": 1e400}}']  # fmt: skip


@pytest.fixture
def path(ada: Caller) -> str:
    return f"{PATH}/{made(ada)['id']}"


def checked(answer: Any) -> Any:
    assert answer.status_code in (200, 400, 404, 409), answer.content
    body = answer.json()
    if answer.status_code != 200:
        assert set(body["error"]) >= {"message", "type", "code", "param", "request_id"}
    return body if answer.status_code == 200 else None


@ODD
@given(item=MESSAGES | ITEMS)
def test_no_item_breaks_a_route_and_what_is_taken_goes_out_well_formed(ada: Caller, path: str, item: Any):
    before = Item.objects.count()
    body = checked(ada.call("POST", f"{path}/items", {"items": [item]}))
    assert Item.objects.count() - before == (len(body["data"]) if body else 0)
    for document in body["data"] if body else ():
        validate_type(type_=ConversationItem, value=document)
        checked(ada.call("GET", f"{path}/items/{document['id']}"))


@ODD
@given(body=st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=4) | VALUES)
def test_no_body_breaks_a_conversation(ada: Caller, path: str, body: Any):
    for method, where in (("POST", PATH), ("POST", path), ("PATCH", path)):
        before = Conversation.objects.count()
        document = checked(ada.call(method, where, body))
        assert Conversation.objects.count() - before == (1 if document and where == PATH else 0)
        if document:
            validate_type(type_=SDKConversation, value=document)
    checked(ada.call("GET", path))


@pytest.mark.parametrize("raw", RAW)
def test_no_bytes_break_a_route(ada: Caller, path: str, raw: bytes):
    for method, below in (("POST", ""), ("PATCH", ""), ("POST", "/items"), ("POST", "/messages")):
        answer = ada.call(method, f"{path}{below}", raw)
        assert answer.status_code == (200 if raw == b"" and below == "" else 400), (method, below)
    assert (Item.objects.count(), Conversation.objects.get().title) == (0, "")


@pytest.mark.parametrize("name", ["x", "conv_", "conv_x" * 50, "%00", "%ff", "..", "é", "conv_a%0d%0ab", "'", "%25"])
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
def test_no_id_breaks_a_route(ada: Caller, path: str, method: str, name: str):
    for where in (f"{PATH}/{name}", f"{path}/items/{name}", f"{path}/messages/{name}"):
        assert ada.call(method, where, None if method in ("GET", "DELETE") else {}).status_code == 404
    if method in ("GET", "POST"):
        assert ada.call(method, f"{PATH}/{name}/items", {}).status_code == 404


@pytest.mark.parametrize("query", ["q=%ff", "q=%00", "q=" + "%F0%9F%98%80" * 50, "limit=٣", "expand=all", "archived=%00",
                                   "project_id=%00", "include[]=%00", "include=" + "x" * 300, "timestamps=x"])  # fmt: skip
def test_no_query_breaks_a_route(ada: Caller, path: str, query: str):
    for where in (PATH, path, f"{path}/items", f"{path}/messages"):
        checked(ada.call("GET", f"{where}?{query}"))

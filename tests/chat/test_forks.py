from __future__ import annotations

from typing import Any

import pytest

from apps.chat.forks import FORK_PATHS, fork_in
from apps.chat.prompts import news_of
from apps.chat.wishes import Fork
from apps.conversations.models import Told
from apps.core.errors import BadRequest

AT = "/v1/conversations/conv_1"


@pytest.mark.parametrize("items", ["items", "messages"])
def test_paths_that_begin_a_branch(items: str):
    fork = Fork(conversation_id="conv_1", item_id="msg_1", edits=False)
    assert fork_in(f"{AT}/{items}/msg_1/regenerate") == fork
    assert fork_in(f"{AT}/{items}/msg_1/edit") == Fork(conversation_id="conv_1", item_id="msg_1", edits=True)
    assert len(FORK_PATHS) == 4


@pytest.mark.parametrize(
    "path",
    [
        f"{AT}/items/regenerate", f"{AT}/items/msg_1", f"{AT}/items/msg_1/regenerate/", f"{AT}/items//edit",
        f"{AT}/items/a/b/edit", f"{AT}/branches/x/activate", "/v1/conversations//items/msg_1/edit", "/edit",
        f"/x{AT}/items/msg_1/edit",
    ],
)  # fmt: skip
def test_paths_that_do_not(path: str):
    assert fork_in(path) is None


def told(*parts: dict[str, Any]) -> Told:
    return Told(1, "msg_1", 1, 1, "message", "user", "completed", {"content": list(parts)}, 4)


def test_an_answer_given_again_needs_its_question():
    kept = told({"type": "input_text", "text": "Why?"})
    assert news_of([kept], [], edits=False) == ([], [], [])
    # Of a project that keeps only that something was said; and of one longer than the model reads.
    for history in ([told()], []):
        with pytest.raises(BadRequest) as refused:
            news_of(history, [], edits=False)
        assert (refused.value.code, refused.value.param) == ("nothing_to_answer", "item_id")

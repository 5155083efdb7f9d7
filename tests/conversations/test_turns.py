from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from apps.api_keys.authentication import Credentials, resolve
from apps.conversations import services, turns
from apps.conversations.content import NewItem, items_of_message, messages_of
from apps.conversations.models import Branch, Conversation, Item
from apps.core.errors import Busy, Conflict, Forbidden, NotFound
from apps.organizations.principal import Principal
from apps.projects.models import Project
from tests.api_keys.conftest import Caller, sign_up


def principal_of(caller: Caller) -> Principal:
    found = resolve(Credentials(api_key=caller.secret))
    assert found is not None
    return found


@pytest.fixture
def ada(db: None) -> Principal:
    return principal_of(sign_up("ada@example.com"))


def said(text: str) -> NewItem:
    return items_of_message({"role": "user", "content": text})[0]


def answered(text: str, **fields: Any) -> NewItem:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return NewItem(type="message", role="assistant", data={"content": content}, **fields)


def sequences(conversation: Conversation) -> list[int]:
    return list(conversation.items.order_by("sequence").values_list("sequence", flat=True))


def test_a_turn_is_stored_whole_and_lets_go(ada: Principal):
    made = services.create_conversation(principal=ada)
    conversation = turns.find(ada, made.public_id)
    turns.take(conversation, "turn-1")

    stored = turns.finish(conversation, "turn-1", [said("Hello there"), answered("Hi!")], model="m")

    assert [(item.sequence, item.role, item.text) for item in stored] == [
        (1, "user", "Hello there"), (2, "assistant", "Hi!"),
    ]  # fmt: skip
    after = turns.find(ada, made.public_id)
    assert (after.turn_id, after.turn_expires_at, after.title, after.model) == ("", None, "Hello there", "m")
    assert (after.branch.last_sequence, after.branch.item_count) == (2, 2)


def test_one_turn_at_a_time(ada: Principal):
    conversation = turns.find(ada, services.create_conversation(principal=ada).public_id)
    turns.take(conversation, "turn-1")
    with pytest.raises(Busy) as refused:
        turns.take(conversation, "turn-2")
    assert (refused.value.code, refused.value.should_retry, refused.value.retry_after) == (
        "conversation_locked", True, 1.0,
    )  # fmt: skip
    with pytest.raises(Busy):
        services.append_items(conversation=conversation, items=[said("in between")])
    turns.release(conversation, "turn-1")
    turns.take(conversation, "turn-2")
    assert Item.objects.count() == 0


def test_a_turn_whose_lease_is_over_is_taken_over_and_still_stored(ada: Principal):
    conversation = turns.find(ada, services.create_conversation(principal=ada).public_id)
    turns.take(conversation, "dead")
    Conversation.objects.update(turn_expires_at=timezone.now())
    turns.take(conversation, "next")
    turns.finish(conversation, "dead", [said("one")])
    assert turns.find(ada, conversation.public_id).turn_id == "next"
    turns.finish(conversation, "next", [said("two")])
    assert [item.text for item in conversation.items.order_by("sequence")] == ["one", "two"]


@pytest.mark.django_db(transaction=True)
def test_fifty_turns_at_once_lose_and_mix_nothing():
    ada = principal_of(sign_up("ada@example.com"))
    conversation = turns.find(ada, services.create_conversation(principal=ada).public_id)

    def turn(number: int) -> bool:
        try:
            turns.take(conversation, f"turn-{number}")
            turns.finish(conversation, f"turn-{number}", [said(f"ask {number}"), answered(f"answer {number}")])
        except Busy:
            return False
        finally:
            connections.close_all()
        return True

    with ThreadPoolExecutor(10) as pool:
        done = list(pool.map(turn, range(50)))

    texts = list(conversation.items.order_by("sequence").values_list("text", flat=True))
    assert sequences(conversation) == list(range(1, 2 * sum(done) + 1))
    assert 0 < sum(done) <= 50
    assert all(texts[i + 1] == texts[i].replace("ask", "answer") for i in range(0, len(texts), 2))
    branch = Branch.objects.get(conversation=conversation)
    assert (branch.last_sequence, branch.item_count) == (len(texts), len(texts))


def test_a_deleted_conversation_stores_nothing(ada: Principal):
    conversation = turns.find(ada, services.create_conversation(principal=ada).public_id)
    turns.take(conversation, "turn-1")
    assert services.delete_conversations(Conversation.objects.visible_to(ada)) == 1
    assert turns.finish(conversation, "turn-1", [said("x")]) == []
    assert (Item.objects.count(), Branch.objects.count()) == (0, 0)


def test_a_broken_off_answer_gives_way_to_the_next(ada: Principal):
    conversation = turns.find(ada, services.create_conversation(principal=ada).public_id)
    first = services.append_items(conversation=conversation, items=[said("q"), answered("par", status="incomplete")])
    turns.take(conversation, "turn-2")
    turns.finish(conversation, "turn-2", [answered("whole")], instead_of=first[1:])
    assert [(item.sequence, item.text) for item in conversation.items.order_by("sequence")] == [(1, "q"), (3, "whole")]
    branch = Branch.objects.get(conversation=conversation)
    assert (branch.last_sequence, branch.item_count, branch.deleted_count) == (3, 2, 1)


def test_history_is_what_fits_and_begins_with_a_person(ada: Principal):
    conversation = turns.find(ada, services.create_conversation(principal=ada).public_id)
    for number in range(4):
        services.append_items(
            conversation=conversation, items=[said(f"question {number}"), answered("a long answer " * 10)]
        )
    conversation = turns.find(ada, conversation.public_id)
    cost = sum(item.tokens for item in conversation.items.order_by("-sequence")[:4])

    whole = turns.history_of(conversation, 10_000)
    assert ([item.sequence for item in whole.items], whole.is_cut) == (list(range(1, 9)), False)
    part = turns.history_of(conversation, cost)
    assert ([item.sequence for item in part.items], part.is_cut) == ([5, 6, 7, 8], True)
    between = turns.history_of(conversation, cost - 1)
    assert ([item.sequence for item in between.items], between.is_cut) == ([7, 8], True)
    nothing = turns.history_of(conversation, 0)
    assert (nothing.items, nothing.is_cut) == ([], True)


def test_calls_of_tools_keep_their_outputs():
    call = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "1+1?"},
        {"role": "assistant", "content": "Let me see.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "2"},
        {"role": "assistant", "content": "2"},
    ]
    items = [item for message in messages for item in items_of_message(message)]
    assert [item.type for item in items] == ["message", "message", "function_call", "function_call_output", "message"]
    assert messages_of(items) == messages
    assert messages_of(items[:3]) == [messages[0], {"role": "assistant", "content": "Let me see."}]
    assert messages_of(items[3:]) == [messages[3]]


def test_pictures_and_reasoning():
    image = {"type": "image_url", "image_url": {"url": "https://e.example/a.png", "detail": "low"}}
    message = {"role": "user", "content": [{"type": "text", "text": "what?"}, image]}
    [item] = items_of_message(message)
    assert item.data == {
        "content": [
            {"type": "input_text", "text": "what?"},
            {"type": "input_image", "image_url": "https://e.example/a.png", "detail": "low"},
        ]
    }
    assert messages_of([item]) == [message]
    reasoning, reply = items_of_message({"role": "assistant", "reasoning_content": "hm", "content": "yes"})
    assert (reasoning.type, reasoning.data["content"]) == ("reasoning", [{"type": "reasoning_text", "text": "hm"}])
    assert messages_of([reasoning, reply]) == [{"role": "assistant", "content": "yes"}]


def test_a_project_that_keeps_only_metadata_keeps_no_text(ada: Principal):
    Project.objects.filter(pk=ada.project_id).update(settings={"storage": "metadata"})
    conversation = services.create_conversation(principal=ada, title="secret", items=[said("secret words")])
    [item] = conversation.items.all()
    assert (item.data, item.text, item.tokens, conversation.title) == ({"content": []}, "", 8, "")


def test_a_project_that_keeps_nothing_has_no_conversations(ada: Principal):
    Project.objects.filter(pk=ada.project_id).update(settings={"storage": "none"})
    with pytest.raises(Forbidden) as refused:
        services.create_conversation(principal=ada)
    assert (refused.value.code, Conversation.objects.count()) == ("storage_disabled", 0)


def test_a_project_has_so_many_conversations(ada: Principal):
    Project.objects.filter(pk=ada.project_id).update(settings={"max_conversations": 1})
    services.create_conversation(principal=ada)
    with pytest.raises(Conflict) as refused:
        services.create_conversation(principal=ada)
    assert (refused.value.code, Conversation.objects.count()) == ("too_many_conversations", 1)


def test_nobody_elses_conversation_is_found(ada: Principal):
    conversation = services.create_conversation(principal=ada)
    for other in (principal_of(sign_up("bob@example.com")),):
        with pytest.raises(NotFound):
            turns.find(other, conversation.public_id)


def test_an_archived_conversation_takes_no_turn(ada: Principal):
    conversation = services.create_conversation(principal=ada)
    conversation.archived_at = timezone.now()
    with pytest.raises(Conflict) as refused:
        turns.take(conversation, "turn")
    assert refused.value.code == "conversation_archived"


def test_a_key_for_one_conversation_sees_no_other(db: None):
    caller = sign_up("ada@example.com")
    ada = principal_of(caller)
    mine, other = (services.create_conversation(principal=ada) for _ in range(2))
    body = {"kind": "ephemeral", "conversation_id": mine.public_id}
    made = caller.call("POST", "/v1/auth/api-keys", body).json()
    assert made["conversation_id"] == mine.public_id
    bound = principal_of(Caller(caller.user, made["key"]))
    assert [each.pk for each in Conversation.objects.visible_to(bound)] == [mine.pk]
    with pytest.raises(Forbidden) as refused:
        services.create_conversation(principal=bound)
    assert (refused.value.code, Conversation.objects.count()) == ("conversation_not_allowed", 2)
    wrong = caller.call("POST", "/v1/auth/api-keys", {"name": "k", "conversation_id": other.public_id})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "conversation_id")

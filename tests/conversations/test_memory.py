from __future__ import annotations

import pytest

from apps.conversations import memory, services, turns
from apps.conversations.models import Conversation
from apps.organizations.principal import Principal
from tests.conversations.test_turns import ada, answered, said

__all__ = ["ada"]


@pytest.fixture
def conversation(ada: Principal) -> Conversation:
    made = services.create_conversation(principal=ada)
    services.append_items(
        conversation=made, items=[each for n in range(4) for each in (said(f"question {n}"), answered(f"answer {n}"))]
    )
    return turns.find(ada, made.public_id)


def test_a_model_writes_a_title_unless_somebody_did(ada: Principal, conversation: Conversation):
    assert memory.beginning_of(conversation) == "question 0"
    memory.entitle(conversation, '  "Four questions, all of them answered at length and with great care indeed"\n')
    assert turns.find(ada, conversation.public_id).title == "Four questions, all of them answered at length and with…"
    memory.entitle(conversation, ' "" ')
    Conversation.objects.update(has_given_title=True, title="Mine")
    memory.entitle(conversation, "Theirs")
    assert turns.find(ada, conversation.public_id).title == "Mine"


def test_what_fell_out_is_summed_up_once(ada: Principal, conversation: Conversation):
    part = memory.forgotten(conversation, 5)
    assert part == (
        "user: question 0\n\nassistant: answer 0\n\nuser: question 1\n\nassistant: answer 1",
        conversation.branch.pk,
        4,
    )
    assert memory.forgotten(conversation, 4) is None
    memory.remember(conversation, part, "They talked.")
    now = turns.find(ada, conversation.public_id)
    assert (now.summary, now.summary_sequence) == ("They talked.", 4)
    assert memory.forgotten(now, 5) is None
    memory.remember(conversation, part, "Late.")
    assert turns.find(ada, conversation.public_id).summary == "They talked."
    later = memory.forgotten(now, 9)
    assert later is not None
    assert later.text.startswith("Summary of what was before: They talked.\n\nuser: question 2")
    assert turns.history_of(now, 20).summary == "They talked."
    assert turns.history_of(now, 10_000).summary == ""


def test_a_summary_is_made_of_as_much_as_a_model_takes(conversation: Conversation, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory, "PART", 40)
    part = memory.forgotten(conversation, 9)
    assert part is not None
    assert (part.text, part.last) == ("user: question 0\n\nassistant: answer 0", 2)


def test_nothing_is_remembered_of_what_is_gone(conversation: Conversation):
    services.delete_conversations(Conversation.objects.all())
    assert (memory.beginning_of(conversation), memory.forgotten(conversation, 5)) == ("", None)

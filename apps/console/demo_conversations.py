"""What the demo's people and programs have said to models: conversations, a folder, a share, a stored call."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from apps.completions.models import StoredCompletion, new_completion_id
from apps.completions.services import store_completion
from apps.conversations.chat_project_services import create_chat_project
from apps.conversations.content import items_of_message
from apps.conversations.models import ChatProject, Conversation
from apps.conversations.services import create_conversation
from apps.organizations.principal import Principal
from apps.shares.models import Share
from apps.shares.services import create_share
from apps.shares.snapshot import Wish

MODEL = "jan-demo"

# Turns of a caller and a model, by title.
TALKS = {
    "Reading a CSV file": (
        (
            "How do I add up the third column of a CSV file in Python?",
            "Read it with `csv.reader` and sum `float(row[2])`.",
        ),
        ("Some rows are empty there.", "Leave them out: `if len(row) > 2 and row[2].strip()`."),
    ),
    "Answer to a complaint": (
        ("Draft an answer to a customer whose parcel came late.", "Dear customer, we are sorry that you had to wait."),
        ("Shorter, and offer free shipping.", "Sorry for the delay. Your next shipping is on us."),
        ("Good. In German, too.", "Bitte entschuldigen Sie die Verspätung. Der nächste Versand geht auf uns."),
    ),
    "Names for a release": (("Three names for a spring release?", "Crocus, Equinox, Thaw."),),
}


class Speaker(NamedTuple):
    """Somebody who has said things, and how the demo marks the texts of a kind of object in its organization."""

    principal: Principal
    marked: Callable[[str, str], str]


def conversations_of(speaker: Speaker) -> list[Conversation]:
    """Find or make a caller's conversations: the first in a folder of its own."""
    folder = chat_project_of(speaker)
    return [
        _conversation(speaker, speaker.marked("conversation", title), turns, folder if number == 0 else None)
        for number, (title, turns) in enumerate(TALKS.items())
    ]


def _conversation(
    speaker: Speaker, title: str, turns: tuple[tuple[str, str], ...], folder: ChatProject | None
) -> Conversation:
    found: Conversation | None = Conversation.objects.visible_to(speaker.principal).filter(title=title).first()
    if found is not None:
        return found
    messages = [
        {"role": role, "content": speaker.marked("item", text)}
        for turn in turns
        for role, text in zip(("user", "assistant"), turn, strict=True)
    ]
    items = [item for message in messages for item in items_of_message(message)]
    return create_conversation(principal=speaker.principal, title=title, model=MODEL, chat_project=folder, items=items)


def chat_project_of(speaker: Speaker) -> ChatProject:
    """Find or make a caller's folder."""
    name = speaker.marked("chat_project", "Everyday work")
    found: ChatProject | None = ChatProject.objects.visible_to(speaker.principal).present().filter(name=name).first()
    instruction = speaker.marked("chat_project", "Answer in one sentence.")
    return found or create_chat_project(principal=speaker.principal, name=name, instruction=instruction)


def share_of(speaker: Speaker) -> Share:
    """Find or make the share of a caller's first conversation, which only its link opens."""
    conversation = conversations_of(speaker)[0]
    found: Share | None = Share.objects.of(conversation).standing().first()
    return found or create_share(
        principal=speaker.principal,
        conversation=conversation,
        branch=conversation.branch,
        title=speaker.marked("share", "For a colleague"),
        wish=Wish(),
    )


def completions_of(speaker: Speaker) -> list[StoredCompletion]:
    """Find or make a call of a caller's that was stored."""
    found = list(StoredCompletion.objects.visible_to(speaker.principal).labelled("demo", "yes"))
    if found:
        return found
    public_id = new_completion_id()
    request = {
        "model": MODEL,
        "messages": [{"role": "user", "content": speaker.marked("chat_completion", "What is the capital of France?")}],
        "metadata": {"demo": "yes"},
    }
    message = {"role": "assistant", "content": speaker.marked("chat_completion", "Paris.")}
    answer = {
        "id": public_id,
        "object": "chat.completion",
        "created": 0,
        "model": MODEL,
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
    }
    stored = store_completion(
        principal=speaker.principal, public_id=public_id, request=request, answer=answer, request_id=""
    )
    return [stored] if stored else []

"""fsck's look at conversations, and whatever people do with branches, it finds nothing."""

from __future__ import annotations

import datetime
import json
from collections import Counter
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from apps.conversations import branches, services, turns
from apps.conversations.content import NewItem, items_of_answer
from apps.conversations.integrity import expired_turns, inspect
from apps.conversations.models import MAIN, Branch, Conversation, Item
from apps.conversations.paths import page_of
from apps.core.errors import BadRequest, Conflict
from apps.organizations.principal import Principal
from tests.api_keys.conftest import sign_up
from tests.conversations.test_turns import answered, principal_of, said
from tests.isolation.matrix import rolled_back

pytestmark = pytest.mark.django_db

RUNS, STEPS = 30, 25
done: Counter[str] = Counter()
_CALL = {"type": "function", "id": "call_1", "function": {"name": "f", "arguments": "{}"}}


def _told(kind: str, text: str) -> NewItem:
    if kind == "question":
        return said(text)
    if kind == "result":
        return NewItem(type="function_call_output", data={"call_id": "call_1", "output": text})
    if kind == "call":
        return items_of_answer({"tool_calls": [_CALL]})[0]
    return answered(text)


ANSWERS = {"answer", "call"}


class Branching(RuleBasedStateMachine):
    """What is done to one conversation, beside a model of it: a plain list of items for each branch."""

    ada: Principal

    def __init__(self) -> None:
        super().__init__()
        self._rollback = rolled_back()
        self._rollback.__enter__()
        self.conversation = turns.find(self.ada, services.create_conversation(principal=self.ada).public_id)
        self.paths: dict[str, list[str]] = {MAIN: []}
        self.parents: dict[str, str] = {}
        self.kinds: dict[str, str] = {}
        self.owners: dict[str, str] = {}
        self.active = MAIN

    def teardown(self) -> None:
        try:
            assert inspect() == []
        finally:
            self._rollback.__exit__(None, None, None)

    def found(self) -> Conversation:
        return turns.find(self.ada, self.conversation.public_id)

    def keep(self, name: str, rows: list[Item], kinds: list[str]) -> None:
        for row, kind in zip(rows, kinds, strict=True):
            self.paths[name].append(row.public_id)
            self.kinds[row.public_id], self.owners[row.public_id] = kind, name

    def forked(self, name: str, after: str | None) -> None:
        owner = self.owners[after] if after else MAIN
        path = self.paths[owner]
        self.paths[name] = path[: path.index(after) + 1] if after else []
        self.parents[name] = owner

    @staticmethod
    def pick(items: list[str], at: int) -> str:
        return items[at % len(items)]

    def path_of(self, item: str) -> list[str]:
        path = self.paths[self.owners[item]]
        return path[: path.index(item)]

    @rule(kinds=st.lists(st.sampled_from(["question", "answer", "call", "result"]), min_size=1, max_size=3))
    def append(self, kinds: list[str]) -> None:
        done["append"] += 1
        rows = services.append_items(conversation=self.conversation, items=[_told(kind, kind) for kind in kinds])
        self.keep(self.active, rows, kinds)

    @precondition(lambda self: self.kinds)
    @rule(at=st.integers(0, 99))
    def fork(self, at: int) -> None:
        done["fork"] += 1
        after = self.pick(sorted(self.kinds), at)
        self.forked(branches.create_branch(conversation=self.conversation, from_item=after).name, after)

    @rule()
    def fork_at_the_end(self) -> None:
        path = self.paths[self.active]
        name = f"b{len(self.paths)}-{done['end']}"
        done["end"] += 1
        branches.create_branch(conversation=self.conversation, name=name)
        self.forked(name, path[-1] if path else None)

    @rule(at=st.integers(0, 99))
    def activate(self, at: int) -> None:
        done["activate"] += 1
        self.active = self.pick(sorted(self.paths), at)
        branches.activate_branch(conversation=self.conversation, name=self.active)

    @rule(at=st.integers(0, 99))
    def delete_branch(self, at: int) -> None:
        name = self.pick(sorted(self.paths), at)
        may_go = name not in (MAIN, self.active) and name not in self.parents.values()
        try:
            branches.delete_branch(conversation=self.conversation, name=name)
        except Conflict:
            assert not may_go
            return
        assert may_go
        done["delete branch"] += 1
        del self.paths[name], self.parents[name]
        for item in [item for item, owner in self.owners.items() if owner == name]:
            del self.owners[item], self.kinds[item]

    @precondition(lambda self: self.paths[self.active])
    @rule(at=st.integers(0, 99))
    def delete_item(self, at: int) -> None:
        done["delete item"] += 1
        item = self.pick(self.paths[self.active], at)
        services.delete_item(conversation=self.conversation, public_id=item)
        del self.owners[item], self.kinds[item]
        for path in self.paths.values():
            if item in path:
                path.remove(item)

    @precondition(lambda self: self.kinds)
    @rule(at=st.integers(0, 99), fails=st.booleans())
    def regenerate(self, at: int, fails: bool) -> None:
        item = self.pick(sorted(self.kinds), at)
        before = [*self.path_of(item), item] if self.kinds[item] not in ANSWERS else self.path_of(item)
        questions = [each for each in before if self.kinds[each] not in ANSWERS]
        if not questions:
            with pytest.raises(BadRequest):
                branches.fork_to_regenerate(self.conversation, item)
            return
        self.turn(branches.fork_to_regenerate, item, questions[-1], [("answer", "again")], fails=fails)

    @precondition(lambda self: "question" in self.kinds.values())
    @rule(at=st.integers(0, 99), fails=st.booleans())
    def edit(self, at: int, fails: bool) -> None:
        item = self.pick(sorted(each for each, kind in self.kinds.items() if kind == "question"), at)
        before = self.path_of(item)
        told = [("question", "edited"), ("answer", "to that")]
        self.turn(branches.fork_to_edit, item, before[-1] if before else None, told, fails=fails)

    def turn(
        self,
        forked: Callable[[Conversation, str], Branch],
        item: str,
        after: str | None,
        told: list[tuple[str, str]],
        *,
        fails: bool,
    ) -> None:
        """A turn as `apps.chat` makes one. It reads what is before the fork, and nothing of another branch."""
        conversation = self.found()
        turns.take(conversation, "turn")
        fork = forked(conversation, item)
        branches.turn_to(conversation, fork)
        history = [row.public_id for row in turns.history_of(conversation, 1_000_000).items]
        if fails:
            done["fail"] += 1
            turns.release(conversation, "turn")
            return
        done["turn"] += 1
        rows = turns.finish(conversation, "turn", [_told(*each) for each in told], fork=fork)
        self.forked(fork.name, after)
        assert history == self.paths[fork.name]
        self.active = fork.name
        self.keep(fork.name, rows, [kind for kind, _ in told])

    @invariant()
    def branches_read_what_the_lists_hold(self) -> None:
        conversation = self.found()
        assert conversation.branch.name == self.active
        rows = {branch.name: branch for branch in branches.branches_of(conversation)}
        assert rows.keys() == self.paths.keys()
        for name, branch in rows.items():
            read = page_of(branch, limit=1000, descending=False)
            assert [row.public_id for row in read] == self.paths[name]
            assert branch.item_count == len(read)
            numbers = [row.sequence for row in read]
            assert numbers == sorted(set(numbers))


@pytest.fixture
def ada(db: None) -> Principal:
    return principal_of(sign_up("ada@example.com"))


def test_branches_read_what_they_should_whatever_is_done(ada: Principal):
    Branching.ada = ada
    chosen = settings(
        max_examples=RUNS, stateful_step_count=STEPS, deadline=None, derandomize=True, database=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run_state_machine_as_test(Branching, settings=chosen)
    print(dict(done))  # noqa: T201
    # The model is of some use only if much is done.
    assert min(done[name] for name in ("append", "fork", "activate", "delete item", "turn", "fail")) > 10
    assert done["delete branch"] > 3


@pytest.fixture
def talk(ada: Principal) -> Conversation:
    """Two branches, something deleted, all in order."""
    conversation = services.create_conversation(principal=ada, items=[said("q1"), answered("a1"), said("q2")])
    first = page_of(conversation.branch, limit=9, descending=False)
    branches.create_branch(conversation=conversation, name="other", from_item=first[1].public_id)
    branches.activate_branch(conversation=conversation, name="other")
    services.append_items(conversation=conversation, items=[said("q3"), answered("a3")])
    services.delete_item(conversation=conversation, public_id=first[0].public_id)
    assert inspect() == []
    return turns.find(ada, conversation.public_id)


def change(name: str, **fields: Any) -> None:
    assert Branch.objects.filter(name=name).update(**fields) == 1


@pytest.mark.parametrize(
    ("check", "name", "fields"),
    [
        ("branch_gap", "other", {"last_sequence": 5}),
        ("branch_gap", MAIN, {"deleted_count": 0}),
        ("branch_gap", "other", {"last_sequence": 3, "deleted_count": -1}),
        ("branch_count", MAIN, {"item_count": 7}),
        ("branch_count", "other", {"item_count": 7}),
        ("branch_fork", MAIN, {"fork_sequence": 1}),
        ("branch_fork", "other", {"fork_sequence": 9}),
    ],
)
def test_what_a_branch_says_wrongly(talk: Conversation, check: str, name: str, fields: dict[str, int]):
    change(name, **fields)
    [found] = [violation for violation in inspect() if violation["check"] == check and name in violation["id"]]
    assert found["id"] == f"{talk.public_id} {name}"
    assert found["detail"].startswith(f"{talk.public_id} {name} ")


def test_a_lost_item_is_found(talk: Conversation):
    Item.objects.filter(text="a3").delete()
    assert [violation["check"] for violation in inspect()] == ["branch_gap", "branch_count"]


def test_what_is_of_another_conversation(ada: Principal, talk: Conversation):
    other = services.create_conversation(principal=ada)
    item = talk.items.latest("pk")
    Item.objects.filter(pk=item.pk).update(conversation=other)
    assert [(each["check"], each["id"]) for each in inspect()] == [("item_conversation", item.public_id)]
    Item.objects.filter(pk=item.pk).update(conversation=talk)
    change("other", conversation=other)
    assert {each["check"] for each in inspect()} == {"branch_fork", "item_conversation", "active_branch"}


def test_a_conversation_that_reads_nothing_and_one_that_knows_too_much(ada: Principal, talk: Conversation):
    Conversation.objects.update(summary_sequence=5)
    assert [(each["check"], each["id"]) for each in inspect()] == [("summary", talk.public_id)]
    Conversation.objects.update(summary_sequence=0, active_branch=None)
    assert [(each["check"], each["id"]) for each in inspect()] == [("active_branch", talk.public_id)]


def test_since_leaves_out_what_has_not_changed(talk: Conversation):
    change("other", item_count=7)
    an_hour = datetime.timedelta(hours=1)
    assert len(inspect(timezone.now() - an_hour)) == 1
    Conversation.objects.update(updated_at=timezone.now() - 2 * an_hour)
    assert inspect(timezone.now() - an_hour) == []
    assert len(inspect()) == 1


def test_a_turn_whose_process_died_is_counted_and_no_violation(talk: Conversation):
    turns.take(talk, "turn")
    assert expired_turns() == 0
    Conversation.objects.update(turn_expires_at=timezone.now() - datetime.timedelta(minutes=5))
    out = StringIO()
    call_command("fsck", "--json", stdout=out)
    report = json.loads(out.getvalue())
    assert (report["ok"], report["expired_turns"], report["violations"]) == (True, 1, [])
    out = StringIO()
    call_command("fsck", stdout=out)
    assert "Conversations that a turn held when its process died: 1." in out.getvalue()


def test_the_command_says_what_is_wrong(talk: Conversation):
    change("other", item_count=7)
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("fsck", stdout=out)
    assert f"branch_count: {talk.public_id} other counts other items than it reads" in out.getvalue()


def test_rows_of_another_organization(ada: Principal, talk: Conversation):
    stranger = principal_of(sign_up("bob@example.com")).organization_id
    Item.objects.filter(text="a3").update(organization_id=stranger)
    change("other", organization_id=stranger)
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("fsck", "--json", stdout=out)
    details = " ".join(each["detail"] for each in json.loads(out.getvalue())["violations"])
    assert all(f"({link})" in details for link in ("Item.conversation", "Item.branch", "Branch.conversation"))

"""Model calls, over HTTP and WebSocket alike, end in one place. To it another tenant's model is one that is not there."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from apps.api_keys.authentication import Credentials, resolve
from apps.catalog.snapshot import Routing, load_table
from apps.conversations import branches, turns
from apps.conversations.content import items_of_message
from apps.conversations.models import Branch, Item
from apps.core.errors import AppError
from apps.core.freshness import Watch
from apps.edge.app import INFERENCE as INFERENCE_PATHS
from apps.gateway.calls import Call
from apps.gateway.services import Gateway
from apps.organizations.principal import Principal
from apps.organizations.roles import Scope
from apps.usage.journal import Journal
from tests.architecture.access_table import INFERENCE, Entry
from tests.isolation.matrix import Matrix, rolled_back
from tests.isolation.tenants import CANARY

pytestmark = pytest.mark.django_db


def callers(matrix: Matrix) -> dict[str, Principal]:
    """Everybody whose credential opens something."""
    found = {}
    for each in matrix.world.principals.values():
        if each.secret is not None and each.is_admitted:
            organization = matrix.world.a_id("organization") if each.names_organization else None
            principal = resolve(Credentials(bearer=each.secret, organization=organization))
            assert principal is not None
            found[each.name] = principal
    return found


def outcome(gateway: Gateway, principal: Principal, entry: Entry, name: str) -> str:
    """How a call is refused, with the model's name left out; or that it is not."""
    try:
        exchange = gateway.accept(
            principal,
            Call(INFERENCE_PATHS.get(entry.path, "chat/completions"), {**entry.body, "model": name}, b"{}"),
            request_id="req_1",
            charge=lambda _: None,
        )
    except AppError as error:
        return str(error.payload()).replace(name, "<name>")
    gateway.release(exchange)
    return "accepted"


def test_another_tenants_model_is_one_that_is_not_there(matrix: Matrix, tmp_path: Path):
    world, cells = matrix.world, 0
    principals = callers(matrix)
    theirs = [world.b_id("model"), str(world.b.row("alias")), world.b.row("model").public_id, "canary-upstream"]
    ours = world.a_id("model")
    routing = Routing(Watch())
    routing._table = load_table()

    async def try_all() -> list[Any]:
        wrong: list[Any] = []
        journal = Journal(tmp_path, 0.05)
        gateway = Gateway(routing, journal)
        nonlocal cells
        for name, principal in principals.items():
            for entry in INFERENCE:
                unknown = outcome(gateway, principal, entry, "nobody/none")
                for model in theirs:
                    cells += 1
                    told = outcome(gateway, principal, entry, model)
                    if told != unknown or told == "accepted" or CANARY in told:
                        wrong.append((name, entry.path, model, told, unknown))
                is_strangers = principal.organization_id != world.a.organization.pk
                said = outcome(gateway, principal, entry, ours)
                is_open = said == "accepted"
                if is_open is not (Scope.INFERENCE in principal.scopes and not is_strangers):
                    wrong.append((name, entry.path, ours, said))
        await gateway.close()
        journal.close()
        return wrong

    assert asyncio.run(try_all()) == []
    print(f"{cells} cells")  # noqa: T201
    assert cells >= 150


def edited(principal: Principal, conversation: str, item: str) -> str:
    """How an edit of a message is refused, with the ids left out; or that it is not."""
    items = items_of_message({"role": "user", "content": "let me in"})
    try:
        with rolled_back():
            found = turns.find(principal, conversation)
            branches.fork_to_regenerate(found, item)
            branches.edit_message(conversation=found, item_id=item, items=items)
    except AppError as error:
        return str(error.payload()).replace(conversation, "<conversation>").replace(item, "<item>")
    return "accepted"


def test_another_tenants_messages_are_ones_that_are_not_there(matrix: Matrix):
    world, wrong, accepted = matrix.world, [], 0
    ours = world.a_id("conversation"), world.a_id("item")
    for name, principal in callers(matrix).items():
        for theirs, unknown in (
            ((world.b_id("conversation"), world.b_id("item")), (world.random_id("conversation"), world.b_id("item"))),
            ((world.b_id("conversation"), ours[1]), (world.random_id("conversation"), ours[1])),
            ((ours[0], world.b_id("item")), (ours[0], world.random_id("item"))),
        ):
            told = edited(principal, *theirs)
            if told != edited(principal, *unknown) or told == "accepted" or CANARY in told:
                wrong.append((name, theirs, told))
        accepted += edited(principal, *ours) == "accepted"
    assert wrong == []
    # Whose it is may, under whatever credential of the default project.
    assert accepted >= 1
    assert (Branch.objects.count(), Item.objects.count()) == (4, 2)

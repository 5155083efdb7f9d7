"""Open sockets of a conversation are told what happens in it, whoever does it and wherever it runs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx2
import pytest
import websockets
from websockets.sync.client import ClientConnection, connect

from tests.server import Server

pytestmark = pytest.mark.e2e


class Person:
    """A caller of the API."""

    def __init__(self, server: Server, secret: str) -> None:
        self.server = server
        self.headers = {"authorization": f"Bearer {secret}"}

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = httpx2.request(
            method, f"{self.server.base_url}/v1/{path}", json=body, headers=self.headers, timeout=30
        )
        assert answer.status_code < 300, answer.text
        return answer.json()

    def begin(self, *texts: str) -> str:
        items = [{"type": "message", "role": "user", "content": text} for text in texts]
        return str(self.ask("POST", "conversations", {"title": "Known", "items": items})["id"])

    @contextmanager
    def listening(self, conversation: str, query: str = "") -> Iterator[ClientConnection]:
        with connect(url(self.server, conversation) + query, additional_headers=self.headers) as socket:
            assert heard(socket) == {"type": "ready"}
            yield socket


def url(server: Server, conversation: str) -> str:
    return f"{server.base_url.replace('http', 'ws')}/ws/v1/conversations/{conversation}"


def heard(socket: ClientConnection) -> Any:
    return json.loads(socket.recv(10))


def code_after(socket: ClientConnection) -> int | None:
    """Return with which code the socket is closed, after nothing more was said."""
    with pytest.raises(websockets.ConnectionClosed):
        socket.recv(10)
    return socket.close_code


@pytest.fixture(scope="module", params=["live", "live_pg"])
def server(request: pytest.FixtureRequest) -> Server:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def ada(server: Server) -> Person:
    return Person(server, server.user_key())


def test_a_turn_is_told_from_its_start_to_its_end(ada: Person):
    conversation = ada.begin()
    with ada.listening(conversation) as socket:
        body = {"model": "plain", "messages": [{"role": "user", "content": "hi"}], "conversation": conversation}
        ada.ask("POST", "chat/completions", body)
        told = [heard(socket) for _ in range(4)]
        assert [event["type"] for event in told] == [
            "conversation.turn.started",
            "conversation.item.created",
            "conversation.item.created",
            "conversation.turn.ended",
        ]
        items = ada.ask("GET", f"conversations/{conversation}/items?order=asc")["data"]
        assert [event["item"] for event in told[1:3]] == items
        assert {event["conversation_id"] for event in told} == {conversation}
    assert [item["role"] for item in items] == ["user", "assistant"]


def test_what_the_api_changes_is_told(ada: Person):
    conversation = ada.begin("first")
    path = f"conversations/{conversation}"
    with ada.listening(conversation, "?timestamps=iso") as socket:
        ada.ask("POST", f"{path}/items", {"type": "message", "role": "user", "content": "second"})
        created = heard(socket)
        item = ada.ask("GET", f"{path}/items/{created['item_id']}?timestamps=iso")
        base = {"conversation_id": conversation}
        assert created == base | {"type": "conversation.item.created", "item_id": item["id"], "item": item}

        rated = ada.ask("PATCH", f"{path}/items/{item['id']}?timestamps=iso", {"rating": "like"})
        assert heard(socket) == {**created, "type": "conversation.item.updated", "item": rated}
        assert rated["rating"] == "like"

        renamed = ada.ask("PATCH", f"{path}?timestamps=iso", {"title": "Renamed"})
        assert heard(socket) == base | {"type": "conversation.updated", "conversation": renamed}
        assert renamed["title"] == "Renamed"

        ada.ask("DELETE", f"{path}/items/{item['id']}")
        assert heard(socket) == base | {"type": "conversation.item.deleted", "item_id": item["id"]}

        ada.ask("DELETE", path)
        assert heard(socket) == base | {"type": "conversation.deleted"}
        assert heard(socket)["error"]["code"] == "conversation_not_found"
        assert code_after(socket) == 4404


def test_every_open_client_is_told_in_every_process(ada: Person):
    conversation = ada.begin()
    with ExitStack() as stack:
        # As many as make it all but sure that every process has one.
        sockets = [stack.enter_context(ada.listening(conversation)) for _ in range(10)]
        for text in ("one", "two", "three"):
            ada.ask("POST", f"conversations/{conversation}/items", {"type": "message", "role": "user", "content": text})
        for socket in sockets:
            assert [heard(socket)["item"]["content"][0]["text"] for _ in range(3)] == ["one", "two", "three"]


def test_what_is_too_big_for_a_frame_is_named(ada: Person):
    conversation = ada.begin()
    with ada.listening(conversation) as socket:
        content = "x" * 100_000  # goes out three times, in every spelling
        ada.ask("POST", f"conversations/{conversation}/items", {"type": "message", "role": "user", "content": content})
        event = heard(socket)
    assert (event["item"], event["item_id"][:4]) == (None, "msg_")


def test_nothing_of_a_conversation_is_told_in_another(ada: Person):
    mine, other = ada.begin(), ada.begin()
    with ada.listening(mine) as socket:
        ada.ask("POST", f"conversations/{other}/items", {"type": "message", "role": "user", "content": "elsewhere"})
        ada.ask("PATCH", f"conversations/{mine}", {"title": "Here"})
        assert heard(socket)["type"] == "conversation.updated"


def test_a_turn_that_fails_changes_nothing(ada: Person):
    conversation = ada.begin("kept")
    with ada.listening(conversation) as socket:
        body = {"model": "bad-json", "messages": [{"role": "user", "content": "hi"}], "conversation": conversation}
        answer = httpx2.post(f"{ada.server.base_url}/v1/chat/completions", json=body, headers=ada.headers, timeout=30)
        assert answer.status_code == 502
        assert [heard(socket)["type"] for _ in range(2)] == ["conversation.turn.started", "conversation.turn.ended"]


@pytest.mark.parametrize("known", [True, False])
def test_what_is_not_ones_own_is_not_there(server: Server, ada: Person, known: bool):
    conversation = ada.begin("secret") if known else "conv_doesnotexist"
    stranger = Person(server, server.guest_token())
    with connect(url(server, conversation), additional_headers=stranger.headers) as socket:
        error = heard(socket)["error"]
        error.pop("request_id", None)
        assert error == {
            "type": "not_found_error",
            "code": "conversation_not_found",
            "message": "There is no such conversation.",
            "param": "conversation",
        }
        assert code_after(socket) == 4404


def test_a_browser_says_who_it_is_by_subprotocol_or_message(server: Server, ada: Person):
    conversation, secret = ada.begin(), ada.headers["authorization"].removeprefix("Bearer ")
    with connect(url(server, conversation), subprotocols=["jan", f"jan-key.{secret}"]) as socket:
        assert (heard(socket), socket.subprotocol) == ({"type": "ready"}, "jan")
    with connect(url(server, conversation)) as socket:
        socket.send(json.dumps({"type": "auth", "api_key": secret}))
        assert heard(socket) == {"type": "ready"}
        socket.send('{"type": "message"}')
        assert heard(socket)["error"]["code"] == "not_listening"


@pytest.mark.parametrize("first", ['{"type": "auth", "api_key": "sk_wrong"}', "{}"])
def test_who_proves_nothing_is_closed(server: Server, ada: Person, first: str):
    with connect(url(server, ada.begin())) as socket:
        socket.send(first)
        assert heard(socket)["error"]["type"] == "auth_error"
        assert code_after(socket) == 4401


def test_a_page_of_another_origin_is_refused(server: Server, ada: Person):
    with pytest.raises(websockets.InvalidStatus) as refusal:
        connect(url(server, ada.begin()), origin="https://evil.example", additional_headers=ada.headers)
    assert refusal.value.response.status_code == 403


def test_a_key_without_the_scope_reads_nothing(server: Server, ada: Person):
    body = {"name": "calls only", "scopes": ["inference"]}
    secret = ada.ask("POST", "auth/api-keys", body)["key"]
    with connect(url(server, ada.begin("x")), additional_headers={"x-api-key": secret}) as socket:
        assert heard(socket)["error"]["details"] == {"required_scope": "conversations.read"}
        assert code_after(socket) == 4403


def test_a_key_for_one_conversation_listens_there_alone(server: Server, ada: Person):
    mine, other = ada.begin(), ada.begin()
    body = {"kind": "ephemeral", "conversation_id": mine}
    key = Person(server, ada.ask("POST", "auth/api-keys", body)["key"])
    with key.listening(mine):
        pass
    with connect(url(server, other), additional_headers=key.headers) as socket:
        assert heard(socket)["error"]["code"] == "conversation_not_found"
        assert code_after(socket) == 4404


def test_a_revoked_key_hears_nothing_more(server: Server, ada: Person):
    conversation = ada.begin()
    made = ada.ask("POST", "auth/api-keys", {"name": "soon gone"})
    with Person(server, made["key"]).listening(conversation) as socket:
        ada_deletes = httpx2.delete(f"{server.base_url}/v1/auth/api-keys/{made['id']}", headers=ada.headers)
        assert ada_deletes.status_code == 204
        began = time.monotonic()
        assert heard(socket)["error"]["type"] == "auth_error"
        assert code_after(socket) == 4401
        assert time.monotonic() - began < 6
        ada.ask("POST", f"conversations/{conversation}/items", {"type": "message", "role": "user", "content": "late"})


def test_a_caller_has_so_many_at_once(live: Server):
    guest = Person(live, live.guest_token())
    conversation = guest.begin()
    with ExitStack() as stack:
        for _ in range(50):
            last = stack.enter_context(guest.listening(conversation))
        with connect(url(live, conversation), additional_headers=guest.headers) as refused:
            assert heard(refused)["error"]["code"] == "too_many_sockets"
            assert code_after(refused) == 4429
        last.close()
        limit = time.monotonic() + 10
        while not _is_welcome(guest, conversation):
            assert time.monotonic() < limit


def _is_welcome(person: Person, conversation: str) -> bool:
    with connect(url(person.server, conversation), additional_headers=person.headers) as socket:
        return bool(heard(socket) == {"type": "ready"})
